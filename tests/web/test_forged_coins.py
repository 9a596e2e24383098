"""Thousands of forged, replayed and broken requests at the doors of BlockBee and DynoPay, made from
two true callbacks, over real HTTP and with the real signatures: two credits, no 5xx.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sandbox.blockbee_wire import CoinDelivery
from sandbox.dynopay_wire import CONFIRMED, Hook, headers
from tests.coin_house import SECRETS, coin_house
from tests.world import BRIAN, OTIENO

REQUESTS = 3000
OPEN = {200, 400, 401, 403, 404, 405, 413, 415}


@dataclass(frozen=True)
class Knock:
    """One request, ready to be sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


def _of(true: CoinDelivery | Hook) -> Knock:
    url = urlsplit(true.url)
    path = url.path + (f"?{url.query}" if url.query else "")
    method = true.method if isinstance(true, CoinDelivery) else "POST"
    return Knock(method, path, dict(true.headers), true.body)


def _hexes(draw: random.Random) -> str:
    return f"{draw.getrandbits(128):032x}"


def _forged(draw: random.Random, true: Knock, kind: str, seconds: int) -> Knock:
    """The true request, changed in one way."""
    path, body, heads = true.path, true.body, dict(true.headers)
    if kind == "amount":  # a far larger payment, under the signature of the true one
        path, body = (
            path.replace("value_coin=", "value_coin=1"),
            body.replace('mount":', 'mount":1'),
        )
    elif kind == "hash":  # another payment
        path, body = path.replace("txid_in=", "txid_in=f"), body.replace('"txId":"', '"txId":"f')
    elif kind == "unsigned":
        heads = {k: v for k, v in heads.items() if "signature" not in k.lower()}
    elif kind == "signature":
        heads = {k: v[::-1] if "signature" in k.lower() else v for k, v in heads.items()}
    elif kind == "own key":
        at = datetime.fromtimestamp(seconds, UTC)
        heads |= headers(CONFIRMED, _hexes(draw), body, at, (_hexes(draw),), "signed")
    elif kind == "token":
        start, _, query = path.partition("?")
        path = f"{start.rpartition('/')[0]}/{_hexes(draw)}" + (f"?{query}" if query else "")
    elif kind == "secret":
        path = path.replace(SECRETS["blockbee"], _hexes(draw), 1)
    elif kind == "cut":
        path, body = path[: draw.randint(1, len(path))], body[: draw.randint(0, len(body))]
    elif kind == "noise":
        at = draw.randint(0, len(body))
        body = body[:at] + draw.choice(["\x00", "}", "9" * 400, "é", "null", "[" * 50]) + body[at:]
    elif kind == "method":
        return Knock("POST" if true.method == "GET" else "GET", path, heads, body)
    return Knock(true.method, path, heads, body)


KINDS = (
    *("replay", "amount", "hash", "unsigned", "signature", "own key"),
    *("token", "secret", "cut", "noise", "method"),
)


async def test_thousands_of_forged_coin_callbacks_credit_nothing_and_break_nothing(
    dsn: str,
) -> None:
    async with coin_house(dsn, ["blockbee", "dynopay"]) as house:
        world = house.world
        by_bee = (await world.ask_coins(await world.usd_deal(), BRIAN, "USDT-TRC20")).attempt
        by_dyno = (await world.ask_coins(await world.usd_deal(), OTIENO, "XRP")).attempt
        assert by_bee.coin_amount is not None
        paid = await house.bee.pay(by_bee.address, by_bee.coin_amount)
        hooks = await house.dyno.pay(by_dyno.reference, by_dyno.coin_amount)
        true = [_of(paid.deliveries[-1]), *(_of(one) for one in hooks)]
        await world.settle_inbox()
        assert len(await world.receipts()) == 2, "both true payments"

        draw = random.Random(11)  # noqa: S311 requests, no keys
        answers: Counter[tuple[str, int]] = Counter()
        for number in range(REQUESTS):
            kind = KINDS[number % len(KINDS)]
            seconds = int(world.clock.now().timestamp())
            knock = _forged(draw, draw.choice(true), kind, seconds)
            said = await house.http.request(
                knock.method, knock.path, headers=dict(knock.headers), content=knock.body
            )
            answers[kind, said.status_code] += 1
        assert {status for _, status in answers} <= OPEN, answers
        for _ in range(8):  # what is stored is tried until it is put aside
            await world.settle_inbox()
            world.clock.tick(hours=1)
        assert len(await world.receipts()) == 2
        assert await world.value("SELECT sum(amount_minor) FROM receipts") == 2 * 10_500
        await world.books()
        stored = await world.value("SELECT count(*) FROM inbox")
        print(f"\n{REQUESTS} requests, {stored} stored; {sorted(answers.items())}")
        assert answers["signature", 200] == answers["unsigned", 200] == 0
        assert answers["amount", 200] == answers["secret", 200] == 0
