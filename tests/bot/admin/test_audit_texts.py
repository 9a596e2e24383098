"""/audit proves everything and names every break; a long list comes as a file."""

from __future__ import annotations

import asyncpg
import pytest

from escrow.bot.admin import audit_texts, safe
from sandbox.telegram_html import parse_html
from tests.bot import samples
from tests.bot.admin import safe_samples
from tests.bot.conftest import ADMIN, Town


def _text(name: str) -> str:
    audit = safe_samples.audits("account 5 is off")[name]
    return parse_html(str(audit_texts.audited(audit, samples.page())))[0]


def test_whole_books_are_whole_at_once() -> None:
    text = _text("whole")
    assert text.startswith("The books are whole.")
    assert "Proved in 3.2 s: journals 1,000,000" in text
    assert "KES: trial balance 0" in text


def test_breaks_come_first_with_what_to_do_and_the_rest_in_the_file() -> None:
    text = _text("broken")
    assert text.startswith("BROKEN: 72 breaks.")
    assert "/case ES1008257624" in text
    assert "and 62 more: in the file" in text
    assert "/pause" in text
    assert len(text) < 4096
    listed = audit_texts.all_breaks(safe_samples.audits("x")["broken"]).decode()
    assert listed.count("Journal 5 does not sum to zero.") == 9
    assert len(listed.splitlines()) == 72


def test_one_that_was_cut_short_calls_nothing_whole() -> None:
    text = _text("cut")
    assert text.startswith("The audit was cut short")
    assert "whole" not in text.splitlines()[0]


@pytest.mark.parametrize(
    ("off", "words"), [(-5, "KES 5 less at M-Pesa"), (0, "and so did"), (5, "KES 5 more at M-Pesa")]
)
def test_what_m_pesa_says_is_compared(off: int, words: str) -> None:
    assert words in _text(f"provider:{off}")


async def test_an_admin_audits_and_reads_the_verdict(town: Town) -> None:
    await town.shop()
    await town.deal()
    progress, verdict = await town.says(ADMIN, "/audit")
    assert progress.text.startswith("The audit is running.")
    assert verdict.text.startswith("The books are whole.")


async def test_a_planted_break_is_named(town: Town, dsn: str) -> None:
    owner = await asyncpg.connect(dsn)
    await owner.execute("SET session_replication_role = replica")  # past every trigger
    await owner.execute(
        "INSERT INTO ledger_accounts (kind, owner, currency, balance_minor, entries) "
        "SELECT 'wallet', 3001 + n, 'KES', 500, 1 FROM generate_series(1, 11) AS n"
    )
    await owner.close()
    found = await town.says(ADMIN, "/audit")
    assert found[1].text.startswith("BROKEN: 13 breaks.")
    assert "wallet:3002" in found[1].text
    health = (await town.says(ADMIN, "/system_health"))[-1].text
    assert health.startswith("BROKEN")
    assert "/audit" in health


async def test_a_long_audit_goes_on_while_the_chat_is_answered(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe, "AUDIT_SECONDS", 0.0)
    await town.says(ADMIN, "/audit")
    for task in list(safe._UNDER_WAY):
        await task
    assert town.last(ADMIN).text.startswith("The books are whole.")
