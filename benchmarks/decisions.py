"""Tolerance decisions per second of one core, beside the same comparison on plain integers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import payment_tolerance as engine
from benchmarks.pairs import AT_LEAST, Bar, Figure, columns, interleaved
from escrow.domain.money import Currency, minor_to_decimal

_BAR: Final = Bar(AT_LEAST, 0.15)


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int
    payments: int


FULL: Final = Scale(rounds=9, payments=40_000)
QUICK: Final = Scale(rounds=1, payments=500)


def plain(due: int, received: int) -> int:
    """KES at the default tiers: 0 accepts, 1 lets the buyer choose, 2 sends it back."""
    if due < 5_000_00:
        fine = max(due * 500, 50_00 * 10_000)
    elif due < 50_000_00:
        fine = due * 300
    else:
        fine = min(due * 100, 1_000_00 * 10_000)
    fine = min(fine, due * 1_000)
    short = (due - received) * 10_000
    if short <= fine:
        return 0
    return 1 if short <= 3 * fine else 2


def payments(count: int) -> list[tuple[int, int]]:
    """(due, received) over all tiers and answers, always the same ones."""
    draw = random.Random(2)
    found = []
    for _ in range(count):
        due = draw.randrange(100_00, 250_000_00)
        found.append((due, max(due * draw.randrange(80, 105) // 100, 1)))
    return found


async def run(scale: Scale = FULL) -> list[Figure]:
    minor = payments(scale.payments)
    major = [
        (minor_to_decimal(due, Currency.KES), minor_to_decimal(got, Currency.KES))
        for due, got in minor
    ]
    _same_answers(minor, major)

    on_currency = [(*row, Currency.KES) for row in minor]
    in_words = [(*row, "KES") for row in major]

    async def on_decimals() -> float:
        return _rate(engine.analyze_payment_variance, in_words)

    async def on_minor_units() -> float:
        return _rate(engine.decide, on_currency)

    async def on_integers() -> float:
        return _rate(plain, minor)

    found = await interleaved(scale.rounds, on_decimals, on_minor_units, on_integers)
    beside = "the same comparison on plain integers"
    return [
        Figure(what, beside, "decisions/s per core", columns(found, place, 2), _BAR)
        for place, what in (
            (0, "tolerance decisions on Decimals (`analyze_payment_variance`)"),
            (1, "tolerance decisions on minor units (`decide`)"),
        )
    ]


def _same_answers(
    minor: Sequence[tuple[int, int]], major: Sequence[tuple[Decimal, Decimal]]
) -> None:
    responses = list(engine.PaymentResponse)
    for (due, got), (expected, received) in zip(minor, major, strict=True):
        answer = responses[plain(due, got)]
        assert engine.decide(due, got, Currency.KES).response_type is answer
        decision = engine.analyze_payment_variance(expected, received, "KES")
        assert decision.response_type is answer


def _rate(decide: Callable[..., object], rows: Sequence[tuple[Any, ...]]) -> float:
    """Calls per second of processor time, so that other programs do not count."""
    began = time.process_time()
    for row in rows:
        decide(*row)
    return len(rows) / (time.process_time() - began)
