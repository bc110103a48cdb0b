"""Recipients over HTTP: who they are, and what each was told of a request."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from dsar.models import DsarRequest, Recipient, RecipientNotice
from dsar.recipients import notices, recipients
from dsar.recipients.notices_serializers import (
    NotToldIn,
    RecipientIn,
    RecipientNoticeOut,
    RecipientNoticesOut,
    RecipientOut,
    RecipientsOut,
)
from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

_FIELDS = {"knows_by": "knowsBy"}


class RecipientsView(TenantAPIView):
    permissions = {"GET": Permission.READ_DSAR, "POST": Permission.MANAGE_DSAR}
    idempotent = True

    @extend_schema(responses=RecipientsOut, operation_id="recipients_list")
    def get(self, request: TenantRequest) -> Response:
        """Who was given personal data, and how each is told of what becomes of it."""
        rows = Recipient.objects.select_related("destination").order_by("name")
        return Response({"recipients": [shown(row) for row in rows]})

    @extend_schema(
        request=RecipientIn, responses={200: RecipientOut, 400: ErrorBodySerializer}, operation_id="recipients_save"
    )
    def post(self, request: TenantRequest) -> Response:
        """Make or change the recipient of this name."""
        read = RecipientIn(data=request.data)
        read.is_valid(raise_exception=True)
        given = dict(read.validated_data)
        try:
            row = recipients.save(knows_by=given.pop("knowsBy"), now=clock.now(), **given)
        except recipients.RecipientRefused as error:
            raise BadRequest(str(error), field=_FIELDS.get(error.field, error.field)) from error
        return Response(shown(row))


class DsarNoticesView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(responses={200: RecipientNoticesOut, 404: ErrorBodySerializer}, operation_id="dsar_notices")
    def get(self, request: TenantRequest, request_id: Any) -> Response:
        """Which recipients were told of the request, and which not and why."""
        row = _found(request_id)
        found = RecipientNotice.objects.of(row).select_related("recipient")
        return Response({"requestId": str(row.pk), "notices": [told(notice) for notice in found]})


class DsarNotToldView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True

    @extend_schema(
        request=NotToldIn,
        responses={200: RecipientNoticeOut, **dict.fromkeys((400, 404, 409), ErrorBodySerializer)},
        operation_id="dsar_notice_not_told",
    )
    def post(self, request: TenantRequest, request_id: Any, notice_id: Any) -> Response:
        """Write down that a recipient is not told, because that is impossible or too much effort."""
        read = NotToldIn(data=request.data)
        read.is_valid(raise_exception=True)
        row = _found(request_id)
        notice = RecipientNotice.objects.of(row).filter(pk=notice_id).first()
        if notice is None:
            raise NotFound
        try:
            return Response(told(notices.mark_not_told(notice, now=clock.now(), **read.validated_data)))
        except notices.NoticeSettled as error:
            raise Conflict("The recipient is told, or it was written down why not.", code="notice_settled") from error


def shown(row: Recipient) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "destination": row.destination.name,
        "knowsBy": row.knows_by,
        "sections": row.sections,
        "enabled": row.is_enabled,
    }


def told(notice: RecipientNotice) -> dict[str, Any]:
    return {
        "id": str(notice.pk),
        "recipient": notice.recipient.name,
        "kind": notice.kind,
        "article": notice.article or None,
        "sections": notice.sections,
        "state": notice.state,
        "error": notice.error or None,
        "effort": notice.effort or None,
        "reason": notice.reason or None,
        "madeAt": clock.rfc3339(notice.made_at),
        "settledAt": clock.rfc3339(notice.settled_at) if notice.settled_at else None,
    }


def _found(request_id: Any) -> DsarRequest:
    row = DsarRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFound
    return row
