"""POST /api/v1/cron/<name>: an outside scheduler starts a job. No tenant's credentials work here.

POST /api/cron/tick is the old way, and starts the job of that name alone.
"""

import hmac
import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cron import runner
from cron.jobs import UnknownJob
from cron.models import Trigger
from kaireon.api.errors import NotFound, Unauthenticated
from kaireon.tenancy import auth_events

logger = logging.getLogger("kaireon.cron")

REMEDY = "Send Authorization: Bearer with the cron secret."
TICK_REMEDY = (
    "Send the cron token, or the cron secret while there is none, in x-cron-token or as Authorization: Bearer."
)


class JobAnswer(serializers.Serializer[Any]):
    """What every job answers; each adds its own fields."""

    ok = serializers.BooleanField()
    skipped = serializers.CharField(required=False, help_text='"already running": another run is under way.')
    error = serializers.CharField(required=False)
    tenantsScanned = serializers.IntegerField(required=False)
    totalBlobsAttempted = serializers.IntegerField(required=False, help_text="Of dsar-purge.")
    totalExported = serializers.IntegerField(required=False, help_text="Of export-interactions.")
    tenants = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Of export-interactions: {tenantId, tenantName, exported, filePath, error?}.",
    )
    perTenant = serializers.ListField(child=serializers.DictField(), required=False)


class CronView(APIView):
    """Authorization: Bearer $CRON_SECRET, and nothing else."""

    authentication_classes: list[Any] = []

    @extend_schema(
        request=None,
        responses={
            200: JobAnswer,
            401: OpenApiResponse(description="Wrong secret, or CRON_SECRET is not set."),
            500: OpenApiResponse(JobAnswer, description="Something failed; everything else was done."),
        },
        operation_id="cron_run",
        auth=[],
    )
    def post(self, request: Request, name: str) -> Response:
        """Run a job now and wait for it, by `Authorization: Bearer $CRON_SECRET`. An overlap answers `skipped`."""
        require_secret(request)
        try:
            ran = runner.run_job(name, trigger=Trigger.HTTP)
        except UnknownJob as e:
            raise NotFound(f"There is no job named {name}.") from e
        return Response(ran.body, status=200 if ran.ok else 500)


class TickView(APIView):
    """x-cron-token, x-cron-secret or Authorization: Bearer, with CRON_TOKEN, or CRON_SECRET while that is unset."""

    authentication_classes: list[Any] = []

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        """Do what is due in every tenant and wait for it. One tenant's failure is told in a 500 after the others."""
        require_token(request)
        ran = runner.run_job("tick", trigger=Trigger.HTTP)
        return Response(ran.body, status=200 if ran.ok else 500)


def require_secret(request: Request) -> None:
    """Raises Unauthenticated unless the request carries CRON_SECRET as its bearer token. Unset, nothing is right."""
    _require(request, settings.CRON_SECRET, unset="CRON_SECRET is not set", given=[_bearer(request)], remedy=REMEDY)


def require_token(request: Request) -> None:
    """Raises Unauthenticated unless one of the tick's three headers has its secret. Unset, nothing is right."""
    given = [request.META.get(name, "") for name in ("HTTP_X_CRON_TOKEN", "HTTP_X_CRON_SECRET")]
    expected = settings.CRON_TOKEN or settings.CRON_SECRET
    unset = "CRON_TOKEN and CRON_SECRET are not set"
    _require(request, expected, unset=unset, given=[*given, _bearer(request)], remedy=TICK_REMEDY)


def _require(request: Request, expected: str, *, unset: str, given: Sequence[str], remedy: str) -> None:
    auth_events.attempted()
    if not expected:
        logger.error("cron_misconfigured", extra={"reason": unset})
        raise _refuse(request, "cron_secret_unset", remedy)
    right = [hmac.compare_digest(_bytes(one.strip()), expected.encode()) for one in given]
    if any(right):
        auth_events.service_called("cron", accepted=True)
        return
    raise _refuse(request, "cron_secret", remedy)


def _bearer(request: Request) -> str:
    scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return given if scheme.lower() == "bearer" else ""


def _bytes(header: str) -> bytes:
    """What was on the wire: WSGI hands headers over as Latin-1."""
    return header.encode("latin-1", "backslashreplace")


def _refuse(request: Request, reason: str, remedy: str) -> Unauthenticated:
    auth_events.service_called("cron", accepted=False)
    auth_events.failed(reason, request._request)
    return Unauthenticated(remedy)
