"""Labels fit a small phone, whatever they name."""

from __future__ import annotations

import inspect
from typing import Any

from escrow.bot import labels
from tests.bot import samples
from tests.bot.hostile import CORPUS


def test_labels_are_short() -> None:
    long = "KES 250,000"
    samples_by_name: dict[str, dict[str, Any]] = {
        "mpesa_and_wallet": {"asked": samples.kes(250_000), "part": samples.kes(250_000)},
        "deal": {"code": samples.CODE, "description": "x" * 300},
        "try_again": {"wait": True},
        "verify": {"shop": "x" * 300},
    }
    for name, function in inspect.getmembers(labels, inspect.isfunction):
        if function.__module__ == labels.__name__:
            arguments = samples_by_name.get(name)
            if arguments is None:
                arguments = dict.fromkeys(inspect.signature(function).parameters, long)
            assert len(function(**arguments)) <= 60, name


def test_names_on_labels_are_one_clean_line() -> None:
    for said in CORPUS:
        for label in (labels.verify(said), labels.deal(samples.CODE, said)):
            assert "\n" not in label
            assert "\u202e" not in label
            assert len(label) <= 60
