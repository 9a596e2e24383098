"""What `/metrics` shows, in Prometheus' text format: taken from the last look at everything."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from escrow.services.choices import UnderpaymentChoices
from escrow.services.health import BROKEN, OK, PAUSED, WATCH
from escrow.services.oversight import Oversight


class Metrics:
    """A registry of its own; no label ever names a person or a deal."""

    def __init__(self, oversight: Oversight, choices: UnderpaymentChoices) -> None:
        self._oversight = oversight
        self._choices = choices
        self._registry = CollectorRegistry()
        self._broken = self._gauge("books_breaks", "invariants of the books that do not hold")
        self._outbox = self._gauge("outbox_waiting", "notices not sent yet")
        self._inbox = self._gauge("inbox_waiting", "callbacks not processed yet")
        self._parked = self._gauge("inbox_parked", "callbacks that a person must look at")
        self._receipts = self._gauge("receipts_waiting", "claimed payments not confirmed yet")
        self._latency = self._gauge("database_ms", "milliseconds of one query")
        self._paused = self._gauge("paused", "1 while everything that moves money stands still")
        self._refused = self._gauge("choices_refused", "buttons refused since the start")
        self._held = Gauge(
            "amana_held_minor",
            "money held for customers, minor units",
            ["currency", "kind"],
            registry=self._registry,
        )

        self._word = Gauge(
            "amana_health",
            "1 for the word that /system_health begins with",
            ["word"],
            registry=self._registry,
        )
        self._float = Gauge(
            "amana_float_minor",
            "the float in KES, minor units",
            ["what"],
            registry=self._registry,
        )

        self._setbacks = self._gauge("deals_failing", "deals that timers could not end")
        self._succeeded = self._by_job("success_timestamp_seconds", "when it last ran well")
        self._failures = self._by_job("failures", "runs that failed within a day")
        self._counts = {
            what: self._by_job(what, words)
            for what, words in (
                ("looked", "what its last run looked at"),
                ("done", "what its last run did"),
                ("failed", "what its last run failed at"),
            )
        }
        self._late = self._by_job("late", "1 while it missed several turns")

    def _by_job(self, name: str, words: str) -> Gauge:
        return Gauge(f"amana_job_{name}", f"of each job: {words}", ["job"], registry=self._registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"amana_{name}", words, registry=self._registry)

    def render(self) -> bytes:
        health = self._oversight.last
        if health is not None:
            self._broken.set(len(health.breaks))
            self._outbox.set(health.outbox_waiting)
            self._inbox.set(health.inbox_waiting)
            self._parked.set(health.inbox_parked)
            self._receipts.set(health.receipts_waiting)
            self._latency.set(health.database_ms)
            self._paused.set(health.paused_at is not None)
            for word in (OK, WATCH, BROKEN, PAUSED):
                self._word.labels(word).set(int(word == health.word))
            if health.float is not None:
                for what in ("utility", "due", "short", "to_take"):
                    self._float.labels(what).set(getattr(health.float, what).minor)
            self._setbacks.set(len({one.escrow_id for one in health.setbacks}))
            for job in health.jobs:
                if job.succeeded_at is not None:
                    self._succeeded.labels(job.name).set(job.succeeded_at.timestamp())
                self._failures.labels(job.name).set(job.failures)
                for what, gauge in self._counts.items():
                    gauge.labels(job.name).set(getattr(job, what))
                self._late.labels(job.name).set(job.late)
            self._held.clear()
            for row in health.held:
                self._held.labels(row["currency"], row["kind"]).set(row["total_minor"])
        self._refused.set(self._choices.refused)
        return generate_latest(self._registry)
