"""Every refusal that the code can raise has its sentence, and none is left over."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from escrow.bot.refusals import REFUSALS, refusal
from tests.bot import samples

_ROOT = Path(__file__).parents[2]
_FAMILY = {
    "CannotDo",
    "InvalidInput",
    "NotFound",
    "NotAllowed",
    "IllegalMove",
    "EscrowMoved",
    "LimitReached",
    "ChoiceRefused",
    "Paused",
}


def _raised() -> set[str]:
    found: set[str] = set()
    for path in [*_ROOT.glob("*.py"), *sorted((_ROOT / "escrow").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _FAMILY:
                if node.args and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
            elif isinstance(node, ast.ClassDef) and node.name in _FAMILY:
                found |= {
                    str(line.value.value)
                    for line in node.body
                    if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)
                }
    return found


def test_every_refusal_has_its_sentence_and_none_is_left_over() -> None:
    raised = _raised()
    assert len(raised) > 30
    assert raised - set(REFUSALS) == set()
    assert set(REFUSALS) - raised == set()


@pytest.mark.parametrize("table", ["REFUSALS", "NOTICES"])
def test_no_module_hides_the_words_of_another(table: str) -> None:
    """They are put together into one table: of two with one name only the last would be read."""
    own: list[str] = []
    for path in sorted((_ROOT / "escrow/bot").glob("*_texts.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == table:
                module = importlib.import_module(f"escrow.bot.{path.stem}")
                own += getattr(module, table)
    assert len(own) > 15
    assert [one for one in set(own) if own.count(one) > 1] == []


def test_an_unknown_reason_still_says_something() -> None:
    assert "can't be done" in refusal("from_the_future", {}, samples.page())


def test_a_refused_choice_is_one_polite_line() -> None:
    text = refusal("choice_refused", {}, samples.page())
    assert "\n" not in text
    assert "no longer open" in text


def test_a_limit_names_its_number() -> None:
    values = {"maximum": samples.kes(250_000)}
    assert "KES 250,000" in refusal("deal_too_large", values, samples.page())
    assert "65 seconds" in refusal("same_amount_too_soon", {"seconds": 65}, samples.page())
