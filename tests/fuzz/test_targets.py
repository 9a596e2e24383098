"""The readers keep their promises for inputs that lie beside the ones they know."""

import random

import pytest

from tests.fuzz import targets

ROUNDS = 400
PIECES = (
    b"NaN", b"1e999", b'"', b"{", b"[", b"\\u0000", b"\\ud800", b"\xff", b"\0", b"-0", b"9" * 40,
    "１２".encode(), b"null", b"true", b'"Amount":', b" ", b"*", b"ES", b"Ksh", b"254",
)  # fmt: skip


def beside(seed: bytes, draw: random.Random) -> bytes:
    """The seed with up to three places cut, doubled, or replaced."""
    text = seed
    for _ in range(draw.randrange(1, 4)):
        place, length = draw.randrange(len(text) + 1), draw.randrange(1, 12)
        piece = draw.choice((b"", draw.choice(PIECES), text[place : place + length] * 2))
        text = text[:place] + piece + text[place + length :]
    return text


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_reader_keeps_its_promises_beside_what_it_knows(name: str) -> None:
    target = targets.TARGETS[name]
    draw = random.Random(name)  # noqa: S311 the same inputs in every run
    for seed in target.seeds:
        target.read(seed)
        for _ in range(ROUNDS):
            target.read(beside(seed, draw))


def test_a_written_input_names_its_reader() -> None:
    for seed in targets.seeds():
        targets.one(seed)
    targets.one(b"")
    assert {seed[0] for seed in targets.seeds()} == set(range(len(targets.TARGETS)))
