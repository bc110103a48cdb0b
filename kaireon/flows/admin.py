"""Pipelines: made, changed and started by forms; their steps as a picture, their next five moments."""

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from kaireon.flows import building, diagram, nodes, pipelines, schedule
from kaireon.flows.api import next_runs
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.models import FlowRun, Pipeline, RunTrigger
from kaireon.flows.runs_admin import FlowRunAdmin
from kaireon.flows.schedule import ScheduleInvalid
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

__all__ = ["FlowRunAdmin", "PipelineAdmin"]

NEWEST = 5
KINDS = [("", "By hand only"), ("cron", "Cron"), ("every", "Every so many seconds"), ("rrule", "RRULE")]

EXAMPLE = {
    "steps": [
        {"name": "read", "node": "load_file", "params": {"file": "in/customers.csv", "format": "csv"}},
        {"name": "pseudonyms", "node": "hash", "params": {"columns": ["email"], "purpose": "research"}},
        {"name": "write", "node": "write_file", "params": {"file": "out/{run}.csv", "format": "csv"}},
    ]
}


class PipelineForm(forms.Form):
    name = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget())
    description = forms.CharField(max_length=500, required=False, widget=UnfoldAdminTextInputWidget())
    definition = forms.JSONField(
        help_text="Steps with a name, a node and its params; without any needs they run in a row.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 18, "spellcheck": "false"}),
    )
    kind = forms.ChoiceField(label="Runs", choices=KINDS, required=False, widget=UnfoldAdminSelectWidget())
    when = forms.CharField(
        max_length=500,
        required=False,
        help_text="Such as 0 2 * * *, or 900, or FREQ=WEEKLY;BYDAY=MO;BYHOUR=6;BYMINUTE=0.",
        widget=UnfoldAdminTextInputWidget(),
    )
    time_zone = forms.ChoiceField(choices=(), initial="UTC", widget=UnfoldAdminSelectWidget())
    missed = forms.ChoiceField(
        label="Slots that were missed",
        choices=[("last", "Run the newest"), ("all", "Run all"), ("skip", "Run none")],
        widget=UnfoldAdminSelectWidget(),
    )
    enabled = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = [(z, z) for z in sorted(schedule.zones())]  # type: ignore[attr-defined]

    def schedule_given(self) -> dict[str, Any] | None:
        """As `schedule.parse` takes it."""
        given = self.cleaned_data
        if not given["kind"]:
            return None
        when: str | int = given["when"]
        if given["kind"] == "every" and given["when"].isascii() and given["when"].isdigit():
            when = int(given["when"])
        return {given["kind"]: when, "timeZone": given["time_zone"], "missed": given["missed"]}


REFUSALS: dict[type[Exception], str] = {
    FlowInvalid: "",
    ScheduleInvalid: "",
    pipelines.NameTaken: "",
    pipelines.PipelineChanged: "",
}


@admin.register(Pipeline)
class PipelineAdmin(TenantModelAdmin[Pipeline]):
    view_permission = Permission.MANAGE_PIPELINES
    list_display = ("name", "when", "next_run_at", "enabled_label", "version", "updated_at")
    search_equal = ("name",)
    search_help_text = "Name"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "description", "enabled_label", "picture")}),
        ("Schedule", {"fields": ("when", "next_five")}),
        ("Newest runs", {"fields": ("newest_runs",)}),
        ("Definition", {"fields": ("written", "version", "updated_at")}),
    )
    actions_list = ("add_pipeline",)
    actions_detail = ("run_now", "edit", "remove")
    when_empty = "One loads rows, changes them step by step and writes them, now or on a schedule. Press New pipeline."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pipeline]:
        rows: QuerySet[Pipeline] = super().get_queryset(request)
        return rows.filter(deleted_at=None)

    def headline(self, row: Pipeline) -> str:
        return row.name

    @column("State", label={"Enabled": "success", "Disabled": "warning"}, ordering="enabled")
    def enabled_label(self, row: Pipeline) -> str:
        return "Enabled" if row.enabled else "Disabled"

    @column("Runs")
    def when(self, row: Pipeline) -> str:
        if row.schedule is None:
            return "by hand"
        said = schedule.parse(row.schedule, now=row.created_at)
        return f"every {said.text} s" if said.kind == "every" else f"{said.text}, {said.zone.key}"

    @column("Next five")
    def next_five(self, row: Pipeline) -> SafeString | str:
        moments = next_runs(row)
        if not moments:
            return "none"
        zone = schedule.parse(row.schedule, now=row.created_at).zone
        return format_html_join(
            "", "<div>{}</div>", ((f"{m.astimezone(zone):%a %-d %B %Y, %H:%M %Z}",) for m in moments)
        )

    @column("Steps")
    def picture(self, row: Pipeline) -> SafeString | str:
        try:
            return diagram.svg(building.build(row.name, row.definition))
        except FlowInvalid as e:
            return f"{e.field}: {e}"

    @column("Runs")
    def newest_runs(self, row: Pipeline) -> SafeString | str:
        newest = FlowRun.objects.filter(pipeline=row).newest_first()[:NEWEST]
        if not newest:
            return "None yet: press Run now."
        lines = (
            (reverse("admin:flows_flowrun_change", args=[run.pk]), localize(localtime(run.created_at)), said)
            for run in newest
            for said in [f"{str(run.get_state_display()).lower()} {run.error}".strip()]
        )
        return format_html_join("", '<div><a class="k-link" href="{}">{}</a> {}</div>', lines)

    @column("As JSON")
    def written(self, row: Pipeline) -> SafeString:
        return format_html('<pre class="k-json">{}</pre>', json.dumps(row.definition, indent=2))

    @verb(
        permission=Permission.MANAGE_PIPELINES,
        description="New pipeline",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def add_pipeline(self, request: HttpRequest) -> HttpResponse:
        form = PipelineForm(given_by(request), initial={"definition": EXAMPLE, "time_zone": "UTC"})
        return self._ask(request, form, pipelines.create, "New pipeline", self.url("changelist"))

    @verb(permission=Permission.MANAGE_PIPELINES, description="Change", icon="edit", url_path="edit")
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        pipeline = self.row(request, object_id)
        form = PipelineForm(given_by(request), initial=_initial(pipeline))

        def store(**given: Any) -> Pipeline:
            return pipelines.change(pipeline, version=pipeline.version, **given)

        return self._ask(request, form, store, f"Change {pipeline.name}", self.url("change", pipeline.pk))

    def _ask(
        self, request: HttpRequest, form: PipelineForm, store: Callable[..., Pipeline], title: str, cancel: str
    ) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            stored = store(
                **{name: given[name] for name in ("name", "description", "definition", "enabled")},
                schedule_given=form.schedule_given(),
                actor=principal_of(request).actor,
                now=clock.now(),
            )
            self.succeed(request, f"{stored.name} is saved.")
            return HttpResponseRedirect(self.url("change", stored.pk))

        known = "; ".join(f"{node.name}: {node.help}" for node in nodes.all_nodes())
        return self.ask(
            request,
            title=title,
            lead=f"Nodes: {known}",
            form=form,
            do=do,
            refusals=REFUSALS,
            submit="Save the pipeline",
            cancel=cancel,
        )

    @verb(
        permission=Permission.MANAGE_PIPELINES,
        description="Run now",
        icon="play_arrow",
        url_path="run",
        variant=ActionVariant.PRIMARY,
    )
    def run_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        pipeline = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            run, job = pipelines.start(pipeline, trigger=RunTrigger.ADMIN, now=clock.now())
            self.after_commit(request, lambda: pipelines.wake(job))
            self.succeed(request, "The run is queued. This page follows it.")
            return HttpResponseRedirect(reverse("admin:flows_flowrun_change", args=[run.pk]))

        return self.ask(
            request,
            title=f"Run {pipeline.name}",
            lead="It starts as soon as a worker is free, beside any run that is under way.",
            form=forms.Form(given_by(request)),
            do=do,
            refusals={pipelines.PipelineDisabled: "", FlowInvalid: ""},
            submit="Run it now",
            cancel=self.url("change", pipeline.pk),
        )

    @verb(
        permission=Permission.MANAGE_PIPELINES,
        description="Delete",
        icon="delete",
        url_path="remove",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        pipeline = self.row(request, object_id)

        def do() -> str:
            pipelines.delete(pipeline, actor=principal_of(request).actor, now=clock.now())
            return f"{pipeline.name} is deleted."

        return self.confirm(
            request,
            pipeline,
            do,
            title=f"Delete {pipeline.name}",
            lead="What waits or runs ends. Finished runs stay for as long as their class is kept.",
            submit="Delete the pipeline",
            danger=True,
            to_list=True,
        )


def _initial(pipeline: Pipeline) -> dict[str, Any]:
    said = pipeline.schedule or {}
    kind = next((kind for kind, _ in KINDS if kind and kind in said), "")
    return {
        "name": pipeline.name,
        "description": pipeline.description,
        "definition": pipeline.definition,
        "enabled": pipeline.enabled,
        "kind": kind,
        "when": said.get(kind, ""),
        "time_zone": said.get("timeZone", "UTC"),
        "missed": said.get("missed", "last"),
    }
