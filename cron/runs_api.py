"""GET /api/v1/admin/jobs: how every scheduled job is doing, and its runs. Other tenants' outcomes are not told."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from cron import overview
from cron.jobs import JOBS
from cron.models import JobRun, RunState, Trigger
from kaireon.api.errors import BadRequest
from kaireon.api.paging import page_of
from kaireon.api.serializers import PageOut
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

CHOICES = {"job": tuple(JOBS), "state": tuple(RunState.values), "trigger": tuple(Trigger.values)}


class JobOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    help = serializers.CharField(source="job.help")
    state = serializers.CharField(help_text="new, up, late, down, paused or running.")
    schedule = serializers.CharField(allow_null=True, help_text="Five fields of cron, UTC.")
    scheduleFrom = serializers.CharField(source="origin", help_text="default, environment or edited.")
    enabled = serializers.BooleanField(help_text="Whether its schedule starts it.")
    reason = serializers.CharField(help_text="Why it is not scheduled; empty when it is.")
    deadlineSeconds = serializers.IntegerField(source="job.deadline")
    nextAt = serializers.DateTimeField(source="next", allow_null=True)


class JobRunOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    job = serializers.CharField()
    trigger = serializers.CharField(help_text="http, beat, command or admin.")
    slot = serializers.DateTimeField(allow_null=True, help_text="The scheduled moment it is for; none when extra.")
    dryRun = serializers.BooleanField(source="dry_run")
    state = serializers.CharField(help_text="running, succeeded, failed or lost.")
    startedAt = serializers.DateTimeField(source="started_at")
    finishedAt = serializers.DateTimeField(source="finished_at", allow_null=True)
    seconds = serializers.SerializerMethodField()
    outcome = serializers.SerializerMethodField(help_text="In this tenant: {…the job's own, errors, ok, seconds}.")

    def get_seconds(self, run: JobRun) -> float:
        return round(run.running_for(clock.now()).total_seconds(), 3)

    def get_outcome(self, run: JobRun) -> dict[str, Any] | None:
        tenant = str(self.context["tenant_id"])
        found = run.outcome_of(tenant)
        return None if found is None else {name: value for name, value in found.items() if name != "tenantId"}


class JobsOut(PageOut):
    jobs = JobOut(many=True)
    runs = JobRunOut(many=True)


class JobRunsView(TenantAPIView):
    permission = Permission.RUN_JOBS

    @extend_schema(
        parameters=[
            OpenApiParameter("job", str, description="Only of this job."),
            OpenApiParameter("state", str, description="running, succeeded, failed or lost."),
            OpenApiParameter("trigger", str, description="http, beat, command or admin."),
            OpenApiParameter("page", int),
            OpenApiParameter("limit", int, description="Default 50, at most 200."),
        ],
        responses=JobsOut,
        operation_id="jobs_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """Every scheduled job, and runs of them, newest first."""
        runs = JobRun.objects.newest_first()
        for name, known in CHOICES.items():
            if (value := request.query_params.get(name)) is not None:
                if value not in known:
                    raise BadRequest(f"must be one of {', '.join(known)}.", field=name)
                runs = runs.filter(**{name: value})
        page = page_of(request, runs, default=50, cap=200)
        return Response(
            page.answer(
                jobs=JobOut(overview.lines(now=clock.now()), many=True).data,
                runs=JobRunOut(page.items, many=True, context={"tenant_id": request.tenant_id}).data,
            )
        )
