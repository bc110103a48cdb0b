"""Figures that are looked up when they are asked for: the state of queues, logs, requests, holds, jobs, breakers.

Across tenants PostgreSQL answers through functions of the resolver that give sums and nothing else. Every source has
a time limit; one that does not answer is missing from the answer, and `kaireon_source_up` says so.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit import events
from audit.shipping import destinations as siem_destinations
from audit.tree import publication
from audit.witness import witnesses
from cron import certificates, disk
from cron.jobs import JOBS
from customers.catalogue import CATALOGUE
from kaireon.api import breakers
from kaireon.jobs import pauses
from kaireon.lib import clock
from kaireon.ops.deadline import Question, TookTooLong, all_at_once
from kaireon.outbox import dead_letters
from kaireon.outbox.services import QUEUE as OUTBOX

logger = logging.getLogger("kaireon.ops")

SECONDS = 3.0
# A backlog is counted to here and not further, so that a scrape costs the same when it matters most.
MOST_COUNTED = 100_000
# Besides the queues: decisions that could not be scored, and messages that could not be delivered.
DEAD_LETTERS = (*settings.QUEUES, "decisions", OUTBOX)


def queues() -> list[Metric]:
    waiting = dict.fromkeys(settings.QUEUES, 0)
    active = dict.fromkeys(settings.QUEUES, 0)
    paused: dict[tuple[str, str], int] = {}
    oldest = dict.fromkeys(settings.QUEUES, 0.0)
    skipped = pauses.everywhere()
    now = clock.now()
    with _in_time():
        dead = dict.fromkeys(DEAD_LETTERS, 0) | dead_letters.all_depths()
    for queue, kind, state, jobs, first_due in _rows("SELECT * FROM public.gauge_jobs()"):
        into = {"queued": waiting, "running": active}[state]
        into[queue] = into.get(queue, 0) + jobs
        if state == "queued" and kind in skipped:
            paused[queue, kind] = jobs
        elif state == "queued":
            oldest[queue] = max(oldest.get(queue, 0.0), (now - first_due).total_seconds())
    return [
        _gauge("queue_depth", "Jobs that wait, paused ones included, by queue.", "queue", waiting),
        _gauge("kaireon_active_worker_jobs", "Jobs that a worker holds, by queue.", "queue", active),
        _gauge("kaireon_dlq_depth", "Dead letters nobody has dealt with, by queue.", "queue", dead),
        _gauge("kaireon_queue_lag_seconds", "Since when the first job is due that is not paused.", "queue", oldest),
        _gauge("kaireon_paused_jobs", "Jobs that wait because SKIP_JOB_TYPES names them.", ("queue", "type"), paused),
    ]


def audit() -> list[Metric]:
    (records, oldest), *_ = _rows("SELECT * FROM public.gauge_inbox(%s)", MOST_COUNTED)
    (total, intact, broken, unverified, newest, longest_ago), *_ = _rows("SELECT * FROM public.gauge_logs()")
    (committed, unpublished, since, unwitnessed, unseen), *_ = _rows(
        "SELECT * FROM public.gauge_checkpoints(%s, %s)", publication.channels(), witnesses.pinned_ids()
    )
    chains = {"intact": intact, "broken": broken, "unverified": unverified}
    runs = _rows("SELECT * FROM public.gauge_verifications()")
    sequenced = CounterMetricFamily("kaireon_audit_records", "Records in all logs, ever.", value=float(total))
    return [
        _value("kaireon_audit_inbox_records", f"Recorded, not yet sequenced; counted to {MOST_COUNTED}.", records),
        _value("kaireon_audit_inbox_lag_seconds", "Age of the oldest of them.", _age(oldest)),
        sequenced,
        _gauge("kaireon_audit_chains", "Logs, by what their last whole verification found.", "state", chains),
        _value(
            "kaireon_audit_last_verification_timestamp_seconds",
            "When a log was last verified as a whole; 0: never.",
            _moment(newest),
        ),
        _value(
            "kaireon_audit_oldest_verification_timestamp_seconds",
            "The same of the log that was verified longest ago; 0: one never was.",
            0.0 if unverified else _moment(longest_ago),
        ),
        _gauge(
            "kaireon_audit_verification_intact",
            "1: the newest finished verification of the log, whole or since the last point, found nothing wrong.",
            "tenant",
            {tenant: int(intact) for tenant, intact, _, _ in runs},
        ),
        _gauge(
            "kaireon_audit_unverified_records",
            "Records that came after that verification.",
            "tenant",
            {tenant: unread for tenant, _, _, unread in runs},
        ),
        _value(
            "kaireon_audit_checkpoint_age_seconds",
            "Age of the oldest newest checkpoint among the logs that grew since; 0: all are committed to.",
            _age(committed),
        ),
        _value(
            "kaireon_audit_unpublished_checkpoints",
            "Logs whose newest checkpoint has not left by every channel.",
            unpublished,
        ),
        _value("kaireon_audit_unpublished_seconds", "Age of the oldest of those checkpoints.", _age(since)),
        _value(
            "kaireon_audit_unwitnessed_checkpoints",
            "Logs whose newest checkpoint a configured witness has not signed.",
            unwitnessed,
        ),
        _value("kaireon_audit_unwitnessed_seconds", "Age of the oldest of those checkpoints.", _age(unseen)),
    ]


def siem() -> list[Metric]:
    try:
        has_operators, misconfigured = siem_destinations.operators() is not None, 0
    except siem_destinations.NotConfigured:
        has_operators, misconfigured = False, 1
    rows = _rows("SELECT * FROM public.gauge_siem(%s)", has_operators)
    labels = ("tenant", "destination")
    return [
        _gauge(
            "kaireon_siem_lag_records",
            "Records that a SIEM has not confirmed, by log and destination.",
            labels,
            {(tenant, name): behind for tenant, name, behind, _, _ in rows},
        ),
        _gauge(
            "kaireon_siem_lag_seconds",
            "Since when it does not have them all; 0: it does.",
            labels,
            {(tenant, name): _age(since) for tenant, name, _, since, _ in rows},
        ),
        _gauge(
            "kaireon_siem_refused_records",
            "Records that it will not take, or that were pruned before they were shipped.",
            labels,
            {(tenant, name): refused for tenant, name, _, _, refused in rows},
        ),
        _value("kaireon_siem_misconfigured", "1: SIEM_BACKEND and its kin name nothing to ship to.", misconfigured),
    ]


def spool() -> list[Metric]:
    """Of this machine: the database has no part in it, and is away when it matters."""
    here = events.folder()
    return [
        _value("kaireon_audit_spool_bytes", "What this machine keeps for the log, in bytes.", here.size()),
        _value("kaireon_audit_spool_limit_bytes", "How much it may; then requests are refused.", here.limit),
        _value("kaireon_audit_spool_records", "Events that wait for the database.", here.waiting()),
        _value("kaireon_audit_spool_aside_records", "Those that could not be used and want a look.", here.aside()),
    ]


def requests() -> list[Metric]:
    open_now = dict.fromkeys(("queued", "processing", "failed"), 0)
    overdue, oldest = 0, 0.0
    for status, count, late, first in _rows("SELECT * FROM public.gauge_requests(%s)", clock.now()):
        open_now[status] = count
        overdue += late
        oldest = max(oldest, _age(first))
    return [
        _gauge("kaireon_dsar_open", "Subject requests not answered, by status.", "status", open_now),
        _value("kaireon_dsar_oldest_open_seconds", "Since when the oldest of them is with us.", oldest),
        _value("kaireon_dsar_overdue", "Those past the last day that is in time.", overdue),
    ]


# Each tenant counted its own in its own scope; nothing looks at rows of many tenants for a figure.
_KEPT = """
SELECT kept.key, sum(kept.value::bigint)
  FROM (SELECT outcomes FROM public.cron_jobrun
         WHERE job = 'cleanup' AND state <> 'running' AND NOT dry_run
         ORDER BY started_at DESC LIMIT 1) newest,
       jsonb_array_elements(newest.outcomes) outcome, jsonb_each_text(outcome -> 'heldRows') kept
 GROUP BY 1
"""


def holds() -> list[Metric]:
    held = dict(_rows("SELECT * FROM public.gauge_holds()"))
    kept = {row.name: 0 for row in CATALOGUE} | {name: int(rows) for name, rows in _rows(_KEPT)}
    return [
        _gauge("kaireon_held_classes", "Tenants that hold a data class.", "data_class", held),
        _gauge(
            "kaireon_held_rows",
            "Rows past their time that holds kept, when cleanup last ran, by entity.",
            "entity",
            kept,
        ),
    ]


_RUNS = """
SELECT job, success.at, ended.seconds, ended.state
  FROM unnest(%s::text[]) job
  LEFT JOIN LATERAL (SELECT finished_at AS at FROM public.cron_jobrun r
                      WHERE r.job = job.job AND r.state = 'succeeded' AND NOT r.dry_run
                      ORDER BY started_at DESC LIMIT 1) success ON true
  LEFT JOIN LATERAL (SELECT extract(epoch FROM finished_at - started_at) AS seconds, r.state
                       FROM public.cron_jobrun r WHERE r.job = job.job AND r.state <> 'running' AND NOT r.dry_run
                      ORDER BY started_at DESC LIMIT 1) ended ON true
"""


def jobs() -> list[Metric]:
    # The label is not called job: that is Prometheus' own, which would rename ours at the scrape.
    rows = _rows(_RUNS, list(JOBS))
    return [
        _gauge(
            "kaireon_job_last_success_timestamp_seconds",
            "When the job last ended well; 0: never.",
            "name",
            {job: _moment(at) for job, at, _, _ in rows},
        ),
        _gauge(
            "kaireon_job_last_duration_seconds",
            "How long its last run took.",
            "name",
            {job: seconds for job, _, seconds, _ in rows if seconds is not None},
        ),
        _gauge(
            "kaireon_job_last_run_ok",
            "1 when its last run succeeded.",
            "name",
            {job: int(state == "succeeded") for job, _, _, state in rows if state is not None},
        ),
    ]


def upkeep() -> list[Metric]:
    """As the newest runs of their jobs found it."""
    with _in_time():
        ends, measured = certificates.expiries(), disk.newest()
    days = measured.get("daysToFull")
    return [
        _gauge(
            "cert_expiry_seconds",
            "Until the certificate ends that the target shows; below 0: it has.",
            "target",
            ends,
        ),
        _gauge(
            "kaireon_disk_days_to_full",
            "Until the database's disk is full, as fast as it grows. Without a projection it has no value.",
            (),
            {} if days is None else {(): days},
        ),
    ]


def detection() -> list[Metric]:
    waiting = {"page": 0, "routine": 0} | dict(_rows("SELECT * FROM public.gauge_signals()"))
    (_, oldest, gaps), *_ = _rows("SELECT * FROM public.gauge_scans()")
    return [
        _gauge("kaireon_security_signals_open", "Signals nobody acknowledged, by severity.", "severity", waiting),
        _value(
            "kaireon_scan_behind_seconds",
            "Since when the log of the tenant that is furthest behind was not scanned; 0: none was yet.",
            _age(oldest),
        ),
        _value("kaireon_scan_gaps", "Tenants in whose log time is missing that a scan has to make up for.", gaps),
    ]


def exports() -> list[Metric]:
    (caught_up, failed), *_ = _rows("SELECT * FROM public.gauge_exports()")
    return [
        _value(
            "kaireon_export_lag_seconds",
            "Since when some tenant's interactions were not exported to the last one; 0: nobody exports.",
            _age(caught_up),
        ),
        _value("kaireon_export_failed", "Tenants whose last export of interactions failed.", failed),
    ]


def breaker_states() -> list[Metric]:
    described = "0 closed, 1 half-open, 2 open, by dependency."
    return [_gauge("kaireon_breaker_state", described, "dependency", breakers.states())]


SOURCES: dict[str, Callable[[], list[Metric]]] = {
    "queues": queues,
    "audit": audit,
    "siem": siem,
    "spool": spool,
    "requests": requests,
    "holds": holds,
    "jobs": jobs,
    "upkeep": upkeep,
    "detection": detection,
    "exports": exports,
    "breakers": breaker_states,
}


@dataclass(frozen=True)
class State(Collector):
    """All sources, as one collector. Never raises: a scrape that fails hides everything else."""

    questions: tuple[Question[list[Metric]], ...]

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would collect to know the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        up: dict[str, int] = {}
        for asked in all_at_once(self.questions):
            try:
                found = asked.answer()
            except (DatabaseError, redis.RedisError, OSError, TookTooLong) as error:
                logger.warning("source_down", extra={"source": asked.name, "error_type": type(error).__name__})
                up[asked.name] = 0
                continue
            up[asked.name] = 1
            yield from found
        yield _gauge("kaireon_source_up", "0: these figures could not be had in this scrape.", "source", up)


STATE = State(tuple(Question(name, ask, seconds=SECONDS) for name, ask in SOURCES.items()))


@contextmanager
def _in_time() -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{int(SECONDS * 1000)}ms"])
        yield


def _rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with _in_time(), connection.cursor() as cursor:
        cursor.execute(query, list(parameters))
        return list(cursor.fetchall())


def _gauge(name: str, described: str, labels: str | tuple[str, ...], values: dict[Any, Any]) -> Metric:
    names = (labels,) if isinstance(labels, str) else labels
    family = GaugeMetricFamily(name, described, labels=names)
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, float(value))
    return family


def _value(name: str, described: str, value: float) -> Metric:
    return GaugeMetricFamily(name, described, value=float(value))


def _moment(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _age(since: datetime | None) -> float:
    return max(0.0, (clock.now() - since).total_seconds()) if since else 0.0
