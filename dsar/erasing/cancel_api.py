"""Cancelling an erasure that nobody began yet: POST /api/v1/dsar/{id}/cancel."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from dsar.erasing import cancelling
from dsar.models import DsarRequest, Status
from kaireon.api.errors import Conflict, NotFound
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class DsarCancelledOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    state = serializers.CharField()
    outcome = serializers.CharField()


class DsarCancelView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True

    @extend_schema(
        request=None,
        responses={200: DsarCancelledOut, 404: ErrorBodySerializer, 409: ErrorBodySerializer},
        operation_id="dsar_cancel",
    )
    def post(self, request: TenantRequest, request_id: UUID) -> Response:
        """End an erasure that waits for a second person, or in its window. Nothing is erased."""
        row = DsarRequest.objects.filter(pk=request_id).first()
        if row is None:
            raise NotFound
        try:
            cancelling.cancel(row, actor=request.actor, now=clock.now())
        except cancelling.NotCancellable as error:
            advice = "Only an erasure that waits for a second person, or in its window, can be cancelled."
            raise Conflict(advice, code="not_cancellable") from error
        except cancelling.TooLateToCancel as error:
            raise Conflict("The window in which it could be cancelled is over.", code="too_late_to_cancel") from error
        row.refresh_from_db()
        said = {"status": row.status, "state": row.state, "outcome": row.outcome}
        return Response({"requestId": str(row.pk), **said})
