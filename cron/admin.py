"""Runs of jobs, and the button that starts one. A run goes through all tenants; each sees its own outcome."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from cron import tasks
from cron.jobs import JOBS
from cron.models import JobRun, RunState, Trigger
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, given_by, principal_of, since, verb
from kaireon.tenancy.roles import Permission

STATES = {"Running": "primary", "Succeeded": "success", "Failed": "danger", "Lost": "warning"}
NOTHING = "-"


class RunForm(forms.Form):
    job = forms.ChoiceField(
        choices=[(job.name, f"{job.name}: {job.help}") for job in JOBS.values()],
        widget=UnfoldAdminSelectWidget(),
    )


@admin.register(JobRun)
class JobRunAdmin(TenantModelAdmin[JobRun]):
    view_permission = Permission.READ_JOBS
    list_display = ("started_at", "job", "trigger", "state_label", "here", "duration_label")
    list_filter = ("state", "trigger", since("started_at", "start"))
    search_equal = ("job", "request_id")
    search_help_text = "Job, request id"
    ordering = ("-started_at",)
    # What a run came to in other tenants, and who of them started it, is not this tenant's to see.
    fieldsets = (
        (None, {"fields": ("job", "trigger", "state_label", "started_at", "finished_at", "duration_label")}),
        ("In this tenant", {"fields": ("here", "result_here")}),
    )
    actions_list = ("start",)
    when_empty = "Jobs run on their schedule, or when you start one."

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: JobRun) -> str:
        return str(row.get_state_display())

    @column("Took")
    def duration_label(self, row: JobRun) -> str:
        return f"{row.duration.total_seconds():.1f} s" if row.duration is not None else NOTHING

    @column("Here")
    def here(self, row: JobRun) -> str:
        outcome = row.outcome_of(context.tenant_id())
        if outcome is None:
            return "running" if row.state == RunState.RUNNING else NOTHING
        return "done" if outcome.get("ok") else "failed"

    @column("Result")
    def result_here(self, row: JobRun) -> str | SafeString:
        outcome = row.outcome_of(context.tenant_id())
        if outcome is None:
            return NOTHING
        shown = {name: value for name, value in outcome.items() if name != "tenantId"}
        return format_html('<pre class="k-json">{}</pre>', json.dumps(shown, indent=2, ensure_ascii=False))

    @verb(
        permission=Permission.RUN_JOBS,
        description="Run a job",
        icon="play_arrow",
        url_path="start",
        variant=ActionVariant.PRIMARY,
    )
    def start(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            # A job outlives a request and goes through all tenants, so a worker runs it, after this commit.
            self.after_commit(request, lambda: self._send(request, given["job"]))
            return HttpResponseRedirect(self.url("changelist"))

        return self.ask(
            request,
            title="Run a job now",
            lead="It runs on a worker, for every tenant, as it does on its schedule. A run under way is not doubled.",
            form=RunForm(given_by(request), initial={"job": request.GET.get("job")}),
            do=do,
            submit="Run it",
            cancel=self.url("changelist"),
        )

    def _send(self, request: HttpRequest, job: str) -> None:
        try:
            tasks.run.delay(job=job, trigger=str(Trigger.ADMIN), user_id=principal_of(request).actor.id)
        except (KombuError, RedisError, OSError):
            text = f"{job} was not started: the message broker does not answer. Try again in a moment."
            self.message_user(request, text, messages.ERROR)
        else:
            self.succeed(request, f"{job} was sent to a worker. Its run appears here when it starts.")
