"""The certificate of a finished erasure over HTTP: GET /api/v1/dsar/{id}/certificate."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from audit.tree import checkpoints
from dsar.certifying import certificates, handing_out
from dsar.models import DsarRequest
from dsar.requests.api import AnyFormat
from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class SignatureOut(serializers.Serializer[Any]):
    keyId = serializers.CharField()
    value = serializers.CharField(help_text="Base64 of an Ed25519 signature.")


class CertificateOut(serializers.Serializer[Any]):
    certificate = serializers.JSONField(help_text="What is said: scope, counts, what was retained, times, articles.")
    checkpoint = serializers.CharField(help_text="A signed note (C2SP) that commits to the record.")
    format = serializers.CharField()
    keys = serializers.JSONField(help_text="The log's keys, as in keys.json of an evidence bundle.")
    proof = serializers.JSONField(help_text="The way from the record to the checkpoint.")
    record = serializers.JSONField(help_text="The record `dsar.erasure.completed`, as it is hashed.")
    signature = SignatureOut()


class DsarCertificateView(TenantAPIView):
    permission = Permission.READ_DSAR
    content_negotiation_class = AnyFormat

    def before_transaction(self) -> None:
        """The first look brings the record under a checkpoint, so that nobody has to come back for it."""
        with transaction():
            row = DsarRequest.objects.filter(pk=self.kwargs["request_id"]).first()
            is_wanted = row is not None and not certificates.why_not(row) and not certificates.issued(row)
        if is_wanted:
            try:
                certificates.seal_log()
            except checkpoints.LogContradictsCheckpoint as error:
                raise Conflict(
                    "The log contradicts its last checkpoint: verify it first.", code="log_broken"
                ) from error

    @extend_schema(
        responses={
            (200, "application/json"): CertificateOut,
            (200, "text/html"): OpenApiResponse(OpenApiTypes.STR, description="html: a page to print"),
            **dict.fromkeys((404, 409), ErrorBodySerializer),
        },
        operation_id="dsar_certificate",
        parameters=[OpenApiParameter("format", str, enum=list(handing_out.TYPES))],
    )
    def get(self, request: TenantRequest, request_id: Any) -> HttpResponse:
        """The signed certificate of a finished erasure; docs/evidence.md has its form. Issued once, and recorded."""
        wanted = request.query_params.get("format", "json")
        if wanted not in handing_out.TYPES:
            raise BadRequest(f"must be one of {', '.join(handing_out.TYPES)}.", field="format")
        row = DsarRequest.objects.filter(pk=request_id).first()
        if row is None:
            raise NotFound
        try:
            certificate = certificates.issue(row, now=clock.now())
        except certificates.NoCertificate as refusal:
            raise Conflict(str(refusal), code=refusal.code) from refusal
        return handing_out.file_of(certificate, wanted, via="api")
