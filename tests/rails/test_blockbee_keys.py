"""Who may say that coins came: only the holder of BlockBee's key, for exactly those bytes."""

import asyncio
import base64
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from escrow.rails import blockbee_keys
from escrow.rails.blockbee_keys import PUBLISHED_KEY, Signatures, fingerprint, read_key
from sandbox.blockbee_wire import new_key, pem_of, signature
from tests.rails.fakes import Clock

OURS = new_key()
NEXT = new_key()
FORGED = new_key()
SIGNED = "https://amana.test/hooks/b/00ff?uuid=1&value_coin=0.05&x=%2Fa%2Bb"


class Published:
    """What `/pubkey/` answers now."""

    def __init__(self, pem=None):
        self.pem = pem
        self.asked = 0
        self.gate = None
        self.heard = asyncio.Event()

    async def __call__(self):
        self.asked += 1
        self.heard.set()
        if self.gate is not None:
            await self.gate.wait()
        return self.pem


def signatures(published=None, clock=None, pem=None):
    return Signatures(pem or pem_of(OURS), published or Published(), clock or Clock())


def test_the_published_key_is_pinned():
    key = read_key(PUBLISHED_KEY)
    assert key.key_size == 1024
    assert fingerprint(Signatures("", Published(), Clock())._key) == fingerprint(key)


@pytest.mark.parametrize("change", [str, lambda p: p.replace("\n", "\\n"), lambda p: f"\n{p}\n "])
def test_a_key_may_come_as_pem_however_its_lines_end(change):
    assert fingerprint(read_key(change(pem_of(OURS)))) == fingerprint(OURS.public_key())


def _pem(key):
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


NO_KEYS = ["", "x", "é", "MIGf", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
NO_KEYS.append(_pem(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_rsa_key_is_refused(text):
    with pytest.raises(ValueError):
        read_key(text)


async def test_exactly_what_was_signed_fits():
    keys = signatures()
    assert await keys.fit(signature(OURS, SIGNED), SIGNED.encode())
    assert await keys.fit(f" {signature(OURS, SIGNED)}\n", SIGNED.encode())


@pytest.mark.parametrize(
    "changed",
    [
        SIGNED.replace("0.05", "0.06"),
        SIGNED.replace("https", "http"),
        SIGNED.replace("%2F", "%2f"),
        SIGNED.replace("%2F", "/"),
        SIGNED + "&",
        SIGNED.replace("uuid=1&value_coin=0.05", "value_coin=0.05&uuid=1"),
    ],
)
async def test_one_byte_more_or_less_does_not_fit(changed):
    assert not await signatures().fit(signature(OURS, SIGNED), changed.encode())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        "====",
        "é" * 172,
        base64.b64encode(bytes(128)).decode(),
        base64.b64encode(bytes(127)).decode(),
        base64.b64encode(bytes(4096)).decode(),
        signature(OURS, SIGNED)[:-4],
        signature(OURS, SIGNED) + "A",
        signature(FORGED, SIGNED),
        base64.b64encode(OURS.sign(SIGNED.encode(), padding.PKCS1v15(), hashes.SHA512())).decode(),
        base64.b64encode(
            OURS.sign(
                SIGNED.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
            )
        ).decode(),
    ],
)
async def test_a_forged_signature_does_not_fit(header):
    assert not await signatures(Published(pem_of(OURS))).fit(header, SIGNED.encode())


async def test_a_storm_of_forgeries_asks_for_the_key_once_an_hour():
    clock, published = Clock(), Published(pem_of(OURS))
    keys = signatures(published, clock)
    forged, good = signature(FORGED, SIGNED), signature(OURS, SIGNED)
    for _ in range(500):
        assert not await keys.fit(forged, SIGNED.encode())
    assert published.asked == 1
    clock.at += timedelta(minutes=59)
    assert not await keys.fit(forged, SIGNED.encode())
    assert published.asked == 1
    clock.at += timedelta(minutes=1)
    assert not await keys.fit(forged, SIGNED.encode())
    assert published.asked == 2
    assert await keys.fit(good, SIGNED.encode())


async def test_what_can_be_no_signature_asks_for_nothing():
    published = Published(pem_of(OURS))
    keys = signatures(published)
    for header in ("", "x", "AAAA", base64.b64encode(bytes(100)).decode(), "A" * 5000):
        assert not await keys.fit(header, SIGNED.encode())
    assert published.asked == 0


async def test_good_signatures_ask_for_nothing():
    published = Published(pem_of(OURS))
    keys = signatures(published)
    for _ in range(20):
        assert await keys.fit(signature(OURS, SIGNED), SIGNED.encode())
    assert published.asked == 0


async def test_a_new_key_is_taken_and_the_old_one_is_over(caplog):
    keys = signatures(Published(pem_of(NEXT)))
    assert await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())
    assert not await keys.fit(signature(OURS, SIGNED), SIGNED.encode())
    (record,) = caplog.records
    assert record.fingerprint == fingerprint(NEXT.public_key())


async def test_a_larger_key_is_taken_too():
    large = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys = signatures(Published(pem_of(large)))
    assert await keys.fit(signature(large, SIGNED), SIGNED.encode())


@pytest.mark.parametrize("answer", [None, "", "<html>", "MIGf", "-----BEGIN PUBLIC KEY-----"])
async def test_a_key_that_cannot_be_had_leaves_the_old_one(answer):
    """Also a genuine callback is refused then; not answered *ok*, it comes again."""
    clock, published = Clock(), Published(answer)
    keys = signatures(published, clock)
    assert not await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())
    assert await keys.fit(signature(OURS, SIGNED), SIGNED.encode())
    published.pem = pem_of(NEXT)
    assert not await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())
    clock.at += timedelta(hours=1)
    assert await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())


async def test_nobody_waits_for_a_question_that_somebody_else_asked():
    published = Published(pem_of(NEXT))
    published.gate = asyncio.Event()
    keys = signatures(published)
    first = asyncio.create_task(keys.fit(signature(NEXT, SIGNED), SIGNED.encode()))
    await published.heard.wait()
    assert not await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())
    assert await keys.fit(signature(OURS, SIGNED), SIGNED.encode())
    published.gate.set()
    assert await first
    assert published.asked == 1


async def test_a_key_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(blockbee_keys, "ASK_SECONDS", 0.01)
    published = Published(pem_of(NEXT))
    published.gate = asyncio.Event()
    assert not await signatures(published).fit(signature(NEXT, SIGNED), SIGNED.encode())


async def test_a_clock_that_was_set_back_does_not_stop_the_questions():
    clock, published = Clock(), Published(pem_of(OURS))
    keys = signatures(published, clock)
    await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())
    clock.at -= timedelta(days=1)
    published.pem = pem_of(NEXT)
    assert await keys.fit(signature(NEXT, SIGNED), SIGNED.encode())


@given(st.text(max_size=200), st.binary(max_size=200))
async def test_no_header_breaks_it(header, signed):
    assert not await signatures().fit(header, signed)
