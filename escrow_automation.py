"""The clockwork: one table of jobs, run by APScheduler in the bot's own loop.

A job is a bounded sweep over what is due in PostgreSQL, so a missed run only means: later. Nothing
is sent from inside a job, and one that fails is logged, counted and tried again at its next turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from escrow.domain import schedule
from escrow.domain.errors import DatabaseDown, Paused, TimedOut
from escrow.domain.schedule import Schedule
from escrow.services.health import Planned
from escrow.store import inbox, setbacks

if TYPE_CHECKING:
    from escrow.bootstrap import Services
    from escrow.quick_start import QuickStart

_LOG: Final = logging.getLogger(__name__)
MISFIRE_SECONDS: Final = 300
BEAT_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 4.0
"""A slot whose owner died is taken over within ten seconds of silence and one such look."""
SLOT_LATE: Final = timedelta(hours=2)
"""A missed slot is made up for in seconds; one that is not by then is somebody's to look at."""
STOP_SECONDS: Final = 3.0
CUT_SECONDS: Final = 1.0
"""What was still under way then is cancelled, and has so long to put down what it held."""
WATCH_SECONDS: Final = 15.0
STILL_SECONDS: Final = 30.0
"""The scheduler lives by the host's clock: set back, it would wait for old times to come again.
When so long no turn came that was due, all turns are set anew.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of JOBS. `run` returns (looked at, done, failed); `timer` jobs stand still while the
    clock can't be trusted; `cut` ones only read for long, and a stop does not wait for them;
    `in_pause` ones move nothing and run also while Amana is paused. Questions to M-Pesa wait with
    the rest: the answers wait, too, and an unheard one would count as none. One with a `schedule`
    runs at these times of the day, once each, whatever number of processes there is
    (`services/slots`); `seconds` is how often this process looks for such a slot. `at_once` ones
    need not wait until what an outage held up is moved.
    """

    name: str
    words: str
    seconds: Callable[[Services], float]
    run: Callable[[Services], Awaitable[tuple[int, int, int]]]
    timer: bool = True
    cut: bool = False
    in_pause: bool = False
    schedule: Callable[[Services], Schedule] | None = None
    at_once: bool = False


async def _expire_choices(services: Services) -> tuple[int, int, int]:
    looked, done = await services.choices.expire()
    return looked, done, looked - done


async def _cancel_overdue(services: Services) -> tuple[int, int, int]:
    looked, done = await services.escrows.cancel_overdue()
    return looked, done, looked - done


async def _release_due(services: Services) -> tuple[int, int, int]:
    looked, done = await services.escrows.release_due()
    return looked, done, looked - done


async def _refund_due(services: Services) -> tuple[int, int, int]:
    looked, done = await services.escrows.refund_due()
    return looked, done, looked - done


async def _look_at_prompts(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.confirmations.look_due()
    return looked, looked - failed, failed


async def _check_receipts(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.confirmations.check_due()
    late, wrong = await services.statements.book_late_reversals()
    return looked + late, looked + late - failed - wrong, failed + wrong


async def _fingerprint_evidence(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.records.fingerprint_due()
    return looked, looked - failed, failed


async def _look_at_claims(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.claims.look_due()
    return looked, looked - failed, failed


async def _look_for_coins(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.coins.look_due()
    return looked, looked - failed, failed


async def _ask_balances(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.balances.ask_due()
    return looked, looked - failed, failed


async def _pull_payments(services: Services) -> tuple[int, int, int]:
    return await services.pulls.pull_due()


async def _send_payouts(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.payouts.send_due()
    return looked, looked - failed, failed


async def _ask_payouts(services: Services) -> tuple[int, int, int]:
    looked, failed = await services.payouts.ask_due()
    return looked, looked - failed, failed


async def _prove_books(services: Services) -> tuple[int, int, int]:
    looked, breaks = await services.oversight.prove()
    return looked, looked if not breaks else 0, int(breaks > 0)


async def _prove_all_books(services: Services) -> tuple[int, int, int]:
    looked, breaks = await services.oversight.prove_all()
    return looked, looked if not breaks else 0, int(breaks > 0)


async def _look_at_funding(services: Services) -> tuple[int, int, int]:
    return await services.funding_looks.look_due()


async def _return_unclaimed(services: Services) -> tuple[int, int, int]:
    return await services.unclaimed.return_due()


async def _tell_silences(services: Services) -> tuple[int, int, int]:
    done = await services.silences.tell_due()
    return done, done, 0


async def _watch_float(services: Services) -> tuple[int, int, int]:
    looked, told = await services.float_watch.warn_due()
    return looked, told, 0


async def _beat(services: Services) -> tuple[int, int, int]:
    moved = await services.outages.beat()
    return moved, moved, 0


async def _close_days(services: Services) -> tuple[int, int, int]:
    done = await services.figures.close_days()
    return done, done, 0


async def _carry_on_pause(services: Services) -> tuple[int, int, int]:
    done = await services.pauses.carry_on()
    return done, done, 0


async def _expire_actions(services: Services) -> tuple[int, int, int]:
    looked, done = await services.actions.expire()
    return looked, done, looked - done


async def _send_digest(services: Services) -> tuple[int, int, int]:
    done = await services.digest.queue_due()
    return done, done, 0


async def _remind(services: Services) -> tuple[int, int, int]:
    tally = await services.reminders.queue_due()
    return tally.looked, tally.done, tally.failed


async def _count_ratings(services: Services) -> tuple[int, int, int]:
    tally = await services.standings.count()
    return tally.looked, tally.done, tally.failed


async def _detect_fraud(services: Services) -> tuple[int, int, int]:
    tally = await services.patterns.detect()
    return tally.looked, tally.done, tally.failed


async def _clean_up(services: Services) -> tuple[int, int, int]:
    tally = await services.cleanup.run()
    return tally.looked, tally.done, tally.failed


async def _read_clock(services: Services) -> tuple[int, int, int]:
    async with services.database.reading() as conn:
        await services.clock.read(conn)
        await inbox.prune_runs(conn, services.clock.now() - timedelta(days=1))
        await setbacks.prune(conn)
    await services.oversight.watch_clock(services.clock.drift)
    return 1, int(services.clock.steady), int(not services.clock.steady)


JOBS: Final[tuple[Job, ...]] = (
    Job(
        "expire_choices",
        "an underpayment nobody decided goes to the buyer's wallet",
        lambda services: services.settings.sweep_seconds,
        _expire_choices,
    ),
    Job(
        "expire_actions",
        "what an admin asked for and nobody confirmed in time is off",
        lambda services: services.settings.sweep_seconds,
        _expire_actions,
    ),
    Job(
        "cancel_overdue",
        "a deal nobody paid in time is cancelled",
        lambda services: services.settings.sweep_seconds,
        _cancel_overdue,
    ),
    Job(
        "release_due",
        "a deal that its buyer neither confirmed nor disputed in time pays the seller",
        lambda services: services.settings.auto_release_seconds,
        _release_due,
    ),
    Job(
        "refund_due",
        "a deal that its seller did not send in time goes back to the buyer",
        lambda services: services.settings.auto_refund_seconds,
        _refund_due,
    ),
    Job(
        "look_at_prompts",
        "asks M-Pesa about prompts whose callback did not come",
        lambda services: min(services.settings.sweep_seconds, 5),
        _look_at_prompts,
        timer=False,
    ),
    Job(
        "check_receipts",
        "asks again about payments that are not confirmed yet, and books what was taken back",
        lambda services: services.settings.sweep_seconds,
        _check_receipts,
        timer=False,
    ),
    Job(
        "fingerprint_evidence",
        "takes the fingerprints of files that people sent",
        lambda services: services.settings.sweep_seconds,
        _fingerprint_evidence,
        timer=False,
        in_pause=True,
        cut=True,
    ),
    Job(
        "look_at_claims",
        "asks M-Pesa about receipts that people claim",
        lambda services: services.settings.sweep_seconds,
        _look_at_claims,
        timer=False,
    ),
    Job(
        "look_for_coins",
        "asks the crypto providers about coins whose callback did not come",
        lambda services: services.settings.sweep_seconds,
        _look_for_coins,
        timer=False,
    ),
    Job(
        "pull_payments",
        "finds payments of the last 48 hours that M-Pesa never announced",
        lambda services: services.settings.reconcile_seconds,
        _pull_payments,
        timer=False,
    ),
    Job(
        "ask_balances",
        "asks M-Pesa what its accounts of ours hold",
        lambda services: services.settings.reconcile_seconds,
        _ask_balances,
        timer=False,
    ),
    Job(
        "send_payouts",
        "sends money that is on its way out",
        lambda services: min(services.settings.sweep_seconds, 5),
        _send_payouts,
    ),
    Job(
        "ask_payouts",
        "asks M-Pesa about payouts whose result did not come",
        lambda services: services.settings.sweep_seconds,
        _ask_payouts,
        timer=False,
    ),
    Job(
        "prove_books",
        "proves that every cent is where it should be",
        lambda services: services.settings.proof_seconds,
        _prove_books,
        timer=False,
        in_pause=True,
    ),
    Job(
        "prove_all_books",
        "proves the whole of the books, old deals too",
        lambda services: LOOK_SECONDS,
        _prove_all_books,
        timer=False,
        in_pause=True,
        cut=True,
        schedule=lambda services: services.settings.schedule("proof_times"),
    ),
    Job(
        "look_at_funding",
        "asks M-Pesa again whether the payments of large deals stand",
        lambda services: services.settings.look_seconds,
        _look_at_funding,
        timer=False,
    ),
    Job(
        "return_unclaimed",
        "money that nobody claims goes back to whoever paid it",
        lambda services: services.settings.look_seconds,
        _return_unclaimed,
    ),
    Job(
        "tell_silences",
        "the admins hear that a side of a dispute did not answer",
        lambda services: services.settings.look_seconds,
        _tell_silences,
    ),
    Job(
        "watch_float",
        "the admins hear before the float is short",
        lambda services: services.settings.float_seconds,
        _watch_float,
        timer=False,
    ),
    Job(
        "beat",
        "says that Amana lives, and moves what an outage held up",
        lambda services: 30,
        _beat,
        timer=False,
        in_pause=True,
    ),
    Job(
        "close_days",
        "keeps the figures of days that are over",
        lambda services: services.settings.figures_seconds,
        _close_days,
        timer=False,
        in_pause=True,
    ),
    Job(
        "carry_on_pause",
        "tells people of a pause, and ends it as it was promised",
        lambda services: services.settings.sweep_seconds,
        _carry_on_pause,
        timer=False,
        in_pause=True,
    ),
    Job(
        "send_digest",
        "each morning the admins read what waits for them",
        lambda services: max(services.settings.sweep_seconds, 30),
        _send_digest,
        in_pause=True,
    ),
    Job(
        "send_reminders",
        "sellers are asked to send, buyers to confirm, before something happens by itself",
        lambda services: LOOK_SECONDS,
        _remind,
        schedule=lambda services: services.settings.schedule("reminder_times"),
    ),
    Job(
        "count_ratings",
        "counts what sellers have shown, and tells those whose level changes",
        lambda services: LOOK_SECONDS,
        _count_ratings,
        in_pause=True,
        schedule=lambda services: services.settings.schedule("ratings_times"),
    ),
    Job(
        "detect_fraud",
        "flags whoever shows a pattern of fraud",
        lambda services: LOOK_SECONDS,
        _detect_fraud,
        in_pause=True,
        schedule=lambda services: services.settings.schedule("fraud_times"),
    ),
    Job(
        "clean_up",
        "archives old deals, drops what is bulky and old, reports the month to the admins",
        lambda services: LOOK_SECONDS,
        _clean_up,
        in_pause=True,
        cut=True,
        schedule=lambda services: services.settings.schedule("cleanup_times"),
    ),
    Job(
        "read_clock",
        "compares the clocks",
        lambda services: 30,
        _read_clock,
        timer=False,
        in_pause=True,
        at_once=True,
    ),
)


class Automation:
    """The running scheduler."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._scheduler = AsyncIOScheduler(
            timezone=services.settings.zone,
            job_defaults={
                "misfire_grace_time": MISFIRE_SECONDS,
                "coalesce": True,
                "max_instances": 1,
            },
        )
        self._under_way: dict[asyncio.Task[Any], Job] = {}
        self._beat: float | None = None
        self._turned = 0.0
        self._watch: asyncio.Task[None] | None = None
        self._since = services.clock.now()

    def start(self) -> None:
        """Every job runs once at the start, for what fell due meanwhile, then by its interval."""
        self._since = self._services.clock.now()
        self._beat = self._turned = asyncio.get_running_loop().time()
        for job in JOBS:
            trigger, at_once = self._turns(job)
            self._scheduler.add_job(
                self._run_job,
                trigger,
                args=[job],
                id=job.name,
                name=job.words,
                next_run_time=at_once,
            )
        self._scheduler.start()
        self._watch = asyncio.create_task(self._watch_turns())
        self._services.oversight.planned = self._planned

    def _turns(self, job: Job) -> tuple[IntervalTrigger, datetime]:
        """A job's turns from now on, and now, by the clock that the scheduler lives by."""
        trigger = IntervalTrigger(
            seconds=job.seconds(self._services), timezone=self._services.settings.zone
        )
        return trigger, trigger.start_date - trigger.interval

    async def _watch_turns(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self.look_after_turns()

    def look_after_turns(self) -> None:
        """Sets all turns anew when none came that was due: then the host's clock was set back."""
        now = asyncio.get_running_loop().time()
        often = min(job.seconds(self._services) for job in JOBS)
        if now - self._turned < max(STILL_SECONDS, 2 * often):
            return
        self._turned = now
        _LOG.warning("the jobs' turns are set anew", extra={"action": "turns_set_anew"})
        for job in JOBS:
            trigger, at_once = self._turns(job)
            self._scheduler.modify_job(job.name, trigger=trigger, next_run_time=at_once)

    def _planned(self) -> dict[str, Planned]:
        """Every job's turns, for whoever watches that none is missed."""
        found = {}
        for job in JOBS:
            turn = self._scheduler.get_job(job.name)
            if turn is None:
                continue
            found[job.name] = Planned(job.seconds(self._services), turn.next_run_time, self._since)
            if job.schedule is not None:
                times = job.schedule(self._services)
                zone = self._services.settings.zone
                next_at = schedule.next_one(times, zone, self._services.clock.now())
                patience = (times.longest_gap + SLOT_LATE).total_seconds()
                found[job.name] = Planned(patience, next_at, self._since, missed=1)
        return found

    @property
    def running(self) -> bool:
        """Whether the clockwork runs, and beats: the clock was read in the last two minutes."""
        if not self._scheduler.running:
            return False
        return self._beat is None or asyncio.get_running_loop().time() - self._beat < BEAT_SECONDS

    async def _run_job(self, job: Job) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 a coroutine always runs in a task
        self._under_way[task] = job
        self._turned = asyncio.get_running_loop().time()
        try:
            await turn(self._services, job)
            if job.name == "read_clock":  # every turn, whatever came of it
                self._beat = asyncio.get_running_loop().time()
        except asyncio.CancelledError:
            if not job.cut:  # a cut one was told to end, and the scheduler need not complain
                raise
        finally:
            del self._under_way[task]

    async def stop(self) -> None:
        """No new runs; those under way may finish, 3 s at most."""
        self._services.oversight.planned = dict
        if self._watch is not None:
            self._watch.cancel()
        self._scheduler.pause()
        for task, job in self._under_way.items():
            if job.cut:
                task.cancel()
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=STOP_SECONDS)
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the library ends it at the loop's next turn
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=CUT_SECONDS)


async def turn(services: Services, job: Job) -> bool | None:
    """A turn of the scheduler: a sweep runs, a job of the clock when a slot of it is due and nobody
    else runs it. None: nothing was to do.
    """
    if not job.at_once and not await _ready(services, job):
        return None
    if job.schedule is None:
        return await run_job(services, job)
    if job.timer and not services.clock.steady:
        return None
    try:
        slot = await services.slots.take(job.name, job.schedule(services), in_pause=job.in_pause)
        if slot is None:
            return None
        return await services.slots.run(slot, partial(_run, services, job))
    except (DatabaseDown, TimedOut):
        _LOG.warning("%s waits for PostgreSQL", job.name, extra={"action": "job_waits"})
        return None


async def _ready(services: Services, job: Job) -> bool:
    """Whether nothing is left to be moved of an outage: before that no job runs (flow.md 31)."""
    try:
        await services.outages.ready()
    except (DatabaseDown, TimedOut):
        _LOG.warning("%s waits for PostgreSQL", job.name, extra={"action": "job_waits"})
        return False
    except Exception:  # noqa: BLE001 it is tried again before the next job
        _LOG.exception("an outage could not be looked for", extra={"action": "outage_failed"})
        return False
    return True


async def run_job(services: Services, job: Job) -> bool:
    """One run of a job, kept in `job_runs`; False when it failed."""
    return await _run(services, job) is not False


async def _run(services: Services, job: Job) -> bool | None:
    """As `run_job`; None when it stood still, all or the rest of it: a slot of it is not done."""
    if job.timer and not services.clock.steady:
        return False
    error: str | None = None
    looked = done = failed = 0
    run_id: int | None = None
    stood = False
    try:
        async with services.database.reading() as conn:
            run_id = await inbox.start_run(
                conn, job.name, services.clock.now(), in_pause=job.in_pause
            )
        if run_id is None:
            return None  # everything stands still
        looked, done, failed = await job.run(services)
    except Paused:
        stood = True
        _LOG.info("%s stands still", job.name, extra={"action": "job_paused"})
    except (DatabaseDown, TimedOut) as outage:
        error = str(outage)
        _LOG.warning("%s waits for PostgreSQL", job.name, extra={"action": "job_waits"})
    except Exception as problem:  # noqa: BLE001 a failing job must not end the clockwork
        error = f"{type(problem).__name__}: {problem}"
        _LOG.exception("%s failed", job.name, extra={"action": "job_failed", "job": job.name})
    if run_id is not None:
        try:
            async with services.database.reading() as conn:
                await inbox.finish_run(
                    conn,
                    run_id,
                    services.clock.now(),
                    looked_at=looked,
                    done=done,
                    skipped=max(looked - done - failed, 0),
                    failed=failed,
                    error=error,
                )
        except (DatabaseDown, TimedOut):
            _LOG.warning("a run could not be recorded", extra={"action": "job_waits"})
    # sweeps mostly find nothing to do, and what runs in a pause only looks
    if failed or job.schedule is not None or (looked and not job.in_pause):
        _LOG.log(
            logging.WARNING if failed else logging.INFO,
            "%s ran",
            job.name,
            extra={
                "action": "job_ran",
                "job": job.name,
                "looked": looked,
                "done": done,
                "skipped": max(looked - done - failed, 0),
                "failed": failed,
            },
        )
    if error is not None or failed:
        return False
    return None if stood else True


_running: Automation | None = None
_opened: QuickStart | None = None


async def start_automation(bot: Any, services: Services | None = None) -> Automation:
    """Starts the jobs.

    Without `services` (the Quick Start: `post_init` of a bare Application) it opens its own from
    the environment, and the office that the ten admin commands work in; people are told by this
    bot. No webhooks listen then. `stop_automation` closes all of it.
    """
    global _running, _opened
    if _running is not None:
        return _running
    if services is None:
        from escrow.quick_start import QuickStart

        _opened = await QuickStart.open(bot)
        services = _opened.services
    _running = Automation(services)
    _running.start()
    return _running


async def stop_automation() -> None:
    """Stops the jobs, and closes what `start_automation` opened."""
    global _running, _opened
    running, _running = _running, None
    opened, _opened = _opened, None
    if running is not None:
        await running.stop()
    if opened is not None:
        await opened.close()
