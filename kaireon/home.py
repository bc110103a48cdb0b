"""The home page of the admin: what needs attention in the chosen tenant, and how everything is doing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F, OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse

from audit.state import state
from audit.tree import publication
from compliance.alerting.serializers import shown_value
from compliance.holding import custodians_admin, desk, notices
from compliance.models import AlertRule, Hold, Matter, RetentionPolicy
from compliance.retention import policies
from cron import overview
from cron.models import RunState
from cron.states import JobState as State
from customers.catalogue import DATA_CLASSES
from customers.models import Customer, Interaction
from dsar import deadlines
from dsar.models import DsarRequest, Status
from dsar.requests import today as days
from dsar.requests.countdown import countdown
from dsar.requests.kinds import title_of
from kaireon.approvals.models import ApprovalRequest
from kaireon.flows import progress
from kaireon.flows.models import FlowRun, Pipeline
from kaireon.flows.models import RunState as FlowState
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.outbox import dead_letters
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import may
from kaireon.tenancy.roles import Permission

# Beyond this a home page says "more than": counting further would make it slow to open.
MOST_COUNTED = 100_000
# The job that publishes checkpoints runs every minute; one that waits longer than this is worth a word.
PUBLISHED_WITHIN = timedelta(minutes=5)
SHOWN = 6
MOST_NOTED = 20


@dataclass(frozen=True, kw_only=True)
class Note:
    """One thing that wants somebody: how urgent, what, and where to go."""

    level: str
    text: str
    url: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The home page: each panel for those whose role may see what is in it."""
    panels = {name: panel() for name, (permission, panel) in PANELS.items() if may(request, permission)}
    notes = [note for panel in panels.values() for note in panel.get("notes", [])] + asked_to_keep()
    order = {"bad": 0, "warn": 1, "info": 2}
    return {
        **context,
        "title": "Home",
        "panels": panels,
        "notes": sorted(notes, key=lambda note: order[note.level]),
        "can_run": may(request, Permission.RUN_JOBS),
        "can_file": may(request, Permission.MANAGE_DSAR),
        "can_hold": may(request, Permission.MANAGE_RETENTION),
    }


def requests_panel() -> dict[str, Any]:
    zone = days.zone()
    today = deadlines.local_date(clock.now(), zone)
    opened = DsarRequest.objects.unanswered()
    rows = list(opened.order_by(F("deadline_on").asc(nulls_last=True), "requested_at")[:SHOWN])
    overdue, failed = opened.due_before(today).count(), opened.filter(status=Status.FAILED).count()
    page = _list("dsar_dsarrequest")
    notes = []
    if overdue:
        notes.append(Note(level="bad", text=f"{_count(overdue, 'request')} overdue", url=page))
    if failed:
        failed_page = f"{page}?status__exact=failed"
        notes.append(Note(level="bad", text=f"{_count(failed, 'request')} failed and waiting", url=failed_page))
    for row in rows:
        if row.deadline_on is not None and 0 <= (row.deadline_on - today).days <= 3:
            text = f"{title_of(row)} request due {row.deadline_on:%-d %B}"
            notes.append(Note(level="warn", text=text, url=_one("dsar_dsarrequest", row.pk)))
    return {
        "open": opened.count(),
        "rows": [
            {
                "url": _one("dsar_dsarrequest", row.pk),
                "title": f"{title_of(row)} request",
                "status": row.get_status_display(),
                "due": row.deadline_on,
                "left": countdown(row, today=today, zone=zone),
            }
            for row in rows
        ],
        "url": page,
        "notes": notes,
    }


def asked_to_keep() -> list[Note]:
    """For members in any role: they may be custodians of a hold."""
    count = notices.waiting_for(context.current().actor.id).count()
    text = f"{_count(count, 'legal hold asks', 'legal holds ask')} you to keep something"
    return [Note(level="warn", text=text, url=reverse(custodians_admin.ASKED))] if count else []


def holds_panel() -> dict[str, Any]:
    held = list(RetentionPolicy.objects.held().by_class())
    without = policies.classes_without_policy()
    notes = []
    if without:
        text = f"{_count(len(without), 'data class', 'data classes')} without a retention policy: kept for ever"
        notes.append(Note(level="info", text=text, url=_list("compliance_retentionpolicy")))
    due = Matter.objects.filter(desk.to_review(clock.now().date())).count()
    if due:
        text = f"{_count(due, 'matter waits', 'matters wait')} to be reviewed: is it still needed?"
        notes.append(Note(level="warn", text=text, url=f"{_list('compliance_matter')}?standing=review"))
    return {
        "for_matters": Hold.objects.for_matters().effective().count(),
        "desk": _list("compliance_hold"),
        "held": [
            {
                "url": _one("compliance_retentionpolicy", row.pk),
                "title": row.data_class,
                "reason": row.hold_reason,
                "since": row.held_since,
            }
            for row in held
        ],
        "policies": RetentionPolicy.objects.count(),
        "classes": len(DATA_CLASSES),
        "without": without,
        "url": _list("compliance_retentionpolicy"),
        "notes": notes,
    }


def approvals_panel() -> dict[str, Any]:
    now, me = clock.now(), context.current().actor.id
    waiting = ApprovalRequest.objects.waiting_for(me, now)
    rows = list(waiting.order_by("deadline", "id")[:SHOWN])
    count = waiting.count()
    page = f"{_list('approvals_approvalrequest')}?waiting=me"
    notes = []
    if count:
        notes.append(Note(level="warn", text=f"{_count(count, 'approval')} for you to answer", url=page))
    return {
        "count": count,
        "rows": [
            {
                "url": _one("approvals_approvalrequest", row.pk),
                "title": row.summary,
                "by": row.requested_by_name,
                "deadline": row.deadline,
            }
            for row in rows
        ],
        "mine": ApprovalRequest.objects.pending().filter(requested_by=me).count(),
        "url": _list("approvals_approvalrequest"),
        "mine_url": f"{_list('approvals_approvalrequest')}?waiting=mine",
        "notes": notes,
    }


def jobs_panel() -> dict[str, Any]:
    lines = overview.lines(now=clock.now())
    failed_jobs = Job.objects.filter(state=JobState.FAILED).count()
    notes = [
        Note(level="bad" if line.state == State.DOWN else "warn", text=_trouble(line), url=_runs_of(line.name))
        for line in lines
        if line.state in (State.DOWN, State.LATE)
    ]
    if failed_jobs:
        url = f"{_list('jobs_job')}?state__exact=failed"
        notes.append(Note(level="warn", text=f"{_count(failed_jobs, 'background job')} failed", url=url))
    return {
        "runs": [
            {"job": line.name, "state": line.state, "run": line.last, "next": line.next, "url": _last(line)}
            for line in lines
        ],
        "waiting": Job.objects.open().count(),
        "url": _list("cron_jobrun"),
        "notes": notes,
    }


# Why a job is down, by how its last run is; none of these: it did not run when it was due.
DOWN_BECAUSE = {
    RunState.FAILED: "its last run failed",
    RunState.LOST: "its last run was lost",
    RunState.RUNNING: "it runs longer than it may",
}


def _trouble(line: overview.Line) -> str:
    if line.state == State.LATE:
        return f"The job {line.name} is late"
    last = RunState(line.last.state) if line.last else RunState.SUCCEEDED
    return f"The job {line.name} is down: {DOWN_BECAUSE.get(last, 'it did not run when it was due')}"


def _runs_of(job: str) -> str:
    return f"{_list('cron_jobrun')}?q={job}"


def _last(line: overview.Line) -> str | None:
    return _one("cron_jobrun", line.last.pk) if line.last else None


URGENCY = {dead_letters.WARNING: "warn", dead_letters.CRITICAL: "bad"}


def letters_panel() -> dict[str, Any]:
    """Dead letters by queue, the deepest first; a queue above the thresholds wants somebody."""
    page = _list("outbox_deadletter")
    depths = sorted(dead_letters.depths().items(), key=lambda item: -item[1])
    urls = {queue: f"{page}?state__exact=open&q={queue}" for queue, _ in depths}
    queues = [
        {"queue": queue, "depth": depth, "level": dead_letters.level(depth), "url": urls[queue]}
        for queue, depth in depths
    ]
    notes = [
        Note(level=URGENCY[level], text=f"{_count(depth, 'dead letter')} of {queue}: {level}", url=urls[queue])
        for queue, depth in depths
        for level in [dead_letters.level(depth)]
        if level in URGENCY
    ]
    return {"queues": queues, "url": page, "notes": notes}


def pipelines_panel() -> dict[str, Any]:
    """Runs under way, and pipelines whose newest run failed."""
    newest = FlowRun.objects.filter(pipeline=OuterRef("pk")).newest_first()
    present = Pipeline.objects.present()
    ends = present.annotate(run=Subquery(newest.values("pk")[:1]), end=Subquery(newest.values("state")[:1]))
    failed = ends.filter(end=FlowState.FAILED).order_by("name").values_list("name", "run")[:SHOWN]
    notes = [
        Note(level="bad", text=f"The last run of the pipeline {name} failed", url=_one("flows_flowrun", run))
        for name, run in failed
    ]
    now = clock.now()
    return {
        "count": present.count(),
        "open": [
            {
                "url": _one("flows_flowrun", run.pk),
                "name": run.name,
                "state": run.state,
                "shown": str(run.get_state_display()),
                "percent": progress.of(run, now=now).percent,
            }
            for run in FlowRun.objects.open().newest_first()[:SHOWN]
        ],
        "url": _list("flows_flowrun"),
        "notes": notes,
    }


def log_panel() -> dict[str, Any]:
    found = state(now=clock.now())
    page = _list("audit_auditrecord")
    notes = []
    if found.verified is None:
        notes.append(Note(level="info", text="The audit log was never verified", url=page))
    elif not found.verified.intact:
        notes.append(Note(level="bad", text="The audit log is broken", url=page))
    if found.is_overdue:
        notes.append(Note(level="warn", text="The audit log waits for a checkpoint", url=page))
    waiting = publication.waiting_since()
    if waiting is not None and clock.now() - waiting > PUBLISHED_WITHIN:
        text = "The newest checkpoint of the audit log has not left the database"
        notes.append(Note(level="bad", text=text, url=_runs_of("audit-publish")))
    if found.is_late:
        notes.append(Note(level="bad", text="Records wait to be sequenced: is a sequencer running?", url=page))
    return {"state": found, "url": page, "notes": notes}


URGENT = {"critical": "bad", "warning": "warn", "info": "info"}


def alerts_panel() -> dict[str, Any]:
    """What alerts now, the gravest first."""
    page = _list("compliance_alertrule")
    rows = list(AlertRule.objects.alerting().order_by("name"))
    rows.sort(key=lambda rule: [*URGENT].index(rule.severity))
    urls = {rule.pk: _one("compliance_alertrule", rule.pk) for rule in rows}
    notes = [
        Note(level=URGENT[rule.severity], text=f"{rule.get_state_display()}: {rule.name}", url=urls[rule.pk])
        for rule in rows[:MOST_NOTED]
        if rule.acknowledged_at is None
    ]
    if len(rows) > MOST_NOTED:
        notes.append(Note(level="bad", text=f"{len(rows) - MOST_NOTED:,} more alerts", url=page))
    return {
        "alerting": [{"rule": rule, "url": urls[rule.pk], "value": shown_value(rule)} for rule in rows[:SHOWN]],
        "count": len(rows),
        "watched": AlertRule.objects.watched().count(),
        "url": page,
        "notes": notes,
    }


def data_panel() -> dict[str, Any]:
    figures = (
        ("customers", Customer.objects.all(), "customers_customer"),
        ("interactions", Interaction.objects.all(), "customers_interaction"),
    )
    return {
        "figures": [
            {"title": title, "count": min(count, MOST_COUNTED), "more": count > MOST_COUNTED, "url": _list(model)}
            for title, rows, model in figures
            for count in [rows[: MOST_COUNTED + 1].count()]
        ],
    }


PANELS: dict[str, tuple[Permission, Callable[[], dict[str, Any]]]] = {
    "requests": (Permission.READ_DSAR, requests_panel),
    "holds": (Permission.READ_RETENTION, holds_panel),
    "log": (Permission.READ_AUDIT, log_panel),
    "approvals": (Permission.READ_APPROVALS, approvals_panel),
    "alerts": (Permission.READ_ALERTS, alerts_panel),
    "jobs": (Permission.READ_JOBS, jobs_panel),
    "letters": (Permission.RUN_JOBS, letters_panel),
    "pipelines": (Permission.MANAGE_PIPELINES, pipelines_panel),
    "data": (Permission.READ_CUSTOMERS, data_panel),
}


def _list(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


def _one(model: str, pk: object) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
