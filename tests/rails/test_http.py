"""What all roads to providers share."""

from collections.abc import AsyncIterator

import httpx
import pytest
from aiolimiter import AsyncLimiter

from escrow.rails import http


class _Endless(httpx.AsyncByteStream):
    """A body that never ends; `given` is how much of it was asked for."""

    given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 1000
            yield b"x" * 1000


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.example.com", True),
        ("http://127.0.0.1:8080/base/", True),
        ("api.example.com", False),
        ("https://user:secret@api.example.com", False),
        ("https://api.example.com/?key=1", False),
        ("https://api.example.com/a b", False),
        ("ftp://api.example.com", False),
        ("", False),
    ],
)
def test_an_address_is_one_that_paths_can_be_put_behind(url: str, good: bool) -> None:
    assert http.is_base(url) is good


async def test_no_body_is_read_much_beyond_its_limit() -> None:
    stream = _Endless()
    read = await http.body(httpx.Response(200, stream=stream), 2500)
    assert len(read) == stream.given == 3000


async def test_a_turn_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PACE_WAIT_SECONDS", 0.0)
    pace = AsyncLimiter(1, 3600)
    assert await http.turn(pace)
    assert not await http.turn(pace)


def test_a_connection_takes_a_quarter_of_the_time_for_an_answer() -> None:
    assert http.timeouts(20) == httpx.Timeout(20, connect=5, pool=5)
