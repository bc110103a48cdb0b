"""Background jobs of the chosen tenant: what waits, what runs and how far it is, what failed and may be tried again."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from kaireon.jobs import cancelling, pauses, registry, services
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, since, verb
from kaireon.tenancy.roles import Permission

STATES = {
    "Queued": "info",
    "Paused": "warning",
    "Running": "primary",
    "Done": "success",
    "Failed": "danger",
    "Cancelled": "warning",
}
PAUSED = "paused"
NOTHING = "-"

# The codes that kaireon.jobs gives itself; a type's own, and names of exceptions, say what they say.
REASONS = {
    "time_limit": "It took longer than its type may.",
    services.WORKER_LOST: "Its worker vanished again and again: it may be what ends them.",
    cancelling.CANCELLED: "Somebody cancelled it.",
}


class State(SimpleListFilter):
    """Paused is no state of the row: it is queued, and its type is skipped."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(value), str(label)) for value, label in JobState.choices), (PAUSED, "Paused")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        if self.value() == PAUSED:
            return queryset.filter(state=JobState.QUEUED, type__in=pauses.everywhere())
        return queryset.filter(state=self.value()) if self.value() in JobState.values else queryset


class OfType(SimpleListFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(known.name for known in registry.all_types())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(Job)
class JobAdmin(TenantModelAdmin[Job]):
    view_permission = Permission.READ_JOBS
    list_display = ("created_at", "type", "queue", "state_label", "progress", "attempts", "error", "finished_at")
    list_filter = (State, OfType, since("created_at", "creation"))
    search_equal = ("type", "queue", "error", "request_id")
    search_help_text = "Id, type, queue, reason code"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("id", "type", "queue", "state_label", "progress", "payload", "request_id")}),
        (
            "Course",
            {"fields": ("attempts", "failures", "crashes", "losses", "error", "reason", "result", "lease_until")},
        ),
        ("Times", {"fields": ("created_at", "due_at", "started_at", "finished_at")}),
    )
    actions_detail = ("again", "cancel")
    when_empty = "Exports, erasures and runs of pipelines are worked on here."

    def headline(self, row: Job) -> str:
        return row.type

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: Job) -> str:
        return "Paused" if _is_paused(row) else str(row.get_state_display())

    @column("Progress")
    def progress(self, row: Job) -> str | SafeString:
        percent = 100 if row.state == JobState.DONE else row.percent
        if row.state == JobState.QUEUED and not percent:
            return NOTHING
        return format_html('<progress max="100" value="{0}">{0} %</progress> {0} %', percent)

    @column("Reason")
    def reason(self, row: Job) -> str:
        if _is_paused(row):
            return f"Jobs of the type {row.type} are paused by SKIP_JOB_TYPES; nothing is lost."
        if row.state == JobState.QUEUED and row.failures:
            return f"It failed {row.failures} of {services.MAX_RETRIES + 1} times and is tried again."
        return REASONS.get(row.error, NOTHING)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        job = self.get_object(request, object_id)
        offered = {"again": job is not None and _may_go_again(job), "cancel": job is not None and _is_open(job)}
        return [
            action
            for action in super().get_actions_detail(request, object_id)
            if any(possible and action.action_name.endswith(f"_{name}") for name, possible in offered.items())
        ]

    @verb(
        permission=Permission.RUN_JOBS,
        description="Try again",
        icon="replay",
        url_path="again",
        variant=ActionVariant.PRIMARY,
    )
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self.row(request, object_id)
        if not _may_go_again(job):
            self.message_user(request, "This job is not one to try again here.", messages.WARNING)
            return HttpResponseRedirect(self.url("change", job.pk))

        def do() -> str:
            services.retry(job=job, now=clock.now())
            self.after_commit(request, lambda: services.wake(job))
            return "The job is queued again."

        return self.confirm(
            request,
            job,
            do,
            title=f"Try {job.type} again",
            lead="It gets all its retries back and starts as soon as a worker is free.",
            refusals={services.JobNotFailed: "This job has not failed, or somebody queued it again already."},
            submit="Queue it again",
        )

    @verb(permission=Permission.RUN_JOBS, description="Cancel", icon="cancel", url_path="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self.row(request, object_id)

        def do() -> str:
            cancelling.cancel(job=job, now=clock.now())
            return "The job is cancelled."

        return self.confirm(
            request,
            job,
            do,
            title=f"Cancel {job.type}",
            lead="One that runs stops at its next step; what it has not committed is undone. What asked for the job"
            " is marked as failed, and can be tried again there.",
            refusals={
                cancelling.JobNotOpen: "This job has ended already.",
                OperationalError: "This job is just ending: look again in a moment.",
            },
            submit="Cancel the job",
            danger=True,
        )


def _is_open(job: Job) -> bool:
    return job.state in (JobState.QUEUED, JobState.RUNNING)


def _is_paused(job: Job) -> bool:
    return job.state == JobState.QUEUED and job.type in pauses.everywhere()


def _may_go_again(job: Job) -> bool:
    """It ended badly, and nothing else stands on it: a subject request is tried again as a request."""
    types = {known.name: known for known in registry.all_types()}
    ended = job.state in (JobState.FAILED, JobState.CANCELLED)
    return ended and job.type in types and types[job.type].gave_up is None
