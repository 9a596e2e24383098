"""The coins that can pay a deal: their numbers stand on buttons, their names at providers."""

from collections import Counter

from escrow.domain.coins import BY_CODE, COINS


def test_a_coin_is_found_under_its_code() -> None:
    assert list(BY_CODE.values()) == list(COINS)
    assert all(code == coin.code for code, coin in BY_CODE.items())


def test_a_coins_place_stays_since_buttons_carry_it() -> None:
    assert [coin.code for coin in COINS[:8]] == [
        "USDT-TRC20",
        "USDT-ERC20",
        "USDC-ERC20",
        "BTC",
        "LTC",
        "ETH",
        "TRX",
        "XRP",
    ]


def test_no_provider_has_one_word_for_two_coins() -> None:
    for words in ((coin.blockbee for coin in COINS), (coin.dynopay for coin in COINS)):
        assert [word for word, times in Counter(filter(None, words)).items() if times > 1] == []


def test_every_coin_has_a_provider_and_fits_what_is_kept() -> None:
    for coin in COINS:
        assert coin.blockbee or coin.dynopay
        assert 0 < coin.digits <= 18
        assert coin.name
        assert coin.network


def test_the_same_name_on_two_networks_is_told_apart() -> None:
    assert len({(coin.name, coin.network) for coin in COINS}) == len(COINS)


def test_blockbee_has_no_coin_whose_address_is_shared() -> None:
    assert [coin.code for coin in COINS if coin.needs_tag and coin.blockbee] == []
