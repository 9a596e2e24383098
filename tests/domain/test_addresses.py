"""An address with a wrong letter is told, and no other text passes for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.domain.addresses import read_address, read_hash, with_check
from escrow.domain.coins import BY_CODE, STABLE
from escrow.domain.errors import InvalidInput
from tests.coin_addresses import ETHEREUM, TRON, tron

ON_TRON, ON_ETHEREUM = BY_CODE["USDT-TRC20"], BY_CODE["USDC-ERC20"]
# the four examples of EIP-55
CHECKED = (
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def refused(coin: str, typed: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_address(BY_CODE[coin], typed)
    return caught.value.reason


def test_every_coin_that_dollars_are_paid_in_has_addresses_we_can_check() -> None:
    assert len(STABLE) >= 3
    for coin in STABLE:
        good = TRON if coin.network.startswith("Tron") else ETHEREUM
        assert read_address(coin, f" {good}\n") == good


def test_a_coin_whose_addresses_we_cannot_check_is_not_taken() -> None:
    with pytest.raises(ValueError, match="can't be checked"):
        read_address(BY_CODE["BTC"], TRON)


def test_every_wrong_letter_of_a_tron_address_is_caught() -> None:
    for place in range(1, 34):
        for other in BASE58.replace(TRON[place], ""):
            typed = TRON[:place] + other + TRON[place + 1 :]
            assert refused("USDT-TRC20", typed) == "address_mistyped", typed
    swapped = TRON[:5] + TRON[6] + TRON[5] + TRON[7:]
    assert refused("USDT-TRC20", swapped) == "address_mistyped"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "T",
        TRON[:-1],
        TRON + "1",
        TRON.replace("T", "t", 1),
        TRON[:9] + " " + TRON[9:],
        TRON[:-1] + "0",  # no letter of base58
        TRON[:-1] + "І",  # Cyrillic
        "ТR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",  # Cyrillic T
        ETHEREUM,
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        f"tron:{TRON}",
        "<b>T</b>",
        tron(bytes(20)),  # nobody's
        tron(bytes(range(20)), version=0x42),
    ],
)
def test_what_is_no_tron_address_is_refused(typed: str) -> None:
    assert refused("USDT-TRC20", typed) in ("not_tron_address", "address_mistyped")


@pytest.mark.parametrize("address", CHECKED)
def test_ethereums_mixed_spelling_is_checked(address: str) -> None:
    assert with_check(address.lower()) == address
    assert read_address(ON_ETHEREUM, address) == address
    wrong = address[:-1] + address[-1].swapcase() if address[-1].isalpha() else address
    for place in range(2, 42):
        if address[place].isalpha():
            wrong = address[:place] + address[place].swapcase() + address[place + 1 :]
            assert refused("USDC-ERC20", wrong) == "address_mistyped", wrong


@pytest.mark.parametrize("address", CHECKED)
def test_one_spelling_alone_says_nothing_and_is_taken_as_it_is(address: str) -> None:
    large = "0x" + address[2:].upper()
    assert read_address(ON_ETHEREUM, address.lower()) == address.lower()
    assert read_address(ON_ETHEREUM, large) == large


@pytest.mark.parametrize(
    "typed",
    ["", "0x", ETHEREUM[:-1], ETHEREUM + "0", ETHEREUM[2:], "0x" + "g" * 40, "0x" + "0" * 40, TRON],
)
def test_what_is_no_ethereum_address_is_refused(typed: str) -> None:
    assert refused("USDT-ERC20", typed) == "not_ethereum_address"


@pytest.mark.parametrize(
    ("coin", "address"),
    [
        ("USDT-TRC20", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
        ("USDT-ERC20", "0xdAC17F958D2ee523a2206206994597C13D831ec7"),
        ("USDC-ERC20", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
        ("USDC-ERC20", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    ],
)
def test_the_address_of_the_coin_itself_is_nobodys_wallet(coin: str, address: str) -> None:
    assert refused(coin, address) == "address_of_coin"


@given(st.text(max_size=60))
def test_no_words_break_the_reading(typed: str) -> None:
    for coin in STABLE:
        with pytest.raises(InvalidInput):
            read_address(coin, typed)


def test_a_hash_is_read_with_and_without_its_prefix() -> None:
    plain = "ab12" * 16
    for typed in (plain, f" 0x{plain}\n", plain.upper(), f"0X{plain.upper()}"):
        assert read_hash(typed) == plain


@pytest.mark.parametrize("typed", ["", "SG632NMUAB", "ab12" * 15, "ab12" * 17, "xy12" * 16, TRON])
def test_what_is_no_hash_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="not_a_hash"):
        read_hash(typed)
