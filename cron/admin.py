"""How every job is doing, its runs, and the buttons that start one and say when it runs.

A run goes through all tenants; each sees its own outcome, and those who operate the installation see all of them.
"""

import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from cron import beat_rows, overview, tasks
from cron.jobs import JOBS
from cron.models import JobRun, RunState, Trigger
from cron.operators import operates
from cron.slots import BadSchedule
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, since, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATES = {"Running": "primary", "Succeeded": "success", "Failed": "danger", "Lost": "warning"}
NOTHING = "-"


class RunForm(forms.Form):
    job = forms.ChoiceField(
        choices=[(job.name, f"{job.name}: {job.help}") for job in JOBS.values()],
        widget=UnfoldAdminSelectWidget(),
    )


class ScheduleForm(forms.Form):
    job = forms.ChoiceField(choices=[(name, name) for name in JOBS], widget=UnfoldAdminSelectWidget())
    cron = forms.CharField(
        label="Runs at",
        max_length=200,
        required=False,
        help_text="Minute, hour, day of month, month, day of week, in UTC, such as 30 4 * * *.",
        widget=UnfoldAdminTextInputWidget(),
    )
    enabled = forms.BooleanField(
        label="Started by its schedule",
        required=False,
        help_text="Without it the job is paused; it can still be run by hand.",
        widget=UnfoldBooleanWidget(),
    )
    back = forms.BooleanField(
        label="Put back what the environment says",
        required=False,
        help_text="What is written above does not count then.",
        widget=UnfoldBooleanWidget(),
    )


class OfJob(SimpleListFilter):
    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(JOBS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> QuerySet[JobRun]:
        return queryset.filter(job=self.value()) if self.value() in JOBS else queryset


@admin.register(JobRun)
class JobRunAdmin(TenantModelAdmin[JobRun]):
    view_permission = Permission.READ_JOBS
    list_display = ("started_at", "job", "slot_label", "trigger", "state_label", "here", "duration_label")
    list_filter = (OfJob, "state", "trigger", since("started_at", "start"))
    list_before_template = "admin/cron/jobs.html"
    search_equal = ("job", "request_id")
    search_help_text = "Job, request id"
    ordering = ("-started_at",)
    actions_list = ("start", "reschedule")
    when_empty = "Jobs run on their schedule, or when you start one."

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        shown = {
            "lines": overview.lines(now=clock.now()),
            "may_run": Permission.RUN_JOBS in principal_of(request).permissions,
            "operates": operates(request),
        }
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        run = ("job", "slot_label", "trigger", "state_label", "started_at", "finished_at", "duration_label")
        # What a run came to in other tenants, and who of them started it, is not this tenant's to see.
        everywhere = ("actor_name", "request_id", "error", "tenants", "common")
        return [
            (None, {"fields": run}),
            ("In this tenant", {"fields": ("here", "result_here")}),
            *([("In all tenants", {"fields": everywhere})] if operates(request) else []),
        ]

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        found: list[Any] = super().get_actions_list(request)
        return found if operates(request) else [a for a in found if "reschedule" not in a.action_name]

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: JobRun) -> str:
        return str(row.get_state_display())

    @column("Slot", ordering="slot")
    def slot_label(self, row: JobRun) -> str:
        if row.slot is None:
            return "dry run" if row.dry_run else "extra"
        return f"{row.slot:%Y-%m-%d %H:%M:%S}".removesuffix(":00") + " UTC"

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
        return _json({name: value for name, value in outcome.items() if name != "tenantId"})

    @column("Tenants")
    def tenants(self, row: JobRun) -> str | SafeString:
        if not row.outcomes:
            return NOTHING
        return format_html(
            '<table class="k-table"><thead><tr><th>Tenant</th><th>Outcome</th><th>Took</th><th>Result</th></tr></thead>'
            "<tbody>{}</tbody></table>",
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{} s</td><td>{}</td></tr>", map(_cells, row.outcomes)),
        )

    @column("Besides")
    def common(self, row: JobRun) -> str | SafeString:
        """Its answer, but for what stands in the table of tenants."""
        return _json({k: v for k, v in row.result.items() if k != "perTenant"}) if row.result else NOTHING

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

    @verb(permission=Permission.RUN_JOBS, description="Change a schedule", icon="schedule", url_path="schedule")
    def reschedule(self, request: HttpRequest) -> HttpResponse:
        if not operates(request):
            raise PermissionDenied

        def do(given: dict[str, Any]) -> HttpResponse:
            job = JOBS[given["job"]]
            if given["back"]:
                beat_rows.put_back(job, now=clock.now())
                self.succeed(request, f"{job.name} runs as the environment says.")
            else:
                beat_rows.reschedule(job, cron=given["cron"], enabled=given["enabled"], now=clock.now())
                self.succeed(
                    request, f"{job.name} {'runs at' if given['enabled'] else 'is paused at'} {given['cron']}."
                )
            return HttpResponseRedirect(self.url("changelist"))

        line = next((li for li in overview.lines(now=clock.now()) if li.name == request.GET.get("job")), None)
        return self.ask(
            request,
            title="Change when a job runs",
            lead="For every tenant. It stays, also when the product starts anew, until you put it back.",
            form=ScheduleForm(given_by(request), initial=_initial(line)),
            do=do,
            refusals={BadSchedule: "Write five fields of cron that are due at some time, such as 30 4 * * *."},
            submit="Change it",
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


def _initial(line: overview.Line | None) -> dict[str, Any]:
    if line is None:
        return {"enabled": True}
    # What is no cron in UTC is shown by the page before this one; it cannot be written here.
    cron = line.schedule if line.schedule and len(line.schedule.split()) == 5 else ""
    return {"job": line.name, "cron": cron, "enabled": line.enabled}


def _cells(outcome: dict[str, Any]) -> Sequence[Any]:
    told = {k: v for k, v in outcome.items() if k not in ("tenantId", "ok", "seconds")}
    return outcome["tenantId"], "done" if outcome.get("ok") else "failed", outcome.get("seconds", 0), _json(told)


def _json(value: object) -> SafeString:
    return format_html('<pre class="k-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))
