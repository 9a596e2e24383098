"""The error tree: each kind says what it is, and the drawn tree is the one in the code."""

import pytest

from escrow.domain import errors
from escrow.domain.errors import AmanaError, CannotDo, Fault


def tree(kind: type[AmanaError]) -> list[type[AmanaError]]:
    return [kind] + [leaf for child in kind.__subclasses__() for leaf in tree(child)]


HERE = [kind for kind in tree(AmanaError) if kind.__module__ == errors.__name__]
FAULTS = [kind for kind in HERE if issubclass(kind, Fault)]
REFUSALS = [kind for kind in HERE if issubclass(kind, CannotDo)]


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_a_fault_without_words_says_its_docstring(kind: type[Fault]) -> None:
    assert str(kind()) == kind.__doc__
    assert str(kind("the words")) == "the words"
    assert kind.__doc__
    assert kind.__doc__.endswith(".")
    assert "\n" not in kind.__doc__


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_a_refusal_carries_the_key_of_its_words_and_what_fills_them(kind: type[CannotDo]) -> None:
    plain = kind()
    assert plain.reason == kind.reason
    assert plain.values == {}
    assert str(plain) == kind.reason
    own = kind("own_reason", code="ES1", minimum=5)
    assert own.reason == "own_reason"
    assert own.values == {"code": "ES1", "minimum": 5}
    assert str(own) == "own_reason code=ES1 minimum=5"
    assert kind().reason == kind.reason, "the class keeps its own"


def test_every_refusal_has_a_reason_of_its_own() -> None:
    reasons = [kind.reason for kind in REFUSALS]
    assert len(set(reasons)) == len(reasons)


def test_an_error_of_no_kind_says_its_docstring_too() -> None:
    assert str(AmanaError()) == AmanaError.__doc__


def test_refusals_and_faults_are_two_families() -> None:
    assert not set(FAULTS) & set(REFUSALS)
    assert set(HERE) == {AmanaError, *FAULTS, *REFUSALS}


def test_the_drawn_tree_is_the_one_that_grows() -> None:
    drawn = {
        word
        for line in (errors.__doc__ or "").splitlines()
        for word in line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()[:1]
        if line.startswith("    ")
    }
    assert drawn == {kind.__name__ for kind in HERE}
