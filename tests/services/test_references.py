"""What people type as the account number means one deal, or none: never a guess."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from escrow.domain import codes
from escrow.services.references import deal_meant
from escrow.store.database import Connection
from tests.world import BRIAN, OTIENO, World


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        yield opened
        await opened.books()


@dataclass
class Deals:
    """A database that has these open deals and no others."""

    open_codes: frozenset[str]
    asked: int = 0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        yield self  # type: ignore[misc]

    async def fetch(self, _: str, near: list[str]) -> list[dict[str, str]]:
        self.asked += 1
        return [{"id": code} for code in sorted(self.open_codes & set(near))]


def code_of(nine: int) -> str:
    return f"ES{nine:09d}{codes.check_digit(f'{nine:09d}')}"


def digits_off(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


nines = st.integers(0, 10**9 - 1)
clumsy = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([" ", "-", ".", "#", "/", "_", "\t", "  "])),
    max_size=5,
)


@st.composite
def typed_like(draw: st.DrawFn) -> tuple[str, str]:
    """(ten digits as they are meant, the same as somebody types them: with ES or without, in any
    case, with O, I and L for digits, spaces and dashes, and up to three wrong digits).
    """
    meant = code_of(draw(nines))[2:]
    wrong = list(meant)
    for place in draw(st.lists(st.integers(0, 9), max_size=3)):
        wrong[place] = draw(st.sampled_from("0123456789"))
    text = draw(st.sampled_from(["ES", "es", "Es", "eS", "E5", ""])) + "".join(
        draw(st.sampled_from({"0": "0Oo", "1": "1IlLi"}.get(one, one))) for one in wrong
    )
    for place, mark in draw(clumsy):
        text = text[:place] + mark + text[place:]
    return "".join(wrong), text


@st.composite
def neighbourhoods(draw: st.DrawFn) -> frozenset[str]:
    """Open deals: some anywhere, and some that are a digit or two apart from each other."""
    found = {code_of(nine) for nine in draw(st.lists(nines, max_size=4))}
    for code in sorted(found):
        for _ in range(draw(st.integers(0, 4))):
            place, digit = draw(st.integers(2, 11)), draw(st.sampled_from("0123456789"))
            found.update(codes.near_codes(code[:place] + digit + code[place + 1 :])[:3])
    return frozenset(found)


ALIKE = frozenset({"ES1008257626", "ES1008257634", "ES1008257642"})


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(typed=typed_like(), alike=neighbourhoods(), apart=st.booleans())
@example(typed=("1008257630", "es 1008 2576 3o"), alike=ALIKE, apart=False)
async def test_a_reading_is_one_digit_off_at_most_and_the_only_open_deal_that_fits(
    typed: tuple[str, str], alike: frozenset[str], apart: bool
) -> None:
    digits, text = typed
    deals = alike if apart else alike | {f"ES{digits}"} & {code_of(int(digits[:9]))}
    meant = await deal_meant(Deals(deals), text)  # type: ignore[arg-type]
    fitting = {code for code in deals if digits_off(code[2:], digits) == 1}
    if codes.is_code(f"ES{digits}"):
        assert meant == f"ES{digits}", "a right code is what it says, whatever is near"
    elif len(fitting) == 1:
        assert {meant} == fitting
    else:
        assert meant is None, "no deal fits, or two do"
    if meant is not None:
        assert digits_off(meant[2:], digits) <= 1


@settings(deadline=None, max_examples=400)
@given(text=st.text(max_size=80), alike=neighbourhoods())
async def test_what_is_no_code_never_means_a_deal(text: str, alike: frozenset[str]) -> None:
    deals = Deals(alike)
    meant = await deal_meant(deals, text)  # type: ignore[arg-type]
    digits = codes.ten_digits(text)
    if digits is None:
        assert (meant, deals.asked) == (None, 0)
    else:
        assert meant is None or digits_off(meant[2:], digits) <= 1


async def test_only_deals_that_wait_for_money_are_guessed(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    wrong = deal.id[2:-1] + str((int(deal.id[-1]) + 1) % 10)
    assert await deal_meant(world.db, f"es {wrong}") == deal.id
    await world.pay(deal, 1_050)
    assert await deal_meant(world.db, f"es {wrong}") is None
    assert await deal_meant(world.db, deal.id.lower()) == deal.id, "a right code says what it says"


async def test_two_open_deals_that_fit_are_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    wrong = deal.id[:-1] + str((int(deal.id[-1]) + 1) % 10)
    other = next(code for code in codes.near_codes(wrong) if code != deal.id)
    monkeypatch.setattr(codes, "new_code", lambda _: other)
    assert (await world.deal(2_000, buyer=OTIENO)).id == other
    assert await deal_meant(world.db, wrong) is None
