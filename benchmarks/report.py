"""RESULTS.md: what was measured, beside what, and which bars were missed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.pairs import Figure

PREFACE: Final = """\
Written by `make bench`. Every figure stands beside the same work done by hand, measured in turn
with it in the same run on the same machine and server, and only the ratio is held to a bar: the
absolute numbers belong to this machine on that day. A ratio is the median of the pairs' own ratios;
behind it stand the smallest and the largest.
"""

NOTES: Final = {
    "Payments": """\
A payment is one call of `EscrowFundManager.process_escrow_payment`: a confirmed receipt of exactly
what is due, fee 5 %, brings a PENDING deal to HELD, with the receipt, two journals of five entries,
status, timeline and two notices, every trigger and CHECK on; 64 sellers and 128 buyers, one
process, a pool of 10. By hand: the same rows, one statement each, on a connection held per worker,
into tables with the same columns and indexes but without triggers, foreign keys and CHECKs. Deals
are opened before. "With the program's log": the checkpoints are written as the program does it, to
the console (thrown away here) and to a JSON file.
""",
    "Journals": """\
One journal of two entries (external → somebody's wallet, 128 of them) a transaction.
""",
    "Tolerance": """\
By processor time, over payments of all tiers; all three give the same answer for each of them.
""",
    "Figures": """\
The deals of both databases are spread evenly over two years up to now, so a thousand are one or two
a day and a million 1,370. "The figures alone" leaves out the picture, which costs both the same.
Health is what the first look of a process and every later one read, the proof of what is new in the
books included.
""",
    "Releases": """\
A thousand deals whose buyers' time is over, of 500 sellers, released by `release_due`: per deal a
journal of four entries, the settlement, the move, its row of the timeline and two notices, every
trigger and CHECK on, a hundred deals in a transaction. The ten thousand deals beside it are of
twenty days, so that in both databases some thousand are under way. By hand: the same rows in the
same tables by one statement in one transaction, with triggers and foreign keys asleep.
""",
    "Program": """\
`python main.py` as a process: as the sandbox, which starts its own PostgreSQL and both stand-ins,
and as the bot on a PostgreSQL that runs, with the stand-ins in another process. Ready is the line
that says so. Memory is the resident memory of the Python process alone.
""",
    "Callbacks": """\
STK callbacks, each another one, from another process: checked, stored, committed, answered. The
constant answer does not look at the body.
""",
}


def render(
    chapters: Mapping[str, Sequence[Figure]], failures: Mapping[str, str], postgres: str
) -> str:
    """The whole file."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    parts = [
        "# Results",
        PREFACE.strip(),
        f"{when} · {_cores()} cores ({platform.machine()}) · PostgreSQL {postgres}, fsync and "
        f"synchronous_commit on · Python {platform.python_version()} · {platform.system()}",
        _misses(chapters, failures),
    ]
    for title, figures in chapters.items():
        parts += [f"## {title}", NOTES[title].strip(), _table(figures)]
    return "\n\n".join(parts) + "\n"


def figures_json(chapters: Mapping[str, Sequence[Figure]], failures: Mapping[str, str]) -> str:
    """The same for programs."""
    rows = [
        {
            "chapter": title,
            "what": figure.what,
            "beside": figure.beside,
            "unit": figure.unit,
            "ours": figure.ours,
            "by_hand": figure.by_hand,
            "ratio": figure.ratio,
            "pairs": len(figure.pairs),
            "sound": figure.sound,
            "bar": str(figure.bar) if figure.bar else None,
            "verdict": figure.verdict,
        }
        for title, figures in chapters.items()
        for figure in figures
    ]
    return json.dumps({"figures": rows, "failures": dict(failures)}, indent=1)


def write(path: Path, text: str) -> None:
    """Replaces the file in one step."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _misses(chapters: Mapping[str, Sequence[Figure]], failures: Mapping[str, str]) -> str:
    held = [f for figures in chapters.values() for f in figures if f.bar is not None]
    missed = [f for f in held if f.verdict == "missed"]
    lines = [f"Bars held: {len(held) - len(missed)} of {len(held)}."]
    if missed:
        lines[0] += " Missed:"
        lines.append("")
        lines += [f"- {f.what}, beside {f.beside}: {f.ratio:.2f}, bar {f.bar}" for f in missed]
    for title, why in failures.items():
        lines += ["", f"**{title} could not be measured**: {why}"]
    return "\n".join(lines)


def _table(figures: Sequence[Figure]) -> str:
    lines = [
        "| what | beside | ours | beside it | unit | ratio | bar | | pairs |",
        "|---|---|---:|---:|---|---|---|---|---:|",
    ]
    for figure in figures:
        low, high = figure.spread
        lines.append(
            f"| {figure.what} | {figure.beside} | {_number(figure.ours)} |"
            f" {_number(figure.by_hand)} | {figure.unit} |"
            f" **{figure.ratio:.2f}** ({low:.2f}–{high:.2f}) | {figure.bar or ''} |"
            f" {figure.verdict} | {len(figure.pairs)} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
