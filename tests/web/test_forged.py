"""10,000 forged, replayed and broken requests against the real server and the real door, among them
two true payments: two credits, no 5xx, and the books balance (faults.md T1, F22, F23, F48–F50).
Money on its way out, to a person and back to a payer, stays there until the true results come.

Some know the secret in the path, as somebody does who read a proxy's log: then it is M-Pesa's own
answer that decides, and where nobody can be asked the list of addresses.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import ANY

import aiohttp
import pytest

from escrow.domain.model import Attempt, Escrow, Evidence
from escrow.services.ports import Answer, Verdict
from escrow.web.server import Server
from escrow.web.webhooks import Webhooks
from tests.account_rail import balance_body, pulled_row
from tests.payout_rail import SentPayout, asked_body, result_body
from tests.rail import CANCELLED, PAID, checkout_id, paybill_body, status_body, stk_body
from tests.reversal_rail import SentReversal, asked_reversal_body, reversed_body
from tests.web.test_webhooks import MALFORMED
from tests.world import ADMIN, BRIAN, OTIENO, World, kes, new_reference

SECRET = "0" * 32
ROUTES_WITH_TOKEN = "srtqupoawxbkl"
ROUTES_WITH_RESULT = "srqpawxk"
"""Those whose body is read: the others are only told that a queue timed out."""
UNKNOWN = Answer(Verdict.UNKNOWN, "500.001.1001", "unknown")


@dataclass(frozen=True)
class Request:
    """What is sent, and which answers are right."""

    kind: str
    path: str
    body: bytes
    answers: tuple[int, ...]
    method: str = "POST"


@dataclass
class Scene:
    """Deals, two of which are really paid, and a M-Pesa that knows only those payments; and, not
    answered yet, a withdrawal (`out`), a payment that is sent back (`back`), and a question about
    our accounts.
    """

    world: World
    paid: Escrow
    prompt: Attempt
    by_hand: Escrow
    open: Escrow
    old: Attempt
    out: SentPayout
    back: SentReversal
    question: str
    before: set[str]
    draw: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311

    def __post_init__(self) -> None:
        now = self.world.clock.now()
        self.references = (new_reference(), new_reference())
        self.stk = stk_body(self.prompt, now, reference=self.references[0])
        self.c2b = paybill_body(self.by_hand.id, self.by_hand.due, self.references[1], now)
        self.answered = 0

    @classmethod
    async def set(cls, world: World) -> Scene:
        paid, by_hand = await world.deal(1_000), await world.deal(2_000, buyer=BRIAN)
        prompt = await world.prompt(paid)
        declined = await world.deal(3_000)
        old = await world.prompt(declined, OTIENO)
        world.rail.query_answer = UNKNOWN
        world.rail.query_answers = {
            checkout_id(prompt.token): PAID,
            checkout_id(old.token): CANCELLED,
        }
        await world.callback(old, code=1032)
        opened = await world.deal(4_000, buyer=BRIAN)
        out, back, question = await cls._on_the_way(world)
        before = await credited(world)
        return cls(world, paid, prompt, by_hand, opened, old, out, back, question, before)

    @staticmethod
    async def _on_the_way(world: World) -> tuple[SentPayout, SentReversal, str]:
        await world.give(BRIAN, kes(700))
        await world.payouts.book_withdrawal(BRIAN, kes(700), "update:1")
        stray = world.by_hand(None, kes(1_500), shown="254722***222")
        await world.funds.process_escrow_payment(stray, Evidence.STATUS)
        await world.rules("send_back", stray.reference, ADMIN)
        await world.payouts.send_due()
        await world.balances.ask_due()
        (out,), (back,), (question,) = (
            world.payout_rail.sent,
            world.reversals.sent,
            world.account_rail.asked,
        )
        return out, back, question

    def truth(self) -> list[Request]:
        return [
            Request("true", f"s/{self.prompt.token}", self.stk, (200,)),
            Request("true", "c", self.c2b, (200,)),
        ]

    async def mpesa_answers(self) -> list[Request]:
        """What M-Pesa says to each TransactionStatus since: Completed to what was paid, else no."""
        asked = self.world.rail.asked
        found = []
        while self.answered < len(asked):
            one = asked[self.answered]
            self.answered += 1
            deal = dict(zip(self.references, (self.paid, self.by_hand), strict=True)).get(
                one.reference
            )
            amount = deal.due if deal is not None else kes(1)
            body = status_body(one.reference, amount, code=0 if deal is not None else 2032)
            found.append(Request("answers of M-Pesa", f"r/{one.token}", body, (200,)))
        return found

    # -- forging -------------------------------------------------------------------------------

    def token(self) -> str:
        return f"{self.draw.getrandbits(128):032x}"

    def _stk(self, attempt: Attempt, **changes: Any) -> bytes:
        return stk_body(
            attempt, self.world.clock.now(), **{"reference": new_reference(), **changes}
        )

    def _c2b(self, deal: Escrow, reference: str = "", **changes: Any) -> bytes:
        amount = changes.pop("amount", deal.due)
        at = self.world.clock.now()
        return paybill_body(deal.id, amount, reference or new_reference(), at, **changes)

    def wrong_secret(self) -> Request:
        letter = self.draw.choice(ROUTES_WITH_TOKEN + "cvn")
        rest = letter if letter in "cvn" else f"{letter}/{self.prompt.token}"
        body = self.draw.choice((self.stk, self.c2b, self._c2b(self.open)))
        secret = self.draw.choice((self.token(), SECRET[:-1], SECRET + "0", "0" * 31 + "1", "%00"))
        return Request("wrong secret", f"!{secret}/{rest}", body, (404,))

    def wrong_route(self) -> Request:
        rest = self.draw.choice(
            (
                *("", "s", "s/short", f"s/{self.prompt.token}x", f"c/{self.token()}"),
                *("S/" + "a" * 32, "p", "k", f"n/{self.token()}", f"p/{self.out.token}0x"),
            )
        )
        return Request("wrong route", rest, self.stk, (404,))

    def other_method(self) -> Request:
        method = self.draw.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS"))
        rest = self.draw.choice((f"s/{self.prompt.token}", "c", "v", "n", f"p/{self.out.token}"))
        return Request("other method", rest, self.stk, (405,), method)

    def unknown_token(self) -> Request:
        return Request("unknown token", f"s/{self.token()}", self._stk(self.prompt), (200,))

    def old_token(self) -> Request:
        return Request("old token", f"s/{self.old.token}", self._stk(self.old), (200,))

    def replay(self) -> Request:
        return Request("replay", *self.draw.choice(self._paths()), (200,))

    def replay_in_other_bytes(self) -> Request:
        path, body = self.draw.choice(self._paths())
        shuffled = json.dumps(json.loads(body), indent=self.draw.randrange(1, 9)).encode()
        padded = shuffled + b" " * self.draw.randrange(400)
        query = self.draw.choice(("", f"?again={self.draw.randrange(99)}"))
        return Request("replay in other bytes", path + query, padded, (200,))

    def _paths(self) -> list[tuple[str, bytes]]:
        return [(f"s/{self.prompt.token}", self.stk), ("c", self.c2b)]

    def altered(self) -> Request:
        """A true payment with something changed; its own receipt number keeps it one payment."""
        stk, by_hand = self.references
        cents = kes(self.draw.randrange(1, 250_000))
        changed = self.draw.choice(
            (
                (f"s/{self.prompt.token}", self._stk(self.prompt, reference=stk, amount=cents)),
                (f"s/{self.prompt.token}", self._stk(self.prompt, checkout=f"ws_CO_{cents.minor}")),
                (f"s/{self.prompt.token}", self._stk(self.prompt, reference=None, code=1032)),
                ("c", self._c2b(self.open, by_hand)),
                ("c", self._c2b(self.by_hand, by_hand, amount=cents)),
                ("c", self._c2b(self.open, stk)),
                ("c", self._c2b(self.open, shortcode="600999", balance=f"{cents.minor}.00")),
            )
        )
        return Request("altered", *changed, (200,))

    def invented(self) -> Request:
        deal = self.draw.choice((self.open, self.paid, self.by_hand))
        return Request("invented payment", "c", self._c2b(deal), (200,))

    def invented_answer(self) -> Request:
        """Answers to questions that were never asked, each in the form of its route: receipts,
        claims, payouts, reversals, balances; and Pull's note, which has no question.
        """
        letter = self.draw.choice("rqtuobwpaxkln")
        path = letter if letter == "n" else f"{letter}/{self.token()}"
        return Request("invented answer", path, self._answer(letter), (200,))

    def _answer(self, letter: str) -> bytes:
        """What M-Pesa might say by that route, good or bad, about what is really on its way."""
        number, code = new_reference(), self.draw.choice((0, 0, 1, 2001, 2040, "R000002", 8006))
        if letter == "p":
            return result_body(self.out, number, code=code)
        if letter == "a":
            return asked_body(self.out, number, word=self._word())
        if letter == "x":
            return reversed_body(self.back, number, code=code)
        if letter in "kl":
            return balance_body("9999999.00", self.world.clock.now(), code=code)
        if letter == "n":
            row = pulled_row(self.open.id, self.open.due, number, self.world.clock.now())
            return json.dumps(row).encode()
        return status_body(number, self.open.due, word=self._word())

    def _word(self) -> str:
        return self.draw.choice(("Completed", "Completed", "Failed", "Cancelled", "?"))

    def meddling(self) -> Request:
        """To the paths of what is really on its way, as somebody sends it who knows these paths but
        not the requests: another id, amount, receiver or receipt, a body that belongs to another
        route, a time-out, a question that failed.
        """
        out, back, number = self.out, self.back, new_reference()
        cents = kes(self.draw.randrange(1, 250_000) * 2 + 1)
        other_out, other_back = replace(out, ocid=f"P{number}"), replace(back, ocid=f"rev-{number}")
        no = self.draw.choice((1, 2040, "R000001", "R000002", "17"))
        somebody = "254711000111 - John Doe"
        letter, one, body = self.draw.choice(
            (
                ("p", out, result_body(out, number, amount=cents)),
                ("p", out, result_body(other_out, number)),
                ("p", out, result_body(out, number, receiver=somebody)),
                ("p", out, result_body(other_out, number, code=no)),
                ("p", out, reversed_body(back, number, code=no)),
                ("p", back, result_body(out, number, amount=back.amount, ocid=back.ocid)),
                ("a", out, asked_body(replace(out, amount=cents), number)),
                ("a", out, asked_body(other_out, number, word=self._word())),
                ("a", out, asked_body(replace(out, phone=somebody[:12]), number)),
                ("a", out, asked_body(out, code=21)),
                ("a", back, asked_reversal_body(replace(back, amount=cents), number)),
                ("a", back, asked_reversal_body(other_back, number, word=self._word())),
                ("x", back, reversed_body(back, number, amount=cents)),
                ("x", back, reversed_body(back, number, original=number)),
                ("x", back, reversed_body(other_back, number, code=no)),
                ("x", out, reversed_body(back, number)),
                (self.draw.choice("ob"), self.draw.choice((out, back)), result_body(out, number)),
                (self.draw.choice("wrqs"), out, None),
                (self.draw.choice("kl"), None, self._answer("k")),
            )
        )
        if body is None:
            body = self._stk(self.prompt) if letter == "s" else self._answer(letter)
        token = self.question if one is None else one.token
        return Request("meddling", f"{letter}/{token}", body, (200,))

    def validation(self) -> Request:
        return Request("validation", "v", self._c2b(self.open), (200,))

    def malformed(self) -> Request:
        bad = self.draw.choice((*MALFORMED.values(), *WORSE))
        if self.draw.random() < 0.7:  # another digest each, so that each is stored
            bad += b" " * self.draw.randrange(300)
        letter = self.draw.choice(ROUTES_WITH_RESULT + "ccc")
        rest = letter if letter == "c" else f"{letter}/{self.token()}"
        return Request("malformed", rest, bad, (400,))

    def oversized(self) -> Request:
        return Request("oversized", f"s/{self.token()}", b" " * 65_537, (413,))


# after shared sample daraja/stk-callback-0-success, with one place broken in each
_PAID = (
    b'{"Body":{"stkCallback":{"CheckoutRequestID":"ws_CO_1","ResultCode":0,"CallbackMetadata":'
    b'{"Item":[{"Name":"Amount","Value":%s},{"Name":"MpesaReceiptNumber","Value":%s}]}}}}'
)
WORSE = tuple(
    _PAID % pair
    for pair in (
        (b"NaN", b'"SG632NMUAB"'),
        (b"1e999", b'"SG632NMUAB"'),
        (b"-Infinity", b'"SG632NMUAB"'),
        (b"1" * 5_000, b'"SG632NMUAB"'),
        (b"-1", b'"SG632NMUAB"'),
        (b"0", b'"SG632NMUAB"'),
        (b"true", b'"SG632NMUAB"'),
        (b'"10 500"', b'"SG632NMUAB"'),
        ('"１０"'.encode(), b'"SG632NMUAB"'),
        (b"1", b'"SG\\u0000"'),
        (b"1", b'"\\ud800"'),
        (b"1", b"null"),
        (b"1", b'["SG632NMUAB"]'),
        (b'1},{"Name":"Amount","Value":2', b'"SG632NMUAB"'),
        (b"[" * 9_000 + b"]" * 9_000, b'"SG632NMUAB"'),
    )
)

Share = tuple[Callable[[Scene], Request], int]
KEYS: tuple[Share, ...] = (
    (Scene.wrong_secret, 3_000),
    (Scene.wrong_route, 400),
    (Scene.other_method, 400),
    (Scene.malformed, 1_500),
    (Scene.oversized, 100),
    (Scene.replay, 900),
    (Scene.replay_in_other_bytes, 600),
    (Scene.unknown_token, 600),
    (Scene.old_token, 300),
    (Scene.altered, 500),
    (Scene.invented, 300),
    (Scene.invented_answer, 700),
    (Scene.meddling, 500),
    (Scene.validation, 198),
)
FENCE: tuple[Share, ...] = ((Scene.invented, 300), (Scene.old_token, 100), (Scene.altered, 100))


@asynccontextmanager
async def served(world: World, allowed: str = "") -> AsyncIterator[str]:
    server = Server(Webhooks(world.intake, "", allowed).routes())
    await server.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.port}/hooks/m/"
    finally:
        await server.stop()


async def send(address: str, requests: list[Request]) -> tuple[Counter[int], list[str], float]:
    """Sends them, twenty at a time: (answers by status, wrong ones, the slowest tenth's limit)."""
    counts: Counter[int] = Counter()
    wrong: list[str] = []
    took: list[float] = []
    line: Iterator[Request] = iter(requests)
    connector = aiohttp.TCPConnector(limit=20)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def one_after_another() -> None:
            for request in line:
                path = request.path[1:] if request.path[:1] == "!" else f"{SECRET}/{request.path}"
                began = time.perf_counter()
                async with http.request(
                    request.method, address + path, data=request.body
                ) as answer:
                    await answer.read()
                    took.append(time.perf_counter() - began)
                    counts[answer.status] += 1
                    if answer.status not in request.answers:
                        wrong.append(f"{request.kind}: {answer.status} {request.path[:60]}")

        await asyncio.gather(*(one_after_another() for _ in range(20)))
    return counts, wrong, sorted(took)[len(took) * 99 // 100]


async def bombard(
    world: World, shares: tuple[Share, ...], *, allowed: str = ""
) -> tuple[Scene, Counter[int], float]:
    """Everything at once, the truth in the midst of it, while the inbox is processed; then the
    sweeps run until nothing waits any more.
    """
    scene = await Scene.set(world)
    requests = [forge(scene) for forge, count in shares for _ in range(count)] + scene.truth()
    scene.draw.shuffle(requests)
    async with served(world, allowed) as address:
        sending = asyncio.create_task(send(address, requests))
        while not sending.done():
            if not await world.intake.process_due():
                await asyncio.sleep(0)
        counts, wrong, slow = await sending
        for seconds in (0, 2, 10, 60, 300, 3_600):
            world.clock.tick(seconds=seconds)
            await world.settle_inbox()
            await world.confirmations.look_due()
            await world.confirmations.check_due()
            await world.payouts.send_due()
            answers = await scene.mpesa_answers()
            more, wrong_too, _ = await send(address, answers) if answers else ({}, [], 0.0)
            counts.update(more)
            wrong += wrong_too
            await world.settle_inbox()
    assert wrong == [], "\n".join(wrong[:20])
    assert max(counts) < 500, "no 5xx"
    return scene, counts, slow


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    logging.disable(logging.CRITICAL)  # thousands of tracebacks of unknown tokens
    try:
        async with World.open(dsn, prompts_per_user_hour=100) as opened:
            yield opened
            await opened.books()
    finally:
        logging.disable(logging.NOTSET)


async def credited(world: World) -> set[str]:
    rows = await world.sql(
        "SELECT reference FROM receipts WHERE state NOT IN ('WAITING','IGNORED')"
    )
    return {row["reference"] for row in rows}


async def nobody_else_gained(world: World, scene: Scene) -> None:
    for person in (BRIAN, OTIENO):
        assert await world.wallet(person) == 0
    assert await world.suspense() == 0
    assert await world.status_of(scene.open) == "PENDING"
    assert await world.accounts(scene.open) == (0, 0, 0)
    assert await world.value("SELECT count(*) FROM inbox WHERE state = 'NEW'") == 0
    assert len(world.payout_rail.sent) == len(world.reversals.sent) == 1, "nothing is sent again"
    ended = "SELECT count(*) FROM payouts WHERE state IN ('PAID', 'FAILED')"
    assert await world.value(ended) == 0
    for path, body in (
        (f"p/{scene.out.token}", result_body(scene.out)),
        (f"x/{scene.back.token}", reversed_body(scene.back)),
    ):
        async with served(world) as address:
            true = Request("true", path, body, (200,))
            assert await send(address, [true]) == (Counter({200: 1}), [], ANY)
        assert await world.settle_inbox() == "paid", "and the true results still count"
    assert await world.value(ended) == 2


@pytest.mark.slow
async def test_10_000_forged_or_replayed_requests_are_no_credit_and_no_5xx(world: World) -> None:
    world.rail.can_ask_status = True
    scene, counts, slow = await bombard(world, KEYS)
    assert sum(count for _, count in KEYS) + len(scene.truth()) == 10_000
    assert counts.total() >= 10_000
    assert counts[404] == 3_400
    assert (counts[400], counts[405], counts[413]) == (1_500, 400, 100)
    assert await credited(world) == scene.before | set(scene.references)
    assert await world.accounts(scene.paid) == (0, 1_000, 50)
    assert await world.accounts(scene.by_hand) == (0, 2_000, 100)
    await nobody_else_gained(world, scene)
    told = Counter(await world.told(1001))
    assert told["request_parked"] <= 12, "an alert for each of the first, then one an hour"
    assert slow < 2, f"the slowest hundredth took {slow:.2f} s"


async def test_without_keys_to_ask_the_list_of_addresses_keeps_forged_payments_out(
    world: World,
) -> None:
    """Small payments by hand would be believed; none of these comes from where M-Pesa sends."""
    scene, counts, _ = await bombard(world, FENCE, allowed="196.201.214.0/24")
    assert counts == {200: 502}
    assert await credited(world) == scene.before | {scene.references[0]}, (
        "the prompt's query proved it"
    )
    assert await world.accounts(scene.by_hand) == (0, 0, 0)
    await nobody_else_gained(world, scene)
    waiting = await world.sql(
        "SELECT DISTINCT state FROM receipts WHERE channel = 'c2b' AND reference <> ALL($1)",
        list(scene.before),
    )
    assert waiting == [{"state": "WAITING"}]
    assert "unlisted_sender" in await world.told(1001)
