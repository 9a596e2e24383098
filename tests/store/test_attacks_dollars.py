"""Direct SQL against dollars on their way out as coins: where to, on whose word, with which proof,
by which account.
"""

import asyncpg
import pytest

from tests.coin_addresses import TRON, txid
from tests.store import attacks
from tests.store.attacks import Attack, attack
from tests.store.books import (
    ADMIN,
    APP,
    OTHER_PHONE,
    OWNER,
    PRICE,
    STRANGER,
    Step,
    booked_payout,
    insert,
    post,
)
from tests.store.test_attacks_payouts import PAID, by_hand

BOTH = (OWNER, APP)
DESTINATION = f"USDT-TRC20:{TRON}"
HASH = f"'{txid(1)}'"
COINS, MPESA = ("external", "coins"), ("external", "mpesa:utility")

AROUND = (
    "payouts.payout_leaves_by_its_rail",
    "payout_in_coins_names_coin_and_address",
    "payout_in_coins_is_by_hand",
)
"""What stands around other guards of payouts, too."""


def dollars(**changes: object) -> tuple[Step, ...]:
    """Payout 900: the stranger's dollars wait for an admin."""
    row = {"destination": DESTINATION, "state": "MANUAL", **changes}
    return (
        post("dollars", (*MPESA, -PRICE), ("wallet", str(STRANGER), PRICE), currency="USD"),
        insert("payouts", id=900, telegram_id=STRANGER, currency="USD", **row),
        post(
            "payout:900",
            ("wallet", str(STRANGER), -PRICE),
            ("payable", "900", PRICE),
            currency="USD",
        ),
    )


def out(key: str = "paid", to: tuple[str, str] = COINS) -> Step:
    """Its money leaves, or goes back."""
    return post(f"payout_{key}:900", ("payable", "900", -PRICE), (*to, PRICE), currency="USD")


ATTACKS: tuple[Attack, ...] = (
    *(
        attack(
            f"dollars are not on their way to {what}",
            *dollars(destination=where),
            by="payout_in_coins_names_coin_and_address",
            roles=BOTH,
        )
        for what, where in (
            ("a phone", OTHER_PHONE),
            ("an address without a coin", TRON),
            ("markup", "USDT-TRC20:<b>TXYZabcdefghijkmnop</b>"),
            ("two lines", f"{DESTINATION}\n{TRON}"),
        )
    ),
    attack(
        "shillings are not on their way to an address",
        insert("payouts", id=900, telegram_id=STRANGER, destination=DESTINATION),
        booked_payout(900, STRANGER),
        by="payout_in_coins_names_coin_and_address",
        roles=BOTH,
    ),
    attack(
        "the program sends no dollars",
        *dollars(state="READY"),
        by="payout_in_coins_is_by_hand",
        roles=BOTH,
    ),
    attack(
        "nobody asks M-Pesa about dollars",
        *dollars(),
        f"UPDATE payouts SET named_reference = {HASH}, named_by = 1, named_token = 't'"  # noqa: S608
        " WHERE id = 900",
        by="payout_in_coins_is_by_hand",
        roles=BOTH,
    ),
    attack(
        "an admin closes no payout of his own dollars",
        *dollars(),
        out(),
        by_hand(900, "PAID", provider_reference=HASH, closed_by=STRANGER),
        by="payout_in_coins_ends_on_a_word",
        roles=BOTH,
    ),
    attack(
        "dollars go back on an admin's word alone",
        *dollars(),
        out("failed", ("wallet", str(STRANGER))),
        by_hand(900, "FAILED"),
        by="payout_in_coins_ends_on_a_word",
        roles=BOTH,
    ),
    *(
        attack(
            f"dollars are not paid by {what}",
            *dollars(),
            out(),
            by_hand(900, "PAID", provider_reference=proof, closed_by=ADMIN),
            by="payout_names_what_its_rail_gives",
            roles=BOTH,
        )
        for what, proof in (
            ("a receipt of M-Pesa", "'SGX0000001'"),
            ("a hash in another spelling", f"'{txid(1).upper()}'"),
            ("a hash with 0x", f"'0x{txid(1)}'"),
        )
    ),
    *(
        attack(
            f"shillings are not paid by a hash {spelled}",
            by_hand(2, "MANUAL"),
            post("payout_paid:2", *PAID),
            by_hand(2, "PAID", provider_reference=proof, closed_by=ADMIN),
            by="payout_names_what_its_rail_gives",
            roles=BOTH,
        )
        for spelled, proof in (("alone", HASH), ("with 0x", f"'0X{txid(1).upper()}'"))
    ),
    attack(
        "dollars do not leave M-Pesa's account",
        *dollars(),
        out(to=MPESA),
        by_hand(900, "PAID", provider_reference=HASH, closed_by=ADMIN),
        by="payout_leaves_by_its_rail",
        guard="payouts.payout_leaves_by_its_rail",
        roles=BOTH,
    ),
    attack(
        "shillings do not leave as coins",
        by_hand(2, "MANUAL"),
        post("payout_paid:2", ("payable", "2", -PRICE), (*COINS, PRICE)),
        by_hand(2, "PAID", provider_reference="'SGX0000001'", closed_by=ADMIN),
        by="payout_leaves_by_its_rail",
        guard="payouts.payout_leaves_by_its_rail",
        roles=BOTH,
    ),
    attack(
        "an address does not change on the way",
        *dollars(),
        "UPDATE payouts SET destination = 'USDT-TRC20:TAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'"
        " WHERE id = 900",
        by="payout_frozen",
        guard="payouts.payout_unchanged",
        roles=BOTH,
    ),
)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"


async def test_dollars_that_an_admin_sent_are_taken(attacked: asyncpg.Connection) -> None:
    sent = attack(
        "", *dollars(), out(), by_hand(900, "PAID", provider_reference=HASH, closed_by=ADMIN), by=""
    )
    for role in BOTH:
        assert await attacks.try_attack(attacked, sent, role) is None
