"""Calls an HTTP door as a provider does, in a process of its own so that only the door is measured.

python -m benchmarks.caller PORT PATH COUNT CONNECTIONS → seconds for COUNT different callbacks
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import time
from collections.abc import Iterator
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_HEAD_BYTES_MAX: Final = 8 * 1024


class DoorError(Exception):
    """The door did not answer 200."""


def body(number: int) -> bytes:
    """An STK callback of a paid prompt; every number is another payment."""
    inner = {
        "MerchantRequestID": f"29115-34620561-{number}",
        "CheckoutRequestID": f"ws_CO_191220191020{number:012d}",
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": {
            "Item": [
                {"Name": "Amount", "Value": 10_500.0},
                {"Name": "MpesaReceiptNumber", "Value": f"SK{number:08d}"},
                {"Name": "Balance"},
                {"Name": "TransactionDate", "Value": 20261123102115},
                {"Name": "PhoneNumber", "Value": 254712000111},
            ]
        },
    }
    return json.dumps({"Body": {"stkCallback": inner}}).encode()


def requests(path: str, count: int) -> list[bytes]:
    """Whole requests; `{token}` in the path becomes the prompt's own token."""
    found = []
    first = secrets.randbelow(10**7) * 10  # another run's payments are others
    for number in range(first, first + count):
        sent = body(number)
        head = (
            f"POST {path.replace('{token}', f'{number:032x}')} HTTP/1.1\r\n"
            "Host: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(sent)}\r\n\r\n"
        )
        found.append(head.encode() + sent)
    return found


async def _converse(port: int, left: Iterator[bytes]) -> None:
    """One connection: a request, its whole answer, the next request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_HEAD_BYTES_MAX)
    try:
        for request in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 200 ") or length is None:
                raise DoorError(head.decode(errors="replace"))
            await reader.readexactly(int(length[1]))
    finally:
        writer.close()


async def call(port: int, path: str, count: int, connections: int) -> float:
    """Seconds for `count` callbacks over so many connections."""
    left = iter(requests(path, count))
    began = time.perf_counter()
    await asyncio.gather(*(_converse(port, left) for _ in range(connections)))
    return time.perf_counter() - began


if __name__ == "__main__":
    port, path, count, connections = sys.argv[1:]
    print(asyncio.run(call(int(port), path, int(count), int(connections))))
