"""The month's settlements as CSV files that any spreadsheet opens, written row by row to disk."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Final, Self
from zoneinfo import ZoneInfo

from escrow.domain.figures import Settled
from escrow.domain.money import Money

HEADER: Final = (
    "released at",
    "code",
    "price",
    "fee",
    "M-Pesa charge",
    "receipt in",
    "receipt out",
    "event",
    "currency",
    "held",
    "to seller",
    "to buyer",
)
"""A row per settlement. `held` is `to seller` + `to buyer` + `fee`; `price` is what was agreed."""
ROWS_MAX: Final = 200_000
"""About 30 MB: a bot may send files up to 50 MB."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Sheets:
    """Files of at most `rows` rows each, gone when it is left."""

    def __init__(self, zone: ZoneInfo, rows: int = ROWS_MAX) -> None:
        self._zone = zone
        self._rows_max = rows
        self._rows = 0
        self.files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self.files:
            file.close()

    def add(self, page: Sequence[Settled]) -> None:
        """Writes rows behind the others."""
        for start in range(0, len(page), self._rows_max):
            rows = [_row(one, self._zone) for one in page[start : start + self._rows_max]]
            if not self.files or self._rows + len(rows) > self._rows_max:
                self.files.append(tempfile.TemporaryFile())  # noqa: SIM115 closed on leaving
                self.files[-1].write("\ufeff".encode())  # or Excel reads UTF-8 as something else
                self._rows = 0
                rows.insert(0, list(HEADER))
                self._rows -= 1
            text = io.StringIO(newline="")
            csv.writer(text).writerows(rows)
            self.files[-1].write(text.getvalue().encode())
            self._rows += len(rows)


def _row(one: Settled, zone: ZoneInfo) -> list[str]:
    return [
        one.at.astimezone(zone).isoformat(timespec="seconds"),
        text(one.escrow_id),
        _amount(one.price),
        _amount(one.fee),
        "" if one.charge is None else _amount(one.charge),
        text(one.receipts_in),
        text(one.receipts_out),
        text(one.event),
        one.price.currency.code,
        _amount(one.held),
        _amount(one.to_seller),
        _amount(one.to_buyer),
    ]


def _amount(money: Money) -> str:
    return str(money.to_decimal())


def text(value: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value
