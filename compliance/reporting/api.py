"""Reports over HTTP: /api/v1/reports. Whoever asks sees those alone whose facts they may read."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from compliance.models import ReportFormat, ReportRun, ReportSchedule, ReportState
from compliance.models.report import ReportRunQuerySet, ReportScheduleQuerySet
from compliance.refusing import RefusingView
from compliance.reporting import files, rendering, runs, schedules, templates
from compliance.reporting.runs import Requested
from compliance.reporting.serializers import (
    ReportRunIn,
    ReportRunNowIn,
    ReportRunOut,
    ReportRunsOut,
    ReportScheduleChangeIn,
    ReportScheduleIn,
    ReportScheduleOut,
    ReportSchedulesOut,
    ReportsOut,
    ReportTemplatesOut,
    shown_run,
    shown_schedule,
    shown_template,
)
from kaireon.api.errors import BadRequest, Conflict, Gone, NotFound, Unavailable
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest

_PAGES = [OpenApiParameter("page", int), OpenApiParameter("limit", int, description="At most 100.")]
_RUNS = [OpenApiParameter("schedule", OpenApiTypes.UUID), OpenApiParameter("state", enum=ReportState.values), *_PAGES]
_RATE = Rate("reports", per_minute=10)


class ReportView(RefusingView):
    refused_verb = "report.refused"
    entity_type = "Report"

    @contextmanager
    def translating(self) -> Iterator[None]:
        """What services refuse, as answers."""
        try:
            yield
        except (schedules.ScheduleNotFound, runs.RunNotFound) as e:
            raise NotFound from e
        except schedules.ReportRefused as e:
            raise BadRequest(str(e), field=e.field, code=e.code) from e
        except schedules.TimeZoneGone as e:
            raise BadRequest("is not known any more: choose another.", field=e.field, code=e.code) from e
        except runs.TooManyOpen as e:
            raise Conflict(str(e), code=e.code) from e
        except runs.NotFailed as e:
            raise Conflict(f"{e} Only one that failed is tried again.", code=e.code) from e

    def schedules(self) -> ReportScheduleQuerySet:
        readable = runs.readable(self.request.principal.permissions)
        found: ReportScheduleQuerySet = ReportSchedule.objects.present().filter(template__in=readable)
        return found

    def runs(self) -> ReportRunQuerySet:
        found: ReportRunQuerySet = ReportRun.objects.filter(
            template__in=runs.readable(self.request.principal.permissions)
        )
        return found.prefetch_related("files", "notices__provider")

    def schedule(self, schedule_id: UUID) -> ReportSchedule:
        row = self.schedules().filter(pk=schedule_id).first()
        if row is None:
            raise NotFound
        return row

    def run(self, run_id: UUID) -> ReportRun:
        row = self.runs().filter(pk=run_id).first()
        if row is None:
            raise NotFound
        return row

    def queued(self, asked: Requested) -> Response:
        self.after_commit(lambda: runs.wake(asked))
        return Response(shown_run(self.run(asked.run.pk), now=clock.now()), status=202)


class ReportTemplatesView(ReportView):
    permission = Permission.READ_REPORTS

    @extend_schema(responses=ReportTemplatesOut, operation_id="report_templates_list")
    def get(self, request: TenantRequest) -> Response:
        """The reports there are, of those whose facts you may read."""
        readable = runs.readable(request.principal.permissions)
        return Response({"templates": [shown_template(templates.TEMPLATES[name]) for name in sorted(readable)]})


class ReportSchedulesView(ReportView):
    permissions = {"GET": Permission.READ_REPORTS, "POST": Permission.MANAGE_REPORTS}
    idempotent = True

    @extend_schema(parameters=_PAGES, responses=ReportSchedulesOut, operation_id="report_schedules_list")
    def get(self, request: TenantRequest) -> Response:
        """The schedules by name, each with when it is due next."""
        page = page_of(request, self.schedules().order_by("name", "pk"))
        now = clock.now()
        shown = [shown_schedule(row, now=now) for row in page.items]
        return Response(page.answer(schedules=shown))

    @extend_schema(
        request=ReportScheduleIn,
        responses={201: ReportScheduleOut, 400: ErrorBodySerializer},
        operation_id="report_schedules_create",
    )
    def post(self, request: TenantRequest) -> Response:
        """Make a schedule. It begins with the next moment of its cadence."""
        read = ReportScheduleIn(data=request.data)
        read.is_valid(raise_exception=True)
        with self.translating():
            row = schedules.create(given=read.given(), may=request.principal.permissions, now=clock.now())
        return Response(shown_schedule(row, now=clock.now()), status=201)


class ReportScheduleView(ReportView):
    permissions = {
        "GET": Permission.READ_REPORTS,
        "PATCH": Permission.MANAGE_REPORTS,
        "DELETE": Permission.MANAGE_REPORTS,
    }

    @extend_schema(responses={200: ReportScheduleOut, 404: ErrorBodySerializer}, operation_id="report_schedules_read")
    def get(self, request: TenantRequest, schedule_id: UUID) -> Response:
        """One schedule, and when it is due next."""
        return Response(shown_schedule(self.schedule(schedule_id), now=clock.now()))

    @extend_schema(
        request=ReportScheduleChangeIn,
        responses={200: ReportScheduleOut, **dict.fromkeys((400, 404), ErrorBodySerializer)},
        operation_id="report_schedules_change",
    )
    def patch(self, request: TenantRequest, schedule_id: UUID) -> Response:
        """Change what is given. With another time or day no period is lost; with another period it begins anew."""
        self.schedule(schedule_id)
        read = ReportScheduleChangeIn(data=request.data)
        read.is_valid(raise_exception=True)
        with self.translating():
            row = schedules.change(schedule_id, given=read.given(), may=request.principal.permissions, now=clock.now())
        return Response(shown_schedule(row, now=clock.now()))

    @extend_schema(responses={204: None, 404: ErrorBodySerializer}, operation_id="report_schedules_remove")
    def delete(self, request: TenantRequest, schedule_id: UUID) -> Response:
        """Remove a schedule. Its reports stay."""
        self.schedule(schedule_id)
        with self.translating():
            schedules.remove(schedule_id, now=clock.now())
        return Response(status=204)


class ReportScheduleRunView(ReportView):
    permission = Permission.MANAGE_REPORTS
    rates = {"POST": _RATE}
    idempotent = True

    @extend_schema(
        request=ReportRunNowIn,
        responses={202: ReportRunOut, **dict.fromkeys((400, 404, 409), ErrorBodySerializer)},
        operation_id="report_schedules_run",
    )
    def post(self, request: TenantRequest, schedule_id: UUID) -> Response:
        """Make the report of the newest period that has ended, now. What is due of the schedule comes all the same."""
        row = self.schedule(schedule_id)
        read = ReportRunNowIn(data=request.data or {})
        read.is_valid(raise_exception=True)
        delivers: bool = read.validated_data["deliver"]
        with self.translating():
            asked = runs.run_now(row, delivers=delivers, actor=request.actor, now=clock.now())
        return self.queued(asked)


class ReportRunsView(ReportView):
    permissions = {"GET": Permission.READ_REPORTS, "POST": Permission.MANAGE_REPORTS}
    rates = {"POST": _RATE}
    idempotent = True
    plural = "runs"

    @extend_schema(
        parameters=_RUNS,
        responses={200: ReportRunsOut, 400: ErrorBodySerializer},
        operation_id="report_runs_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """The reports that were made, newest first."""
        rows = self.runs().newest_first()
        if state := request.query_params.get("state"):
            if state not in ReportState.values:
                raise BadRequest(f"must be one of {', '.join(ReportState.values)}.", field="state")
            rows = rows.filter(state=state)
        if wanted := request.query_params.get("schedule"):
            try:
                rows = rows.filter(schedule_id=UUID(wanted))
            except ValueError as e:
                raise BadRequest("must be the id of a schedule.", field="schedule") from e
        page = page_of(request, rows)
        now = clock.now()
        shown = [shown_run(run, now=now) for run in page.items]
        return Response(page.answer(**{self.plural: shown}))

    @extend_schema(
        request=ReportRunIn,
        responses={202: ReportRunOut, **dict.fromkeys((400, 409), ErrorBodySerializer)},
        operation_id="report_runs_create",
    )
    def post(self, request: TenantRequest) -> Response:
        """Ask for a report of the days between two dates, both included. A worker makes it."""
        read = ReportRunIn(data=request.data)
        read.is_valid(raise_exception=True)
        given: dict[str, Any] = read.validated_data
        with self.translating():
            asked = runs.request(
                template=given["template"],
                formats=given["formats"],
                first=given["from"],
                last=given["to"],
                time_zone=given["timeZone"],
                may=request.principal.permissions,
                actor=request.actor,
                now=clock.now(),
            )
        return self.queued(asked)


class ReportsView(ReportRunsView):
    plural = "reports"

    @extend_schema(parameters=_RUNS, responses={200: ReportsOut, 400: ErrorBodySerializer}, operation_id="reports_list")
    def get(self, request: TenantRequest) -> Response:
        """The reports that were made, newest first: those of `/reports/runs`."""
        return super().get(request)

    @extend_schema(
        request=ReportRunIn,
        responses={202: ReportRunOut, **dict.fromkeys((400, 409), ErrorBodySerializer)},
        operation_id="reports_create",
    )
    def post(self, request: TenantRequest) -> Response:
        """Ask for a report, as at `/reports/runs`."""
        return super().post(request)


class ReportRunView(ReportView):
    permission = Permission.READ_REPORTS

    @extend_schema(responses={200: ReportRunOut, 404: ErrorBodySerializer}, operation_id="report_runs_read")
    def get(self, request: TenantRequest, run_id: UUID) -> Response:
        """One report: how far it is, its files, and who was told of it."""
        return Response(shown_run(self.run(run_id), now=clock.now()))


class ReportRunAgainView(ReportView):
    permission = Permission.MANAGE_REPORTS
    rates = {"POST": _RATE}

    @extend_schema(
        request=None,
        responses={202: ReportRunOut, **dict.fromkeys((404, 409), ErrorBodySerializer)},
        operation_id="report_runs_again",
    )
    def post(self, request: TenantRequest, run_id: UUID) -> Response:
        """Try a report that failed again."""
        self.run(run_id)
        with self.translating():
            return self.queued(runs.again(run_id, now=clock.now()))


class ReportDownloadView(ReportView):
    permission = Permission.READ_REPORTS

    @extend_schema(
        parameters=[OpenApiParameter("format", enum=ReportFormat.values, required=True)],
        responses={
            200: OpenApiResponse(OpenApiTypes.BINARY, description="HTML, PDF or CSV."),
            **dict.fromkeys((400, 404, 409, 410, 503), ErrorBodySerializer),
        },
        operation_id="report_runs_download",
    )
    def get(self, request: TenantRequest, run_id: UUID) -> HttpResponse:
        """A file of a completed report. Recorded."""
        run = self.run(run_id)
        try:
            file, content = runs.download(run, request.query_params.get("format", ""), now=clock.now())
        except runs.NotReady as e:
            raise Conflict(f"{e} Read its state first.", code="not_completed") from e
        except runs.NoSuchFormat as e:
            raise BadRequest(str(e), field="format") from e
        except files.FileGone as e:
            raise Gone(str(e), code="file_gone") from e
        except files.StorageAway as e:
            raise Unavailable(str(e)) from e
        response = attachment(run, file.format, content)
        response["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:"
        return response


def attachment(run: ReportRun, format_: str, content: bytes) -> HttpResponse:
    """A file to be saved: a browser does not show it on our address."""
    response = HttpResponse(content, content_type=rendering.FORMATS[format_][1])
    response["Content-Disposition"] = f'attachment; filename="{runs.file_name(run, format_)}"'
    response["Content-Length"] = str(len(content))
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
