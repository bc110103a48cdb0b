"""What the admin shows on every page, and its home page: what needs attention in the chosen tenant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse

from audit.models import AuditHead, AuditRecord
from compliance import policies
from compliance.models import RetentionPolicy
from cron.jobs import JOBS
from cron.models import JobRun, RunState
from customers.catalogue import DATA_CLASSES
from customers.models import Customer, Interaction
from dsar import deadlines
from dsar.admin import due_label, title_of
from dsar.models import DsarRequest, Status
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import may
from kaireon.tenancy.models import Tenant
from kaireon.tenancy.resolver import MembershipRow
from kaireon.tenancy.roles import Permission

# Beyond this a home page says "more than": counting further would make it slow to open.
MOST_COUNTED = 100_000
SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Page:
    title: str
    icon: str
    model: str
    permission: Permission


NAVIGATION: dict[str, tuple[Page, ...]] = {
    "Compliance": (
        Page(title="Subject requests", icon="inbox", model="dsar_dsarrequest", permission=Permission.READ_DSAR),
        Page(
            title="Retention and holds",
            icon="schedule",
            model="compliance_retentionpolicy",
            permission=Permission.READ_RETENTION,
        ),
        Page(title="Audit log", icon="verified_user", model="audit_auditrecord", permission=Permission.READ_AUDIT),
        Page(
            title="Approvals",
            icon="approval_delegation",
            model="approvals_approvalrequest",
            permission=Permission.READ_APPROVALS,
        ),
    ),
    "Customers": tuple(
        Page(title=title, icon=icon, model=f"customers_{model}", permission=Permission.READ_CUSTOMERS)
        for title, icon, model in (
            ("Customers", "group", "customer"),
            ("Interactions", "shopping_bag", "interaction"),
            ("Summaries", "functions", "interactionsummary"),
            ("Decisions", "alt_route", "decisiontrace"),
            ("Attribution", "pie_chart", "attributionresult"),
            ("Variants", "science", "variantassignment"),
            ("Journeys", "route", "journeyenrollment"),
            ("Deliveries", "send", "delivery"),
            ("Consents", "task_alt", "consentrecord"),
            ("Suppressions", "do_not_disturb_on", "suppression"),
            ("Identity links", "link", "identitylink"),
            ("Attachments", "attach_file", "attachment"),
            ("Own tables", "table", "dynamicschema"),
            ("Own rows", "table_rows", "dynamicrow"),
            ("Tombstones", "tag", "suppressiontombstone"),
        )
    ),
    "Operations": (
        Page(title="Job runs", icon="play_circle", model="cron_jobrun", permission=Permission.READ_JOBS),
        Page(title="Background jobs", icon="conveyor_belt", model="jobs_job", permission=Permission.READ_JOBS),
        Page(title="Pipelines", icon="account_tree", model="flows_pipeline", permission=Permission.MANAGE_PIPELINES),
        Page(title="Pipeline runs", icon="timeline", model="flows_flowrun", permission=Permission.MANAGE_PIPELINES),
        Page(title="Messages out", icon="outbox", model="outbox_message", permission=Permission.READ_JOBS),
        Page(title="Dead letters", icon="report", model="outbox_deadletter", permission=Permission.RUN_JOBS),
        Page(title="Destinations", icon="webhook", model="outbox_destination", permission=Permission.RUN_JOBS),
        Page(title="Imports", icon="upload_file", model="customers_importrun", permission=Permission.READ_JOBS),
    ),
    "Settings": (
        Page(title="API keys", icon="key", model="tenancy_apikey", permission=Permission.MANAGE_KEYS),
        Page(title="Members", icon="badge", model="tenancy_membership", permission=Permission.MANAGE_MEMBERS),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Note:
    """One thing that wants somebody: how urgent, what, and where to go."""

    level: str
    text: str
    url: str


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    groups = []
    for title, pages in NAVIGATION.items():
        items = [
            {"title": page.title, "icon": page.icon, "link": _list(page.model)}
            for page in pages
            if may(request, page.permission)
        ]
        if items:
            groups.append({"title": title, "items": items, "collapsible": len(items) > 4})
    home = {"title": "Home", "icon": "home", "link": reverse("admin:index")}
    return [{"items": [home]}, *groups]


def tenant_switcher(request: HttpRequest) -> list[dict[str, Any]]:
    principal = getattr(request, "principal", None)
    members: list[MembershipRow] = getattr(request, "tenants", [])
    return [
        {
            "title": member.tenant_name,
            "link": reverse("admin:switch_tenant"),
            "attrs": {
                "tenant": member.tenant_id,
                "role": member.role,
                "current": principal is not None and member.tenant_id == principal.tenant_id,
            },
        }
        for member in members
    ]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """On every page: where the search field at the top of the menu looks."""
    can_find = may(request, Permission.READ_CUSTOMERS)
    return {"k_find_customers": _list("customers_customer") if can_find else None}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The home page: each panel for those whose role may see what is in it."""
    panels = {name: panel() for name, (permission, panel) in PANELS.items() if may(request, permission)}
    notes = [note for panel in panels.values() for note in panel.get("notes", [])]
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
    zone = ZoneInfo(Tenant.objects.values_list("time_zone", flat=True).get())
    today = deadlines.local_date(clock.now(), zone)
    opened = DsarRequest.objects.open()
    rows = list(opened.order_by("due_on", "requested_at")[:SHOWN])
    overdue, failed = opened.filter(due_on__lt=today).count(), opened.filter(status=Status.FAILED).count()
    page = _list("dsar_dsarrequest")
    notes = []
    if overdue:
        notes.append(Note(level="bad", text=f"{_count(overdue, 'request')} overdue", url=page))
    if failed:
        failed_page = f"{page}?status__exact=failed"
        notes.append(Note(level="bad", text=f"{_count(failed, 'request')} failed and waiting", url=failed_page))
    for row in rows:
        if 0 <= (row.due_on - today).days <= 3:
            text = f"{title_of(row)} request due {row.due_on:%-d %B}"
            notes.append(Note(level="warn", text=text, url=_one("dsar_dsarrequest", row.pk)))
    return {
        "open": opened.count(),
        "rows": [
            {
                "url": _one("dsar_dsarrequest", row.pk),
                "title": f"{title_of(row)} request",
                "status": row.get_status_display(),
                "due": row.due_on,
                "left": due_label((row.due_on - today).days),
            }
            for row in rows
        ],
        "url": page,
        "notes": notes,
    }


def holds_panel() -> dict[str, Any]:
    held = list(RetentionPolicy.objects.held().by_class())
    without = policies.classes_without_policy()
    notes = []
    if without:
        text = f"{_count(len(without), 'data class', 'data classes')} without a retention policy: kept for ever"
        notes.append(Note(level="info", text=text, url=_list("compliance_retentionpolicy")))
    return {
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


def jobs_panel() -> dict[str, Any]:
    runs = [(job, JobRun.objects.of(job).real().newest_first().first()) for job in JOBS]
    failed_jobs = Job.objects.filter(state=JobState.FAILED).count()
    page = _list("cron_jobrun")
    notes = [
        Note(level="bad", text=f"The last run of {job} {str(run.get_state_display()).lower()}", url=page)
        for job, run in runs
        if run is not None and run.state in (RunState.FAILED, RunState.LOST)
    ]
    if failed_jobs:
        url = f"{_list('jobs_job')}?state__exact=failed"
        notes.append(Note(level="warn", text=f"{_count(failed_jobs, 'background job')} failed", url=url))
    return {
        "runs": [{"job": job, "run": run, "url": _one("cron_jobrun", run.pk) if run else None} for job, run in runs],
        "waiting": Job.objects.open().count(),
        "url": page,
        "notes": notes,
    }


def log_panel() -> dict[str, Any]:
    tenant = Tenant.objects.get()
    head = AuditHead.objects.filter(pk=tenant.pk).first()
    log = AuditRecord.objects.about("AuditLog", tenant.pk).filter(action="audit_log.verify")
    last = log.newest_first().first()
    found = (last.changes or {}) if last else {}
    notes = []
    if last is None:
        notes.append(Note(level="info", text="The audit log was never verified", url=_list("audit_auditrecord")))
    elif not found.get("intact"):
        notes.append(Note(level="bad", text="The audit log is broken", url=_list("audit_auditrecord")))
    return {
        "seq": head.seq if head else 0,
        "hash": head.integrity_hash if head else "",
        "last": last,
        "intact": found.get("intact"),
        "scanned": found.get("scanned"),
        "url": _list("audit_auditrecord"),
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
    "jobs": (Permission.READ_JOBS, jobs_panel),
    "data": (Permission.READ_CUSTOMERS, data_panel),
}


def _list(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


def _one(model: str, pk: object) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
