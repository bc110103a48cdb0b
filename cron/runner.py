"""The one function behind the four doors: HTTP, beat, command, admin."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection

import audit
from cron import jobs, signals, states
from cron.locks import only_run
from cron.models import JobRun, RunState, Trigger
from cron.ping import ping
from cron.work import DoneInPart, Job, Outcome, Work
from kaireon.api.logs import request_id
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy import resolver, serving
from kaireon.tenancy.context import Actor, across_all_tenants, platform_scope, transaction

logger = logging.getLogger("kaireon.cron")

ALREADY_RUNNING = "already running"
ALREADY_RAN = "already ran"
# A message comes again as soon as its process died; a job that kills it each time must not keep the workers busy dying.
MOST_ATTEMPTS = 3
LOST = "the process ended before the run did"


class InsideTransaction(RuntimeError):
    """A job opens its own transactions, tenant by tenant: start it outside any, or send it to a worker."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of it. `body` is the answer of the HTTP route; `run` is None when another run was under way."""

    body: dict[str, Any]
    run: JobRun | None = None

    @property
    def ok(self) -> bool:
        return bool(self.body["ok"])

    @property
    def skipped(self) -> bool:
        return self.run is None


@dataclass
class _Progress:
    common: Mapping[str, Any] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def run_job(
    name: str,
    *,
    trigger: Trigger | str,
    actor: Actor | None = None,
    dry_run: bool = False,
    slot: datetime | None = None,
) -> Ran:
    """Run a job now, in this process, through every tenant, and keep a row of it.

    One tenant's failure does not stop the others. The answer is `{ok: true, …the job's own}`, with `ok: false` and
    `error` when anything failed, or `{ok: true, skipped: "already running"}`. `actor` defaults to the job itself.
    `slot` is the scheduled moment it is for: a second run for it answers `skipped: "already ran"`, unless the first
    was lost with its process, whose row it then takes over, twice at most: what kills its process each time is left to
    the next moment, and to the alarm. Without one it makes up for the newest scheduled moment,
    when that is still owed, so that the schedule does not do it again; otherwise it is extra, and never refused.

    Raises UnknownJob, InsideTransaction, NotServing.
    """
    try:
        ran = _run(jobs.find(name), Trigger(trigger), actor, slot, dry_run=dry_run)
    except Exception as error:
        # Before there was a run, or without being able to say how it ended.
        signals.job_ended.send_robust(sender=JobRun, job=name, ok=False, body={}, error=error)
        raise
    if not ran.skipped:
        signals.job_ended.send_robust(sender=JobRun, job=name, ok=ran.ok, body=ran.body, error=None)
    return ran


def _run(job: Job, trigger: Trigger, actor: Actor | None, slot: datetime | None, *, dry_run: bool) -> Ran:
    serving.require()
    if connection.in_atomic_block:
        raise InsideTransaction(job.name)
    with only_run(job.name) as free:
        if not free:
            logger.info("job_skipped", extra={"job": job.name, "trigger": str(trigger)})
            return Ran(body={"ok": True, "skipped": ALREADY_RUNNING})
        run = _open(job, trigger, actor or Actor.job(job.name), slot, dry_run=dry_run)
        if run is None:
            return Ran(body={"ok": True, "skipped": ALREADY_RAN})
        ping(job.name, "start")
        work = Work(
            run_id=run.pk,
            actor=actor or Actor.job(job.name),
            now=clock.now(),
            budget=Budget(job.deadline),
            dry_run=dry_run,
        )
        ran = _close(job, run, work, _work(job, work))
        ping(job.name, "success" if ran.ok else "fail")
        if not ran.ok:
            signals.job_failed.send(sender=JobRun, job=job.name, run=run)
        return ran


def _open(job: Job, trigger: Trigger, actor: Actor, slot: datetime | None, *, dry_run: bool) -> JobRun | None:
    now = clock.now()
    # We hold the job's lock, so whoever left these rows is gone.
    JobRun.objects.of(job.name).unfinished().update(state=RunState.LOST, finished_at=now, error=LOST)
    if slot is None and not dry_run:
        slot = states.owed_moment(job, now=now)
        run = None
    else:
        run = JobRun.objects.of(job.name).filter(slot=slot).first() if slot is not None else None
    if run is not None and (run.state != RunState.LOST or run.attempts >= MOST_ATTEMPTS):
        return None
    if run is None:
        run = JobRun(job=job.name, slot=slot)
    else:
        # The message of a lost run came again because nobody finished it: one row a moment.
        run.attempts += 1
    run.trigger, run.dry_run = trigger, dry_run
    run.actor_id, run.actor_name, run.request_id = actor.id[:64], actor.name[:200], request_id()[:128]
    run.state, run.started_at, run.finished_at, run.error = RunState.RUNNING, now, None, ""
    run.save()
    return run


def _work(job: Job, work: Work) -> _Progress:
    progress = _Progress()
    if job.for_all is not None:
        try:
            progress.common = job.for_all(work)
        except DoneInPart as error:
            progress.common = error.body
            progress.errors.append(str(error))
        except Exception as error:  # noqa: BLE001  whatever it is becomes the run's state; the tenants are still served
            _log(job, error)
            progress.errors.append(_fact(error))
    if job.for_tenant is None:
        return progress
    try:
        waiting = len(resolver.active_tenants())
        for tenant in across_all_tenants(
            reason=job.name, actor=work.actor, request_id=request_id() or str(work.run_id)
        ):
            share = replace(work, budget=work.budget.share(waiting), common=progress.common)
            progress.outcomes.append(_in_tenant(job, share, tenant))
            waiting -= 1
    except Exception as error:  # noqa: BLE001  no list of tenants, or no time left: the run says so
        _log(job, error)
        progress.errors.append(_fact(error))
    return progress


def _in_tenant(job: Job, work: Work, tenant: str) -> Outcome:
    assert job.for_tenant is not None  # noqa: S101  the caller asked
    started = time.monotonic()
    body: Mapping[str, Any] = {}
    try:
        body, errors = job.for_tenant(work)
    except SoftTimeLimitExceeded:
        # The worker is about to be ended: that concerns the whole run.
        raise
    except Exception as error:  # noqa: BLE001  one tenant's failure is its outcome, and the others are still served
        _log(job, error, tenant)
        errors = [_fact(error)]
    return Outcome(tenant_id=tenant, body=body, errors=errors, seconds=round(time.monotonic() - started, 3))


def _close(job: Job, run: JobRun, work: Work, progress: _Progress) -> Ran:
    failed = [outcome.tenant_id for outcome in progress.outcomes if outcome.errors]
    body: dict[str, Any] = {"ok": not failed and not progress.errors, **progress.common}
    if job.for_tenant is not None:
        body |= job.answer(progress.outcomes)
    if work.dry_run:
        body["dryRun"] = True
    if not body["ok"]:
        facts = [*progress.errors, *([f"{len(failed)} of {len(progress.outcomes)} tenants failed"] if failed else [])]
        body["error"] = "; ".join(facts)[:200]
    run.state = RunState.SUCCEEDED if body["ok"] else RunState.FAILED
    run.finished_at = max(clock.now(), run.started_at)
    run.error = body.get("error", "")
    run.result = body
    run.outcomes = [{**o.entry(), "ok": not o.errors, "seconds": o.seconds} for o in progress.outcomes]
    with platform_scope(actor=work.actor, request_id=run.request_id or str(run.pk)), transaction():
        run.save()
        audit.record(
            action="job.run",
            entity_type="JobRun",
            entity_id=str(run.pk),
            entity_name=job.name,
            changes={"trigger": run.trigger, "state": run.state, "tenants": len(run.outcomes), "failed": len(failed)},
            platform=True,
        )
    logger.info(
        "processing_duration",
        extra={
            "job": job.name,
            "trigger": run.trigger,
            "state": run.state,
            "tenants": len(run.outcomes),
            "duration_ms": round((run.finished_at - run.started_at).total_seconds() * 1000, 1),
        },
    )
    return Ran(body=body, run=run)


def _fact(error: Exception) -> str:
    """An error without its text, which may quote a row."""
    return type(error).__name__


def _log(job: Job, error: Exception, tenant: str = "") -> None:
    logger.error("job_failed", exc_info=error, extra={"job": job.name, "tenant": tenant})
