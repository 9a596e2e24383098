"""The door for coin providers: who lacks the secret finds nothing, whose signature is wrong is sent
away, and whoever is right is kept once and answered in his own words.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx
import pytest

from escrow.domain.terms import Terms
from escrow.services.confirmations import Confirmations
from escrow.services.crypto import CoinPayments
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.intake import Intake
from escrow.services.ports import Deposit, RawRequest
from escrow.store.database import Database, DatabaseClock
from escrow.web.coin_hooks import CoinHooks
from escrow.web.server import Server
from tests.coin_rail import FakeCoinRail
from tests.rail import FakeRail

SECRETS = {"blockbee": "b" * 32, "dynopay": "d" * 32}
TOKEN = "a" * 32
SIGNED = {"signed": "yes"}
COINS = {"txid": "tx1", "coin": "USDT-TRC20", "amount": "105"}
PLACES = {"b": "blockbee", "d": "dynopay"}


@dataclass
class ListeningRail(FakeCoinRail):
    """Remembers what it was asked to vouch for; reads a GET from its query."""

    heard: list[RawRequest] = field(default_factory=list)

    async def authentic(self, request: RawRequest) -> bool | None:
        self.heard.append(request)
        return await super().authentic(request)

    def read(self, request: RawRequest) -> Sequence[Deposit]:
        if request.method == "GET":
            body = json.dumps(dict(parse_qsl(request.query))).encode()
            request = RawRequest("POST", request.target, "", request.headers, body)
        return super().read(request)


@dataclass
class Door:
    """The server under test: `http` talks to it, `rows()` reads what it kept."""

    http: httpx.AsyncClient
    database: Database
    port: int
    rails: dict[str, ListeningRail]

    def path(self, letter: str = "b", token: str = TOKEN, secret: str = "") -> str:
        return f"/hooks/{letter}/{secret or SECRETS[PLACES[letter]]}/{token}"

    async def rows(self) -> list[tuple[str, ...]]:
        async with self.database.reading() as conn:
            found = await conn.fetch(
                "SELECT route, token, method, query, state FROM inbox ORDER BY id"
            )
        return [tuple(row) for row in found]

    async def says(self, head: str, body: bytes = b"") -> bytes:
        """One request byte for byte; the first line of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        ends = f"Host: a\r\nSigned: yes\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head} HTTP/1.1\r\n{ends}".encode("utf-8", "surrogateescape") + body)
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        return line


@pytest.fixture
async def door(dsn: str) -> AsyncIterator[Door]:
    database = await Database.connect(dsn)
    clock = DatabaseClock()
    funds = EscrowFundManager(database, clock, Terms(), [])
    rails = {name: ListeningRail(name) for name in SECRETS}
    coins = CoinPayments(
        database,
        clock,
        Terms(),
        list(rails.values()),
        funds,
        [],
        callback_base=lambda provider: f"https://amana.example/hooks/{provider[0]}",
    )
    mpesa = FakeRail()
    confirmations = Confirmations(
        database, clock, Terms(), mpesa, funds, [], callback_base="http://127.0.0.1"
    )
    intake = Intake(database, clock, mpesa, confirmations, [], "m" * 32, coins=coins)
    server = Server(CoinHooks(intake, SECRETS).routes())
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        yield Door(http, database, server.port, rails)
    await server.stop()
    await database.close()


@pytest.mark.parametrize("letter", PLACES)
async def test_a_wrong_secret_is_an_unknown_path_and_stores_nothing(
    door: Door, letter: str
) -> None:
    other = SECRETS["dynopay" if letter == "b" else "blockbee"]
    for secret in ("0" * 32, "x", "%2e%2e", "m" * 32, other, "%C3%A9" * 16, "%ff"):
        path = door.path(letter, secret=secret)
        answer = await door.http.post(path, json=COINS, headers=SIGNED)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"}), secret
    assert await door.rows() == []
    assert [rail.heard for rail in door.rails.values()] == [[], []], "no key was looked at"


async def test_a_path_that_names_no_attempt_is_unknown(door: Door) -> None:
    for token in ("a" * 31, "A" * 32, "g" * 32, "a" * 65, f"{TOKEN}/more", f"{TOKEN}%0a", ""):
        answer = await door.http.post(door.path(token=token), json=COINS, headers=SIGNED)
        assert answer.status_code == 404, token
    for place in ("c", "bd", ""):
        path = f"/hooks/{place}/{SECRETS['blockbee']}/{TOKEN}"
        assert (await door.http.post(path, json=COINS, headers=SIGNED)).status_code == 404
    assert await door.rows() == []


@pytest.mark.parametrize("letter", PLACES)
async def test_a_wrong_signature_is_sent_away_and_stores_nothing(door: Door, letter: str) -> None:
    for headers in ({}, {"signed": "no"}, {"signed": ""}):
        answer = await door.http.post(door.path(letter), json=COINS, headers=headers)
        assert answer.status_code == 403
        assert "*ok*" not in answer.text
    assert await door.rows() == []


@pytest.mark.parametrize("letter", PLACES)
async def test_what_nobody_can_vouch_for_now_comes_again(door: Door, letter: str) -> None:
    door.rails[PLACES[letter]].silent = True
    answer = await door.http.post(door.path(letter), json=COINS, headers=SIGNED)
    assert (answer.status_code, answer.text) == (503, "Try again")
    assert await door.rows() == []


async def test_what_is_right_is_kept_once_and_answered_in_the_providers_words(door: Door) -> None:
    for letter, route in PLACES.items():
        answers = await asyncio.gather(
            *(door.http.post(door.path(letter), json=COINS, headers=SIGNED) for _ in range(10))
        )
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            if route == "blockbee":
                assert answer.content == b"*ok*"
                assert answer.headers["Content-Type"].startswith("text/plain")
            else:
                assert answer.json() == {"received": True}
    assert await door.rows() == [
        ("blockbee", TOKEN, "POST", "", "NEW"),
        ("dynopay", TOKEN, "POST", "", "NEW"),
    ]


QUERY = "coin=USDT-TRC20&txid=a%2Fb%2bc+d&amount=1.05e2&url=https%3A%2F%2Fx%2F%3Fy%3D1&&e"


async def test_a_get_is_kept_with_its_query_as_it_came(door: Door) -> None:
    line = await door.says(f"GET {door.path()}?{QUERY}")
    assert b"200" in line
    assert await door.rows() == [("blockbee", TOKEN, "GET", QUERY, "NEW")]


async def test_another_query_is_another_request(door: Door) -> None:
    for amount in ("1", "1", "1.0"):
        await door.says(f"GET {door.path()}?coin=TRX&txid=t&amount={amount}")
    assert len(await door.rows()) == 2


async def test_signatures_are_checked_over_exactly_what_came_over_the_wire(door: Door) -> None:
    secret = SECRETS["blockbee"]
    targets = [
        f"{door.path()}?{QUERY}",
        f"{door.path()}?",
        f"/hooks/b/{secret}/%61{TOKEN[1:]}?coin=TRX&txid=%74&amount=1",
        f"/hooks/%62/{secret}/{TOKEN}?b=2&a=%20&coin=TRX&txid=t&amount=1",
    ]
    for target in targets:
        await door.says(f"POST {target}", json.dumps(COINS).encode())
    heard = door.rails["blockbee"].heard
    assert [one.target for one in heard] == targets
    assert [one.query for one in heard] == [target.partition("?")[2] for target in targets]
    assert {one.body for one in heard} == {json.dumps(COINS).encode()}
    assert all(one.headers["signed"] == "yes" for one in heard), "names in lower case"


async def test_bytes_that_no_address_has_break_nothing(door: Door) -> None:
    for odd in ("\udcff", "é", "%ff", "%00", "%ed%a0%80"):
        line = await door.says(f"GET {door.path()}?coin=TRX&amount=1&txid={odd}")
        assert line.split()[1] in (b"200", b"400"), odd
    assert {row[4] for row in await door.rows()} <= {"NEW", "PARKED"}


async def test_each_provider_has_his_methods(door: Door) -> None:
    for letter, allowed in (("b", "GET,POST"), ("d", "POST")):
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
            if method in allowed:
                continue
            answer = await door.http.request(method, door.path(letter), headers=SIGNED)
            assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), method
    assert await door.rows() == []


@pytest.mark.parametrize("letter", PLACES)
@pytest.mark.parametrize("body", [b"", b"[]", b'{"amount": NaN}', b"\xff\xfe", b"{" * 9_000])
async def test_what_is_signed_and_unreadable_is_kept_for_a_person(
    door: Door, letter: str, body: bytes
) -> None:
    answer = await door.http.post(door.path(letter), content=body, headers=SIGNED)
    assert (answer.status_code, answer.text) == (400, "Unreadable")
    assert [row[4] for row in await door.rows()] == ["PARKED"]


async def test_a_body_over_64_kib_is_a_413_and_stores_nothing(door: Door) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"z" * 4096

    for content in (b"x" * 70_000, endless()):
        answer = await door.http.post(door.path(), content=content, headers=SIGNED)
        assert answer.status_code == 413
    assert await door.rows() == []
    assert door.rails["blockbee"].heard == []


async def test_a_query_without_end_is_refused(door: Door) -> None:
    line = await door.says(f"GET {door.path()}?{'x' * 70_000}")
    assert line.split()[1] in (b"400", b"414")
    assert await door.rows() == []


async def test_while_the_database_is_down_nothing_is_acknowledged(door: Door) -> None:
    await door.database.close()
    answer = await door.http.post(door.path(), json=COINS, headers=SIGNED)
    assert (answer.status_code, answer.text) == (503, "Try again")


async def test_forged_requests_move_nothing_and_never_break_the_server(door: Door) -> None:
    codes = set()
    for number in range(300):
        letter = "bd"[number % 2]
        secret = f"{number:032x}" if number % 3 else ""
        path = door.path(letter, f"{number:032x}", secret)
        answer = await door.http.post(path, json=COINS, headers={"signed": "perhaps"})
        codes.add(answer.status_code)
    assert codes == {403, 404}
    assert await door.rows() == []
