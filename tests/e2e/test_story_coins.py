"""Deals paid in coins by people who tap, at a started program; killed where it hurts most."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from escrow.store import embedded
from sandbox import persona
from sandbox.dynopay_wire import CONFIRMED, PENDING
from sandbox.server import Sandbox
from tests.conftest import own_database
from tests.e2e.cast import KES, Actor, Stage
from tests.e2e.conftest import ROOT, Running

USDT, XRP = 1, 8
"""The numbers of two buttons: the first coin is had at BlockBee, the last one only at DynoPay."""
ASKED = "SELECT * FROM crypto_attempts WHERE escrow_id = $1 ORDER BY id DESC LIMIT 1"


def keys(sandbox: Sandbox) -> dict[str, str]:
    """The crypto rails of the sandbox, as an operator sets them."""
    return {
        "BLOCKBEE_BASE_URL": sandbox.blockbee_url,
        "BLOCKBEE_API_KEY": persona.BLOCKBEE_API_KEY,
        "BLOCKBEE_PUBLIC_KEY": sandbox.blockbee.public_key_pem.replace("\n", "\\n"),
        "DYNOPAY_BASE_URL": sandbox.dynopay_url,
        "DYNOPAY_API_KEY": persona.DYNOPAY_API_KEY,
        "DYNOPAY_WEBHOOK_SECRET": persona.DYNOPAY_WEBHOOK_SECRET,
    }


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("coins")
    async with own_database(cluster, template_database) as dsn, Sandbox() as sandbox:
        running = Running(sandbox, dsn, folder, FX_KES_PER_USD="129.50", **keys(sandbox))
        await running.start()
        try:
            yield Stage(running)
        finally:
            await running.close()


async def asks(stage: Stage, buyer: Actor, code: str, coin: int) -> Any:
    """Link, [Pay in crypto], a coin: the address that the buyer is shown."""
    buyer.starts(code)
    await buyer.presses("coins", deal=code)
    await buyer.presses("coin", deal=code, number=coin)
    await stage.until(
        "SELECT count(*) FROM crypto_attempts WHERE escrow_id = $1 AND state = 'OPEN'", 1, code
    )
    (row,) = await stage.sql(ASKED, code)
    shown = await buyer.reads(row["address"])
    assert f"{row['coin_amount']:f}".rstrip("0").rstrip(".") in shown.text
    assert (row["tag"] in shown.text) if row["tag"] else True
    return row


async def sends(stage: Stage, asked: Any, **how: Any) -> Any:
    """The buyer's wallet app sends what was asked for."""
    if asked["provider"] == "blockbee":
        return await stage.running.sandbox.blockbee.pay(
            asked["address"], asked["coin_amount"].normalize(), **how
        )
    return await stage.running.sandbox.dynopay.pay(asked["provider_reference"], **how)


async def credited_once(stage: Stage, code: str, currency: str, minor: int) -> None:
    await stage.status(code, "HELD")
    await stage.handled()
    rows = await stage.sql(
        "SELECT currency, amount_minor, state FROM receipts WHERE escrow_id = $1", code
    )
    assert [tuple(row) for row in rows] == [(currency, minor, "CREDITED")]
    await stage.running.books_are_right()


@pytest.mark.parametrize("coin", [USDT, XRP], ids=["BlockBee", "DynoPay"])
async def test_a_dollar_deal(stage: Stage, coin: int) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("USD 100 Blue phone case")
    asked = await asks(stage, brian, code, coin)
    await sends(stage, asked)
    await brian.reads("USD 105", "your money is held")
    await jane.reads("USD 100 is held for you")
    await credited_once(stage, code, "USD", 105_00)


@pytest.mark.parametrize("coin", [USDT, XRP], ids=["BlockBee", "DynoPay"])
async def test_a_shilling_deal(stage: Stage, coin: int) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("10000 Blue phone case")
    asked = await asks(stage, brian, code, coin)
    assert (asked["usd_minor"], asked["kes_per_usd"]) == (81_09, Decimal("129.50"))
    await sends(stage, asked)
    await brian.reads("KES 10,500", "your money is held")
    await credited_once(stage, code, "KES", 10_500 * KES)


async def test_a_short_payment_is_completed_in_coins(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("USD 100 Blue phone case")
    asked = await asks(stage, brian, code, USDT)
    await stage.running.sandbox.blockbee.pay(asked["address"], "98")
    await brian.reads("USD 98 (USD 7 short)", since=0)
    await brian.taps("Complete payment")
    await brian.presses("coin", deal=code, number=USDT)
    await stage.until(
        "SELECT count(*) FROM crypto_attempts WHERE escrow_id = $1 AND state = 'OPEN'", 2, code
    )
    (rest,) = await stage.sql(ASKED, code)
    assert rest["coin_amount"] == 7
    await sends(stage, rest)
    await stage.status(code, "HELD")
    assert await stage.wallet(brian) == 0
    await stage.running.books_are_right()


# -- killed ----------------------------------------------------------------------------------------


@asynccontextmanager
async def deal_held_fast(stage: Stage, code: str) -> AsyncIterator[None]:
    """Somebody else has the deal's row: a payment gets as far as that and no further."""
    conn = await asyncpg.connect(stage.running.dsn)
    try:
        async with conn.transaction():
            await conn.execute("SELECT FROM escrow_transactions WHERE id = $1 FOR UPDATE", code)
            yield
    finally:
        await conn.close()


@pytest.mark.parametrize("coin", [USDT, XRP], ids=["BlockBee", "DynoPay"])
async def test_killed_between_storing_and_crediting(stage: Stage, coin: int) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("USD 100 Blue phone case")
    asked = await asks(stage, brian, code, coin)
    async with deal_held_fast(stage, code):
        await sends(stage, asked)
        await stage.until(
            "SELECT count(*) FROM crypto_deposits WHERE attempt_id = $1", 1, asked["id"]
        )
        await stage.until("SELECT count(*) > 0 FROM inbox WHERE state = 'NEW'", True)
        await stage.running.kill()
    assert await stage.value("SELECT count(*) FROM receipts WHERE escrow_id = $1", code) == 0
    stage.running.output.clear()
    await stage.running.start()
    await credited_once(stage, code, "USD", 105_00)
    await brian.reads("your money is held", since=0)


@pytest.mark.parametrize("heard", ["the provider calls again", "it is found by asking"])
@pytest.mark.parametrize("coin", [USDT, XRP], ids=["BlockBee", "DynoPay"])
async def test_killed_between_pending_and_confirmed(stage: Stage, coin: int, heard: str) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("USD 100 Blue phone case")
    asked = await asks(stage, brian, code, coin)
    bee, dyno = stage.running.sandbox.blockbee, stage.running.sandbox.dynopay
    if coin == USDT:
        coming = await sends(stage, asked, confirm=False)
    else:
        coming = await sends(stage, asked, events=(PENDING,))
    await brian.reads("I see your")
    await stage.running.kill()
    if coin == USDT:
        await bee.confirm(coming)
    else:
        txid = coming[0].payload["txId"]
        (missed,) = await sends(stage, asked, events=(CONFIRMED,), txid=txid)
        assert not missed.delivered
    stage.running.output.clear()
    await stage.running.start()
    assert await stage.value("SELECT count(*) FROM receipts WHERE escrow_id = $1", code) == 0
    if heard == "it is found by asking":
        await stage.sql(
            "UPDATE crypto_attempts SET next_look_at = now() WHERE id = $1 RETURNING id",
            asked["id"],
        )
    elif coin == USDT:
        assert await bee.retry() == 1
    else:
        await dyno.redeliver(missed)
    await credited_once(stage, code, "USD", 105_00)


# -- what --check says -----------------------------------------------------------------------------


async def checked(running: Running, **changes: str) -> list[str]:
    """`python main.py --check` with other settings: the lines about coins."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        "--check",
        env={**running.environment, **changes},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    words = ("BlockBee", "DynoPay", "Dollar", "M-Pesa: no MPESA_CONSUMER", "Ways to pay")
    return [line for line in out.decode().splitlines() if any(word in line for word in words)]


async def test_check_names_the_rails_that_are_offered(stage: Stage) -> None:
    assert await checked(stage.running) == [
        "✔ BlockBee: deals can be paid in crypto",
        "✔ DynoPay: deals can be paid in crypto",
        "✔ Dollar: USD 1 is KES 129.5",
    ]


async def test_check_says_why_a_rail_is_not_offered(stage: Stage) -> None:
    said = await checked(stage.running, BLOCKBEE_API_KEY="")
    assert said[0] == "  BlockBee: no BLOCKBEE_API_KEY: it is not offered"
    assert said[1].startswith("✔ DynoPay")
    said = await checked(stage.running, PUBLIC_URL="")
    assert said == [
        "  BlockBee: has keys, but no PUBLIC_URL to call back: it is not offered",
        "  DynoPay: has keys, but no PUBLIC_URL to call back: it is not offered",
    ]


async def test_check_says_that_mpesa_is_not_offered_without_its_keys(stage: Stage) -> None:
    none = {"MPESA_CONSUMER_KEY": "", "MPESA_CONSUMER_SECRET": ""}
    said = await checked(stage.running, **none)
    assert said[:2] == [
        "  M-Pesa: no MPESA_CONSUMER_KEY: it is not offered",
        "✔ Ways to pay: in crypto only",
    ]
    no_coins = {"BLOCKBEE_API_KEY": "", "DYNOPAY_API_KEY": "", "DYNOPAY_WEBHOOK_SECRET": ""}
    said = await checked(stage.running, **none, **no_coins)
    assert said[1].startswith("✘ Ways to pay")


async def test_check_says_what_keeps_shilling_deals_from_it(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with own_database(cluster, template_database) as dsn, Sandbox() as sandbox:
        fresh = Running(sandbox, dsn, tmp_path_factory.mktemp("fresh"), **keys(sandbox))
        *rails, dollar = await checked(fresh)
        assert "Dollar: no price, so shilling deals are not paid in crypto" in dollar
        await fresh.sql(
            "INSERT INTO fx_rates (kes_per_usd, source, set_at)"
            " VALUES (131, 'host', now() - interval '25 hours') RETURNING id"
        )
        assert "is too old" in (await checked(fresh))[-1]
        said = await checked(fresh, FX_KES_PER_USD="130")
        assert said == [*rails, "✔ Dollar: USD 1 is KES 130"]
        await fresh.close()
