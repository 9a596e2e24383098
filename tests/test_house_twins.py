"""Tests mirror the tree: every module has a test file of its name, or it says where its tests
stand; every test file has its module, or says what it is about.
"""

from pathlib import Path

from tests.house import OURS, PROGRAM, ROOT, SANDBOX, Module

TESTED_ELSEWHERE = {
    # wiring: what it does shows only when the whole program runs
    "main.py": "tests/e2e/test_process.py",
    "escrow/program.py": "tests/e2e/test_process.py",
    "escrow/bootstrap.py": "tests/e2e/test_process.py",
    "escrow/metrics.py": "tests/web/test_health.py",
    "escrow/web/server.py": "tests/web/test_webhooks.py",
    # parts of one thing that is tested as that thing
    "escrow/bot/talk_texts.py": "tests/bot/test_talk.py",
    "escrow/bot/payout_texts.py": "tests/bot/test_payouts.py",
    "escrow/bot/coin_texts.py": "tests/bot/test_coins.py",
    "escrow/bot/dollar_texts.py": "tests/bot/test_dollars.py",
    "escrow/domain/payouts.py": "tests/services/test_payout_booking.py",
    "escrow/store/embedded_home.py": "tests/store/test_embedded.py",
    "escrow/domain/figures.py": "tests/services/test_figures.py",
    "escrow/store/figures.py": "tests/services/test_figures.py",
    "escrow/services/paying.py": "tests/services/test_crypto.py",
    "escrow/store/crypto.py": "tests/services/test_crypto.py",
    "escrow/store/monthly.py": "tests/services/test_monthly.py",
    "escrow/store/patterns.py": "tests/services/test_patterns.py",
    "escrow/store/reminders.py": "tests/services/test_reminders.py",
    "escrow/store/cleanup.py": "tests/services/test_cleanup.py",
    "escrow/services/payout_ends.py": "tests/services/test_payouts.py",
    "escrow/services/payout_results.py": "tests/services/test_payouts.py",
    "escrow/services/payout_sending.py": "tests/services/test_payouts.py",
    "escrow/services/payout_asking.py": "tests/services/test_payouts.py",
    "escrow/services/receipts.py": "tests/bot/admin/test_unmatched.py",
    "escrow/store/unmatched.py": "tests/bot/admin/test_unmatched.py",
    "escrow/bot/admin/receipt_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/admin/payout_list_texts.py": "tests/bot/test_payouts.py",
    "escrow/services/postings.py": "tests/test_escrow_fund_manager.py",
    "escrow/services/booking.py": "tests/test_escrow_fund_manager.py",
    "escrow/services/bounds.py": "tests/faults/test_bounds.py",
    "escrow/services/fitting.py": "tests/faults/test_prompt_and_paybill.py",
    "escrow/services/dividing.py": "tests/services/test_rulings.py",
    "escrow/services/matching.py": "tests/faults/test_prompt_and_paybill.py",
    "escrow/store/slots.py": "tests/services/test_slots.py",
    "escrow/store/setbacks.py": "tests/services/test_sweeps.py",
    "escrow/services/work.py": "tests/services/test_escrow_service.py",
    "escrow/services/trace.py": "tests/services/test_fund_manager.py",
    "escrow/host.py": "tests/e2e/test_host.py",
    "escrow/quick_start.py": "tests/e2e/test_quick_start.py",
    "escrow/domain/actions.py": "tests/services/test_actions.py",
    "escrow/store/actions.py": "tests/services/test_actions.py",
    "escrow/services/action_tokens.py": "tests/services/test_actions.py",
    "escrow/services/verdicts.py": "tests/services/test_actions.py",
    "escrow/bot/admin/action_texts.py": "tests/bot/admin/test_confirming.py",
    "escrow/bot/admin/verdict_texts.py": "tests/bot/admin/test_confirming.py",
    "escrow/domain/pauses.py": "tests/services/test_pauses.py",
    "escrow/store/pauses.py": "tests/services/test_pauses.py",
    "escrow/store/auditing.py": "tests/services/test_auditing.py",
    "escrow/store/floating.py": "tests/services/test_floating.py",
    "escrow/store/health.py": "tests/services/test_oversight.py",
    "escrow/store/funding.py": "tests/services/test_funding_looks.py",
    "escrow/store/outages.py": "tests/services/test_outages.py",
    "escrow/bot/admin/sweep_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/admin/pausing_texts.py": "tests/bot/admin/test_pausing.py",
    "escrow/bot/excuses.py": "tests/bot/test_application.py",
    "escrow/bot/admin/seller_texts.py": "tests/bot/admin/test_sellers.py",
    "escrow/bot/admin/cards.py": "tests/bot/admin/test_sellers.py",
    "escrow/store/sellers.py": "tests/services/test_people.py",
    "escrow/bot/admin/flag_texts.py": "tests/bot/admin/test_flags.py",
    "escrow/bot/admin/digest_texts.py": "tests/bot/admin/test_waiting.py",
    "escrow/store/digest.py": "tests/services/test_digest.py",
    "escrow/bot/admin/help_texts.py": "tests/bot/test_menus.py",
    "escrow/bot/admin/lists.py": "tests/bot/admin/test_paging.py",
    "escrow/bot/admin/case_texts.py": "tests/bot/test_texts.py",
    "escrow/store/cases.py": "tests/services/test_cases.py",
    "escrow/bot/admin/guard.py": "tests/bot/test_escrow_handlers_admin.py",
    "escrow/bot/limiter.py": "tests/bot/test_messenger.py",
    "escrow/bot/desk.py": "tests/bot/test_common.py",
    "escrow/bot/asking.py": "tests/bot/test_buyer.py",
    "escrow/bot/divisions.py": "tests/bot/test_settling.py",
    "escrow/domain/statements.py": "tests/services/test_statements.py",
    "escrow/store/statements.py": "tests/services/test_statements.py",
    "escrow/bot/admin/statement_texts.py": "tests/bot/admin/test_statement.py",
    # words: every text of every module, in both languages
    "escrow/bot/admin_notices.py": "tests/bot/test_texts.py",
    "escrow/bot/admin_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/admin/figures_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/deal_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/deal_steps.py": "tests/bot/test_texts.py",
    "escrow/bot/shipping_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/labels.py": "tests/bot/test_texts.py",
    "escrow/bot/dispute_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/settle_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/ruling_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/locales/__main__.py": "tests/bot/test_locales.py",
    "escrow/bot/paid_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/rating_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/selling_texts.py": "tests/bot/test_texts.py",
    "escrow/bot/selling_keyboards.py": "tests/bot/test_newdeal.py",
    "escrow/bot/wallet_texts.py": "tests/bot/test_texts.py",
    # no logic: Protocols, and records
    "escrow/services/ports.py": "tests/world.py",
    "escrow/bot/context.py": "tests/bot/conftest.py",
}
"""Modules without a test file of their name, and where their tests stand."""

OF_THEIR_OWN = {
    "tests/fuzz/test_targets.py": "the readers of strangers' bytes, as `make fuzz` has them",
    "tests/web/test_forged.py": "10,000 requests against the door, all kinds mixed",
    "tests/web/test_forged_coins.py": "the same at the doors of the coins",
    "tests/test_escrow_fund_manager.py": "the seed's own name for its payment scenarios",
    "tests/test_house.py": "the rules of the source",
    "tests/test_house_twins.py": "this file",
    "tests/test_guide.py": "the integration guide: its tables and its examples",
    "tests/rails/test_daraja_samples.py": "every known body of Daraja, by name",
    "tests/rails/test_coin_samples.py": "every known body of BlockBee and DynoPay, by name",
    "tests/bot/admin/test_matrix.py": "who may use which admin command, on which deal",
    "tests/bot/admin/test_hostile.py": "what people write, on every admin screen",
    "tests/services/test_claims_and_prompts.py": "claims beside prompts whose number is not known",
    "tests/services/test_dollars.py": "dollars on their way out, through the payout services",
    "tests/services/test_crypto_on_the_way.py": "coins that are seen, and not confirmed yet",
    "tests/services/test_million.py": "what figures and health read of a million deals",
    "tests/services/test_till.py": "a till instead of a paybill, through every path of payments",
    "tests/services/test_own_deals.py": "nobody buys from himself, by whatever way",
    "tests/services/test_lifecycle_triples.py": "the flow, through every service",
    "tests/services/test_actions_race.py": "a thousand disputes, each ended once",
    "tests/store/test_attacks_actions.py": "the migrations, attacked",
    "tests/store/test_attacks_claims.py": "the migrations, attacked",
    "tests/store/test_attacks_crypto.py": "the migrations, attacked",
    "tests/store/test_attacks_clock.py": "the migrations, attacked",
    "tests/bot/test_locales.py": "the catalogues and the command that renews them",
    "tests/store/test_attacks_clockwork.py": "the migrations, attacked",
    "tests/store/test_attacks_deals.py": "the migrations, attacked",
    "tests/store/test_attacks_dollars.py": "the migrations, attacked",
    "tests/store/test_attacks_edges.py": "the migrations, attacked",
    "tests/store/test_attacks_figures.py": "the migrations, attacked",
    "tests/store/test_attacks_float.py": "the migrations, attacked",
    "tests/store/test_attacks_forged.py": "the migrations, attacked",
    "tests/store/test_attacks_ledger.py": "the migrations, attacked",
    "tests/store/test_attacks_life.py": "the migrations, attacked",
    "tests/store/test_attacks_outages.py": "the migrations, attacked",
    "tests/store/test_attacks_pauses.py": "the migrations, attacked",
    "tests/store/test_attacks_payments.py": "the migrations, attacked",
    "tests/store/test_attacks_payouts.py": "the migrations, attacked",
    "tests/store/test_attacks_records.py": "the migrations, attacked",
    "tests/store/test_attacks_reversals.py": "the migrations, attacked",
    "tests/store/test_attacks_people.py": "the migrations, attacked",
    "tests/store/test_attacks_statement.py": "the migrations, attacked",
    "tests/store/test_attacks_ratings.py": "the migrations, attacked",
    "tests/store/test_attacks_role.py": "the migrations, attacked",
    "tests/store/test_flow_table.py": "the migrations, beside the flow",
    "tests/store/test_guards.py": "the migrations, guard by guard",
    "tests/store/test_views.py": "the migrations, as outside checks read them",
}
"""Test files without a module of their name, and what they are about."""

SEEDS = {"tests/test_payment_integration.py"}
"""The seed's other name; it may come or go."""


def _twin(module: Module) -> list[Path]:
    """Where a module's own tests stand."""
    parts = module.path.relative_to(ROOT).parts
    name = f"test_{module.path.name}"
    if len(parts) == 1:
        return sorted((ROOT / "tests").rglob(name))
    return sorted((ROOT / "tests").joinpath(*parts[1:-1]).glob(name))


def test_every_module_has_a_test_file_of_its_name() -> None:
    missing = {
        str(module.path.relative_to(ROOT))
        for module in PROGRAM
        if module.path.name != "__init__.py" and not _twin(module)
    }
    assert missing - TESTED_ELSEWHERE.keys() == set()
    for name, elsewhere in TESTED_ELSEWHERE.items():
        assert (ROOT / elsewhere).is_file(), f"{name} is not tested in {elsewhere}"


def test_every_test_file_has_its_module_or_says_what_it_is_about() -> None:
    twins = {path for module in OURS for path in _twin(module)}
    twins |= {ROOT / "tests" / "sandbox" / f"test_{m.path.name}" for m in SANDBOX}
    twins.add(ROOT / "tests" / "test_benchmarks.py")
    loose = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path not in twins and path.relative_to(ROOT).parts[1] not in ("e2e", "faults", "issues")
    } - SEEDS
    assert loose - OF_THEIR_OWN.keys() == set()
    assert OF_THEIR_OWN.keys() <= loose, "has its module by now, or is gone"
