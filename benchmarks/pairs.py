"""Measuring in pairs: ours and the same by hand in turn, so that both see the same machine."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

Sample = Callable[[], Awaitable[float]]
"""Does the work once and returns what it measured: a rate, seconds or bytes."""

AT_LEAST: Final = "≥"
AT_MOST: Final = "≤"


@dataclass(frozen=True, slots=True)
class Bar:
    """What the ratio is held to: `Bar("≥", 1.0)` for rates, `Bar("≤", 1.5)` for costs."""

    sign: str
    ratio: float

    def holds(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.sign == AT_LEAST else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{self.sign} {self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the results: medians of `pairs` in `unit`; without `bar` it is only shown."""

    what: str
    beside: str
    unit: str
    pairs: Sequence[tuple[float, float]] = field(repr=False)
    bar: Bar | None = None

    @property
    def ours(self) -> float:
        return median(ours for ours, _ in self.pairs)

    @property
    def by_hand(self) -> float:
        return median(by_hand for _, by_hand in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the pairs' own ratios: a slow minute slows both halves of a pair."""
        return median(ours / by_hand for ours, by_hand in self.pairs)

    @property
    def spread(self) -> tuple[float, float]:
        ratios = [ours / by_hand for ours, by_hand in self.pairs]
        return min(ratios), max(ratios)

    @property
    def sound(self) -> bool:
        """Whether anything was measured at all."""
        return bool(self.pairs) and all(
            math.isfinite(value) and value > 0 for pair in self.pairs for value in pair
        )

    @property
    def verdict(self) -> str:
        """Said on the rounded ratio that the table shows."""
        if self.bar is None:
            return ""
        return "held" if self.bar.holds(round(self.ratio, 2)) else "missed"


async def interleaved(rounds: int, *samples: Sample) -> list[tuple[float, ...]]:
    """`rounds` times every sample, each round begun by another one; columns as `samples`."""
    found = []
    for number in range(rounds):
        measured = [0.0] * len(samples)
        for place in range(len(samples)):
            turn = (place + number) % len(samples)
            measured[turn] = await samples[turn]()
        found.append(tuple(measured))
    return found


def columns(
    found: Sequence[tuple[float, ...]], ours: int, by_hand: int
) -> list[tuple[float, float]]:
    """The pairs that two of the samples make."""
    return [(row[ours], row[by_hand]) for row in found]
