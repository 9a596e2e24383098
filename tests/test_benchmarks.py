"""The benchmarks run and measure something. How fast anything is, is not asserted here."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import caller, decisions, report
from benchmarks.__main__ import CHAPTERS
from benchmarks.pairs import AT_LEAST, AT_MOST, Bar, Figure, columns, interleaved
from benchmarks.server import PgbenchError, tps
from escrow.rails import mpesa_parse

ROOT = Path(__file__).resolve().parents[1]
PAIRS = [(90.0, 100.0), (50.0, 100.0), (30.0, 20.0)]


@dataclass(frozen=True)
class Written:
    """What one quick run of everything left."""

    figures: list[dict[str, Any]]
    failures: dict[str, str]
    results: str


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("benchmarks")
    results, figures = folder / "RESULTS.md", folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    command += ["--to", str(results), "--figures", str(figures)]
    subprocess.run(command, cwd=ROOT, timeout=280, check=False)
    found = json.loads(figures.read_text(encoding="utf-8"))
    return Written(found["figures"], found["failures"], results.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_benchmark_runs_and_yields_finite_ratios(written: Written, chapter: str) -> None:
    assert chapter not in written.failures
    found = [figure for figure in written.figures if figure["chapter"] == chapter]
    assert found
    for figure in found:
        assert figure["sound"], figure
        assert math.isfinite(figure["ratio"])
        assert figure["ratio"] > 0
        assert f"| {figure['what']} | {figure['beside']} |" in written.results


def test_every_chapter_says_how_it_was_measured() -> None:
    assert set(report.NOTES) == set(CHAPTERS)


def test_a_figure_shows_medians_and_the_median_of_its_pairs_ratios() -> None:
    figure = Figure("ours", "by hand", "x/s", PAIRS)
    assert (figure.ours, figure.by_hand) == (50.0, 100.0)
    assert figure.ratio == 0.9
    assert figure.spread == (0.5, 1.5)
    assert figure.verdict == ""


@pytest.mark.parametrize(
    ("bar", "verdict"),
    [
        (Bar(AT_LEAST, 0.9), "held"),
        (Bar(AT_LEAST, 0.91), "missed"),
        (Bar(AT_MOST, 0.9), "held"),
        (Bar(AT_MOST, 0.89), "missed"),
    ],
)
def test_a_missed_bar_is_said(bar: Bar, verdict: str) -> None:
    figure = Figure("payments", "by hand", "x/s", PAIRS, bar)
    assert figure.verdict == verdict
    text = report.render({"Payments": [figure]}, {}, "18.6")
    assert ("- payments, beside by hand: 0.90" in text) == (verdict == "missed")
    assert f"| {verdict} | 3 |" in text


def test_what_could_not_be_measured_is_said() -> None:
    text = report.render({}, {"Program": "ProgramError: never ready"}, "18.6")
    assert "**Program could not be measured**: ProgramError: never ready" in text


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_figure_that_measured_nothing_is_not_sound(value: float) -> None:
    assert not Figure("a", "b", "x/s", [(1.0, value)]).sound
    assert not Figure("a", "b", "x/s", []).sound
    assert Figure("a", "b", "x/s", PAIRS).sound


async def test_samples_take_turns_to_be_first() -> None:
    order: list[str] = []

    def sample(name: str, value: float):
        async def measure() -> float:
            order.append(name)
            await asyncio.sleep(0)
            return value

        return measure

    found = await interleaved(3, sample("a", 1.0), sample("b", 2.0))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found == [(1.0, 2.0)] * 3
    assert columns(found, 1, 0) == [(2.0, 1.0)] * 3


def test_pgbench_is_believed_only_when_nothing_failed() -> None:
    good = (
        "number of failed transactions: 0 (0.000%)\ntps = 1234.5 (without initial connection time)"
    )
    assert tps(good) == 1234.5
    for said in (good.replace(": 0 ", ": 3 "), "tps = 5 (including connections)", ""):
        with pytest.raises(PgbenchError):
            tps(said)


def test_the_plain_comparison_knows_the_tiers_edges() -> None:
    assert decisions.plain(10_500_00, 10_500_00) == 0
    assert decisions.plain(10_500_00, 10_500_00 - 315_00) == 0
    assert decisions.plain(10_500_00, 10_500_00 - 315_01) == 1
    assert decisions.plain(10_500_00, 10_500_00 - 945_00) == 1
    assert decisions.plain(10_500_00, 10_500_00 - 945_01) == 2


def test_the_caller_sends_callbacks_that_can_be_read() -> None:
    first, second = caller.requests("/hooks/m/x/s/{token}", 2)
    assert first.startswith(b"POST /hooks/m/x/s/0")
    bodies = [sent.partition(b"\r\n\r\n")[2] for sent in (first, second)]
    read = [mpesa_parse.stk_callback(body) for body in bodies]
    assert read[0].reference != read[1].reference
