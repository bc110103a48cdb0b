"""Runs of pipelines: how far they are, followed by the page while they are under way, and taken up again."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from kaireon.flows import building, diagram, execution, pipelines, progress
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.engine import DefinitionChanged
from kaireon.flows.models import FlowRun, Pipeline, RunState
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, since, verb
from kaireon.tenancy.roles import Permission

STATES = {"Queued": "info", "Running": "primary", "Done": "success", "Failed": "danger", "Skipped": "warning"}


@admin.register(FlowRun)
class FlowRunAdmin(TenantModelAdmin[FlowRun]):
    view_permission = Permission.MANAGE_PIPELINES
    list_display = ("created_at", "name", "state_label", "how_far", "rows", "trigger", "error", "finished_at")
    list_filter = ("state", "trigger", since("created_at", "start"))
    linked_by = ("pipeline",)
    search_equal = ("name", "error")
    search_help_text = "Pipeline, reason code, run id"
    ordering = ("-created_at",)
    fieldsets = (
        ("Failure", {"fields": ("failed_step", "error", "message")}),
        (
            "Course",
            {
                "fields": (
                    "pipeline_link",
                    "pipeline_version",
                    "trigger",
                    "slot",
                    "created_at",
                    "started_at",
                    "finished_at",
                    "id",
                )
            },
        ),
    )
    actions_detail = ("again",)
    when_empty = "Start a pipeline on its page, or give it a schedule."
    change_form_before_template = "admin/flows/progress.html"

    def headline(self, row: FlowRun) -> str:
        return row.name

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: FlowRun) -> str:
        return str(row.get_state_display())

    @column("Progress")
    def how_far(self, row: FlowRun) -> SafeString:
        percent = progress.of(row, now=clock.now()).percent
        return format_html('<progress max="100" value="{0}">{0} %</progress> {0} %', percent)

    @column("Rows in, out, refused")
    def rows(self, row: FlowRun) -> str:
        found = progress.of(row, now=clock.now())
        return f"{found.rows_in:,} / {found.rows_out:,} / {found.rows_failed:,}"

    @column("Pipeline")
    def pipeline_link(self, row: FlowRun) -> SafeString | str:
        pipeline = Pipeline.objects.present().filter(runs=row).first()
        if pipeline is None:
            return "deleted"
        url = reverse("admin:flows_pipeline_change", args=[pipeline.pk])
        return format_html('<a class="k-link" href="{}">{}</a>', url, pipeline.name)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        sets = super().get_fieldsets(request, obj)
        failed = obj is not None and obj.state == RunState.FAILED
        return sets if failed else [fields for fields in sets if fields[0] != "Failure"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.headers.get("HX-Request"):
            return self._followed(request, object_id)
        run = self.get_object(request, object_id)
        context = _progress(run) if run is not None else {}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})
        return answer

    def _followed(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The progress alone, for the page that follows an open run."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.row(request, object_id)
        answer = TemplateResponse(request, self.change_form_before_template, _progress(run))
        if not run.is_open:
            # Its buttons and what became of it stand elsewhere on the page.
            answer["HX-Refresh"] = "true"
        return answer

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        run = self.get_object(request, object_id)
        fit = run is not None and run.state == RunState.FAILED and run.keeps_batches
        return super().get_actions_detail(request, object_id) if fit else []

    @verb(
        permission=Permission.MANAGE_PIPELINES,
        description="Take it up again",
        icon="replay",
        url_path="again",
        variant=ActionVariant.PRIMARY,
    )
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self.row(request, object_id)

        def do() -> str:
            job = execution.resume(run, now=clock.now())
            self.after_commit(request, lambda: pipelines.wake(job))
            return "The run is queued again."

        return self.confirm(
            request,
            run,
            do,
            title=f"Take {run.name} up again",
            lead="Finished steps are not run again.",
            refusals={
                execution.RunNotFailed: "",
                DefinitionChanged: "",
                building.BatchesGone: "",
                FlowInvalid: "",
            },
            submit="Queue it again",
        )


def _progress(run: FlowRun) -> dict[str, Any]:
    found = progress.of(run, now=clock.now())
    seconds = found.eta_seconds
    return {
        "run": run,
        "found": found,
        "left": "" if seconds is None else f"{seconds // 60}:{seconds % 60:02}",
        "picture": _picture(run, found),
    }


def _picture(run: FlowRun, found: progress.Progress) -> SafeString | str:
    pipeline = Pipeline.objects.filter(runs=run).first()
    if pipeline is None or not all(step.node for step in found.steps):
        return "The pipeline has changed since."
    return diagram.svg(
        building.build(pipeline.name, pipeline.definition),
        states={step.name: step.state for step in found.steps},
        notes={step.name: f"{step.rows_out:,} of {step.rows_in:,} rows" for step in found.steps if step.rows_in},
    )
