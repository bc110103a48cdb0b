"""The figures of a period over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from dsar.reporting import telling
from dsar.reporting.figures import BadPeriod, report
from dsar.reporting.period import period
from dsar.reporting.report_serializers import DsarReportOut
from dsar.requests import today as days
from kaireon.api.errors import BadRequest
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class DsarReportView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATE, description="The first day; default 1 January of `to`'s year."),
            OpenApiParameter("to", OpenApiTypes.DATE, description="The last day, included; default today."),
        ],
        responses={200: DsarReportOut, 400: ErrorBodySerializer},
        operation_id="dsar_report",
    )
    def get(self, request: TenantRequest) -> Response:
        """How many requests came in a period, how they ended, whether in time and after how many days."""
        asked = request.query_params
        try:
            since, until = period(asked.get("from", ""), asked.get("to", ""), today=days.today())
            found = report(since=since, until=until, zone=days.zone(), now=clock.now())
        except BadPeriod as error:
            raise BadRequest(str(error)) from error
        return Response(telling.wire(found))
