"""`make bench`: measures everything in about five minutes and writes RESULTS.md.

python -m benchmarks [--quick] [--only CHAPTER …] [--to FILE] [--figures FILE]

A quick or partial run writes nothing unless it is told where to.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import (
    callbacks,
    decisions,
    figures,
    journals,
    payments,
    program,
    releases,
    report,
    server,
)
from benchmarks.pairs import Figure
from benchmarks.server import Server

Run = Callable[[Server, bool], Awaitable[list[Figure]]]
RESULTS: Final = Path(__file__).with_name("RESULTS.md")

CHAPTERS: Final[dict[str, Run]] = {
    "Payments": lambda place, quick: payments.run(
        place, payments.QUICK if quick else payments.FULL
    ),
    "Journals": lambda place, quick: journals.run(
        place, journals.QUICK if quick else journals.FULL
    ),
    "Tolerance": lambda _, quick: decisions.run(decisions.QUICK if quick else decisions.FULL),
    "Callbacks": lambda place, quick: callbacks.run(
        place, callbacks.QUICK if quick else callbacks.FULL
    ),
    "Figures": lambda place, quick: figures.run(place, figures.QUICK if quick else figures.FULL),
    "Releases": lambda place, quick: releases.run(
        place, releases.QUICK if quick else releases.FULL
    ),
    "Program": lambda place, quick: program.run(place, program.QUICK if quick else program.FULL),
}
"""Every benchmark, in the order of the file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything was measured, whether the bars were held or not."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="What Amana costs")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=sorted(CHAPTERS), metavar="CHAPTER")
    parser.add_argument(
        "--to", type=Path, help="the file to write; RESULTS.md when everything is measured in full"
    )
    parser.add_argument("--figures", type=Path, help="the same as JSON")
    chosen = parser.parse_args(arguments)
    titles = [title for title in CHAPTERS if chosen.only is None or title in chosen.only]
    with server.running() as place:
        text, figures, failed = asyncio.run(_measure(place, titles, quick=chosen.quick))
    whole = not chosen.quick and chosen.only is None
    file = chosen.to or (RESULTS if whole else None)
    if file is not None:
        report.write(file, text)
        print(f"Written to {file}")
    if chosen.figures:
        report.write(chosen.figures, figures)
    return 1 if failed else 0


async def _measure(place: Server, titles: Sequence[str], *, quick: bool) -> tuple[str, str, bool]:
    chapters: dict[str, list[Figure]] = {}
    failures: dict[str, str] = {}
    for title in titles:
        began = time.perf_counter()
        print(f"{title} …", flush=True)
        try:
            chapters[title] = await CHAPTERS[title](place, quick)
        except Exception as error:  # noqa: BLE001 the others are worth having
            failures[title] = f"{type(error).__name__}: {error}"
            print(f"  failed: {failures[title]}", file=sys.stderr)
            continue
        for figure in chapters[title]:
            bar = f", bar {figure.bar}: {figure.verdict}" if figure.bar else ""
            print(f"  {figure.ratio:6.2f}  {figure.what}, beside {figure.beside}{bar}")
        print(f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    conn = await asyncpg.connect(place.cluster.dsn())
    try:
        version = (await conn.fetchval("SHOW server_version")).split()[0]
    finally:
        await conn.close()
    text = report.render(chapters, failures, version)
    return text, report.figures_json(chapters, failures), bool(failures)


if __name__ == "__main__":
    sys.exit(main())
