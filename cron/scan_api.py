"""GET or POST security-behavioral-scan: the scheduler, and nobody else, has the logs scanned now.

Its two errors have the bodies that schedulers of the kind know, and not the product's own shape.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cron import detection, runner
from cron.models import Trigger
from kaireon.tenancy import internal_services

F = TypeVar("F", bound=Callable[..., Any])

UNAUTHORIZED = {"error": "unauthorized"}
FAILED = {"error": "scan_failed"}


class ScanAnswer(serializers.Serializer[Any]):
    newAccountFirstWorkflowEvents = serializers.IntegerField(help_text="First workflows told by this scan.")
    durationMs = serializers.IntegerField()
    ok = serializers.BooleanField()
    skipped = serializers.CharField(required=False, help_text='"already running": another scan is under way.')
    eventsBeforeJoining = serializers.IntegerField(required=False)
    signals = serializers.IntegerField(required=False, help_text="Of every kind, told by this scan.")
    pages = serializers.IntegerField(required=False, help_text="Those of them that are to wake somebody.")
    gapsLeft = serializers.IntegerField(required=False, help_text="Spans that the next scan has to look at.")


class ScanError(serializers.Serializer[Any]):
    error = serializers.CharField()


def _described(operation: str) -> Callable[[F], F]:
    key = OpenApiParameter(
        name="X-Service-Key", location=OpenApiParameter.HEADER, required=True, description="SCHEDULER_SERVICE_API_KEY"
    )
    described: Callable[[F], F] = extend_schema(
        request=None,
        parameters=[key],
        responses={
            200: ScanAnswer,
            401: OpenApiResponse(ScanError, description='`{"error":"unauthorized"}`: not the scheduler\'s key.'),
            500: OpenApiResponse(ScanError, description='`{"error":"scan_failed"}`: see the log, and the run.'),
        },
        operation_id=operation,
        auth=[],
    )
    return described


class SecurityScanView(APIView):
    """X-Service-Key of the internal service `scheduler`, and nothing else."""

    authentication_classes: list[Any] = []
    # Without HEAD: it must not start anything.
    http_method_names = ["get", "post", "options"]

    @_described("security_scan")
    def get(self, request: Request) -> Response:
        """Scan the audit logs now and wait for it."""
        return self._answer(request)

    @_described("security_scan_post")
    def post(self, request: Request) -> Response:
        """The same."""
        return self._answer(request)

    def _answer(self, request: Request) -> Response:
        started = time.monotonic()
        try:
            internal_services.require(request._request, call=detection.NAME)
        except internal_services.Refused:
            return Response(UNAUTHORIZED, status=401, headers={"WWW-Authenticate": "X-Service-Key"})
        except Exception as error:  # noqa: BLE001  whatever it is, the scan did not happen, and that must be heard
            detection.say_failed(type(error).__name__)
            return Response(FAILED, status=500)
        try:
            ran = runner.run_job(detection.NAME, trigger=Trigger.HTTP)
        except Exception:  # noqa: BLE001  the run has said so itself, as `scan_error`
            return Response(FAILED, status=500)
        if not ran.ok:
            return Response(FAILED, status=500)
        body = {name: value for name, value in ran.body.items() if name not in ("perTenant", "scanningSince")}
        duration = round((time.monotonic() - started) * 1000)
        return Response({"newAccountFirstWorkflowEvents": 0, **body, "durationMs": duration})


class SecurityScanAtOldAddress(SecurityScanView):
    """The same outside /api/v1, where schedulers know it; described there alone."""

    schema = None
