"""Pipelines over HTTP: what they are, starting them, and how far they have come."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.paging import page_of
from kaireon.api.serializers import PageOut, StrictSerializer
from kaireon.flows import pipelines, progress, schedule
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.models import FlowRun, Pipeline, RunState, RunTrigger
from kaireon.flows.schedule import ScheduleInvalid
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


@extend_schema_field({"type": "object", "additionalProperties": True})
class FreeJson(serializers.JSONField):
    """An object whose keys are data. Its rules are the service's, which names what is wrong."""


class StrictBoolean(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false.")
        return data


class PipelineIn(StrictSerializer):
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    definition = FreeJson(help_text='{"steps": [{"name", "node", "params"?, "needs"?}]}; without any needs, in a row.')
    schedule = FreeJson(
        required=False,
        allow_null=True,
        default=None,
        help_text='{"cron" | "every" (seconds) | "rrule", "timeZone"?, "start"?, "missed"? (last, all, skip)}',
    )
    enabled = StrictBoolean(required=False, default=True)


class PipelineChangeIn(PipelineIn):
    version = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="The version you read; another by now is 409."
    )


class PipelineOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    definition = FreeJson()
    schedule = FreeJson(allow_null=True)
    enabled = serializers.BooleanField()
    version = serializers.IntegerField()
    nextRuns = serializers.ListField(child=serializers.DateTimeField(), help_text="The next five, in UTC.")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")
    updatedBy = serializers.CharField(source="updated_by")


class PipelinesOut(PageOut):
    pipelines = PipelineOut(many=True)


class PipelineExecuteIn(StrictSerializer):
    pipelineId = serializers.UUIDField()


class EmptyIn(StrictSerializer):
    pass


class RunStarted(serializers.Serializer[Any]):
    runId = serializers.UUIDField()


class FlowRunOut(serializers.Serializer[Any]):
    runId = serializers.UUIDField(source="pk")
    pipelineVersion = serializers.IntegerField(source="pipeline_version")
    trigger = serializers.ChoiceField(choices=RunTrigger.choices)
    slot = serializers.DateTimeField(allow_null=True)
    state = serializers.ChoiceField(choices=RunState.choices)
    rowsIn = serializers.IntegerField(source="rows_in")
    rowsOut = serializers.IntegerField(source="rows_out")
    rowsFailed = serializers.IntegerField(source="rows_failed")
    error = serializers.CharField()
    message = serializers.CharField()
    createdAt = serializers.DateTimeField(source="created_at")
    startedAt = serializers.DateTimeField(source="started_at", allow_null=True)
    finishedAt = serializers.DateTimeField(source="finished_at", allow_null=True)


class FlowRunsOut(PageOut):
    runs = FlowRunOut(many=True)


class StepProgressOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    node = serializers.CharField()
    state = serializers.ChoiceField(choices=progress.STEP_STATES)
    rowsIn = serializers.IntegerField(source="rows_in")
    rowsOut = serializers.IntegerField(source="rows_out")
    rowsFailed = serializers.IntegerField(source="rows_failed")
    percent = serializers.FloatField()


class RunProgressOut(serializers.Serializer[Any]):
    runId = serializers.UUIDField(source="run.pk")
    pipelineId = serializers.UUIDField(source="run.pipeline_id")
    state = serializers.ChoiceField(choices=RunState.choices, source="run.state")
    rowsIn = serializers.IntegerField(source="rows_in")
    rowsOut = serializers.IntegerField(source="rows_out")
    rowsFailed = serializers.IntegerField(source="rows_failed")
    percent = serializers.FloatField()
    etaSeconds = serializers.IntegerField(source="eta_seconds", allow_null=True)
    failedStep = serializers.CharField(source="run.failed_step")
    error = serializers.CharField(source="run.error")
    message = serializers.CharField(source="run.message")
    rejects = serializers.CharField(source="run.rejects.name", help_text="In storage: which rows, and why.")
    startedAt = serializers.DateTimeField(source="run.started_at", allow_null=True)
    finishedAt = serializers.DateTimeField(source="run.finished_at", allow_null=True)
    steps = StepProgressOut(many=True)


class PipelineView(TenantAPIView):
    """What the views on pipelines share."""

    permission = Permission.MANAGE_PIPELINES
    idempotent = True

    def pipeline(self, pipeline_id: UUID) -> Pipeline:
        found = pipelines.find(pipeline_id)
        if found is None:
            raise NotFound("There is no pipeline of this id.")
        return found

    def started(self, request: TenantRequest, pipeline_id: UUID) -> Response:
        try:
            run, job = pipelines.start(self.pipeline(pipeline_id), trigger=RunTrigger.API, now=clock.now())
        except pipelines.PipelineDisabled as e:
            raise Conflict(str(e), code="pipeline_disabled") from e
        except FlowInvalid as e:
            raise Conflict(f"{_place(e.field)}: {e}", code="definition_invalid") from e
        self.after_commit(lambda: pipelines.wake(job))
        return Response(RunStarted({"runId": run.pk}).data, status=202)


class PipelinesView(PipelineView):
    @extend_schema(responses=PipelinesOut, operation_id="pipelines_list")
    def get(self, request: TenantRequest) -> Response:
        """The tenant's pipelines by name."""
        page = page_of(request, Pipeline.objects.present().order_by("name"))
        shown = [shape(pipeline) for pipeline in page.items]
        answer = page.answer(pipelines=shown)
        return Response(PipelinesOut(answer).data)

    @extend_schema(request=PipelineIn, responses={201: PipelineOut}, operation_id="pipelines_create")
    def post(self, request: TenantRequest) -> Response:
        """Make a pipeline. A definition or schedule that cannot be is 400, by the place in it."""
        given = _given(PipelineIn, request)
        pipeline = _storing(lambda: pipelines.create(**given, actor=request.actor, now=clock.now()))
        return Response(PipelineOut(shape(pipeline)).data, status=201)


class PipelineDetailView(PipelineView):
    @extend_schema(responses=PipelineOut, operation_id="pipelines_read")
    def get(self, request: TenantRequest, pipeline_id: UUID) -> Response:
        """One pipeline, with its next five runs."""
        return Response(PipelineOut(shape(self.pipeline(pipeline_id))).data)

    @extend_schema(request=PipelineChangeIn, responses=PipelineOut, operation_id="pipelines_replace")
    def put(self, request: TenantRequest, pipeline_id: UUID) -> Response:
        """Put another in its place. Runs under way with another definition end with `definition_changed`."""
        pipeline = self.pipeline(pipeline_id)
        given = _given(PipelineChangeIn, request)
        changed = _storing(lambda: pipelines.change(pipeline, **given, actor=request.actor, now=clock.now()))
        return Response(PipelineOut(shape(changed)).data)

    @extend_schema(responses={204: None}, operation_id="pipelines_delete")
    def delete(self, request: TenantRequest, pipeline_id: UUID) -> Response:
        """Delete it; what waits or runs ends. Finished runs stay for as long as their class is kept."""
        pipelines.delete(self.pipeline(pipeline_id), actor=request.actor, now=clock.now())
        return Response(status=204)


class PipelineExecuteView(PipelineView):
    @extend_schema(request=EmptyIn, responses={202: RunStarted}, operation_id="pipelines_execute_one")
    def post(self, request: TenantRequest, pipeline_id: UUID) -> Response:
        """Start a run now."""
        if request.data:
            _given(EmptyIn, request)
        return self.started(request, pipeline_id)


class PipelinesExecuteView(PipelineView):
    @extend_schema(request=PipelineExecuteIn, responses={202: RunStarted}, operation_id="pipelines_execute")
    def post(self, request: TenantRequest) -> Response:
        """Start a run of the pipeline named in the body now."""
        return self.started(request, _given(PipelineExecuteIn, request)["pipelineId"])


class PipelineRunsView(PipelineView):
    @extend_schema(responses=FlowRunsOut, operation_id="pipelines_runs")
    def get(self, request: TenantRequest, pipeline_id: UUID) -> Response:
        """Its runs, newest first. Counts are there when a run has ended; before that, see its progress."""
        page = page_of(request, FlowRun.objects.filter(pipeline=self.pipeline(pipeline_id)).newest_first())
        answer = page.answer(runs=page.items)
        return Response(FlowRunsOut(answer).data)


class RunProgressView(PipelineView):
    @extend_schema(responses=RunProgressOut, operation_id="pipelines_run_progress")
    def get(self, request: TenantRequest, pipeline_id: UUID, run_id: UUID) -> Response:
        """How far a run has come: rows, percent, seconds still to go, and each step."""
        run = FlowRun.objects.filter(pk=run_id, pipeline_id=pipeline_id).first()
        if run is None:
            raise NotFound("There is no run of this id.")
        return Response(RunProgressOut(progress.of(run, now=clock.now())).data)


def shape(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline for PipelineOut."""
    names = ("id", "name", "description", "definition", "schedule", "enabled", "version")
    times = ("created_at", "updated_at", "updated_by")
    return {
        **{name: getattr(pipeline, name) for name in (*names, *times)},
        "nextRuns": next_runs(pipeline),
    }


def next_runs(pipeline: Pipeline) -> list[Any]:
    """The next five moments of its schedule; none when it is disabled, or its zone is no longer known."""
    if pipeline.schedule is None or not pipeline.enabled:
        return []
    try:
        return schedule.parse(pipeline.schedule, now=pipeline.created_at).next(clock.now())
    except ScheduleInvalid:
        return []


def _given(serializer_class: type[StrictSerializer], request: TenantRequest) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    given = dict(serializer.validated_data)
    if "schedule" in given:
        given["schedule_given"] = given.pop("schedule")
    return given


def _storing(store: Any) -> Pipeline:
    try:
        stored: Pipeline = store()
    except FlowInvalid as e:
        raise BadRequest(str(e), field=_place(e.field)) from e
    except ScheduleInvalid as e:
        raise BadRequest(str(e), field=f"schedule.{e.field}".rstrip(".")) from e
    except pipelines.NameTaken as e:
        raise Conflict(str(e), code="name_taken") from e
    except pipelines.PipelineChanged as e:
        raise Conflict(str(e), code="pipeline_changed") from e
    return stored


def _place(field: str) -> str:
    return f"definition.{field}".rstrip(".")
