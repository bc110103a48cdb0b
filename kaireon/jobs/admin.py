"""Background jobs of the chosen tenant: what waits, what runs, what failed and may be tried again."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant

from kaireon.jobs import pauses, registry, services
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, given_by, since, verb
from kaireon.tenancy.roles import Permission

STATES = {"Queued": "info", "Paused": "warning", "Running": "primary", "Done": "success", "Failed": "danger"}


@admin.register(Job)
class JobAdmin(TenantModelAdmin[Job]):
    view_permission = Permission.READ_JOBS
    list_display = ("created_at", "type", "queue", "state_label", "attempts", "error", "finished_at")
    list_filter = ("state", since("created_at", "creation"))
    search_equal = ("type", "queue", "error", "request_id")
    search_help_text = "Id, type, queue, reason code"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("id", "type", "queue", "state_label", "payload", "request_id")}),
        ("Course", {"fields": ("attempts", "failures", "crashes", "losses", "error", "result", "lease_until")}),
        ("Times", {"fields": ("created_at", "due_at", "started_at", "finished_at")}),
    )
    actions_detail = ("again",)
    when_empty = "Exports and erasures run here."

    def headline(self, row: Job) -> str:
        return row.type

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: Job) -> str:
        if row.state == JobState.QUEUED and row.type in pauses.everywhere():
            return "Paused"
        return str(row.get_state_display())

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        job = self.get_object(request, object_id)
        return super().get_actions_detail(request, object_id) if job is not None and _may_go_again(job) else []

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

        def do(given: dict[str, Any]) -> HttpResponse:
            services.retry(job=job, now=clock.now())
            self.after_commit(request, lambda: services.wake(job))
            self.succeed(request, "The job is queued again.")
            return HttpResponseRedirect(self.url("change", job.pk))

        return self.ask(
            request,
            title=f"Try {job.type} again",
            lead="It gets all its retries back and starts as soon as a worker is free.",
            form=forms.Form(given_by(request)),
            do=do,
            refusals={services.JobNotFailed: "This job has not failed, or somebody queued it again already."},
            submit="Queue it again",
            cancel=self.url("change", job.pk),
        )


def _may_go_again(job: Job) -> bool:
    """Failed, and nothing else stands on its failure: a subject request is tried again as a request."""
    types = {known.name: known for known in registry.all_types()}
    return job.state == JobState.FAILED and job.type in types and types[job.type].gave_up is None
