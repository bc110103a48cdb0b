"""Proofs over HTTP: that a record is in the log, and that the log only grew. Shapes of docs/evidence.md."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

import audit
from audit.api import AuditView, not_found
from audit.models import AuditRecord, Checkpoint, SigningKey
from audit.tree import checkpoints, proofs, signing
from audit.witness import witnesses as witness
from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.paging import whole_number
from kaireon.tenancy.views import TenantRequest

MOST = 10**18


class NoteRenderer(BaseRenderer):
    """The signed note by itself, for whoever asks for text/plain."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> str:
        return str(data["checkpoint"] if "checkpoint" in data else data["error"]["message"] + "\n")


class ProofOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    leafIndex = serializers.IntegerField(help_text="From 0: the record's seq less one.")
    treeSize = serializers.IntegerField()
    leafHash = serializers.CharField()
    rootHash = serializers.CharField()
    hashes = serializers.ListField(child=serializers.CharField(), help_text="From the leaf upwards.")


class ConsistencyOut(serializers.Serializer[Any]):
    first = serializers.IntegerField()
    second = serializers.IntegerField()
    firstRoot = serializers.CharField()
    secondRoot = serializers.CharField()
    hashes = serializers.ListField(child=serializers.CharField())


class CheckpointOut(serializers.Serializer[Any]):
    checkpoint = serializers.CharField(help_text="A signed note (C2SP), with the lines of witnesses.")
    treeSize = serializers.IntegerField()
    rootHash = serializers.CharField()
    keyId = serializers.CharField()
    publicKey = serializers.CharField(help_text="As a verifier key: name, key id, base64.")
    signedAt = serializers.DateTimeField()


class _CommittedView(AuditView):
    """Says nothing beyond the newest checkpoint, so what still waits in the inbox makes no difference to it."""

    def before_transaction(self) -> None:
        pass


class AuditProofView(_CommittedView):
    @extend_schema(responses=ProofOut, operation_id="audit_logs_proof", parameters=[OpenApiParameter("size", int)])
    def get(self, request: TenantRequest, record_id: Any) -> Response:
        """That a record is in the tree of `size` records; by default of the newest checkpoint."""
        row = AuditRecord.objects.filter(pk=record_id).first()
        if row is None:
            raise not_found(request)
        newest = checkpoints.newest(request.tenant_id)
        if newest is None or newest.tree_size < row.seq:
            raise Conflict(
                "The record is not in a checkpoint yet: ask again in a minute, or after manage.py audit_checkpoint."
            )
        size = _size(request, "size", default=newest.tree_size, least=row.seq, newest=newest)
        _recorded(request, "audit_log.prove", str(row.pk), {"size": size})
        return Response(proofs.inclusion(request.tenant_id, row, size))


class AuditConsistencyView(_CommittedView):
    @extend_schema(
        responses=ConsistencyOut,
        operation_id="audit_logs_consistency",
        parameters=[OpenApiParameter("first", int, required=True), OpenApiParameter("second", int)],
    )
    def get(self, request: TenantRequest) -> Response:
        """That the log of `first` records begins the log of `second`; by default that of the newest checkpoint."""
        newest = checkpoints.newest(request.tenant_id)
        if newest is None:
            raise NotFound(_NONE_YET)
        if "first" not in request.query_params:
            raise BadRequest("is required: the size of the earlier tree.", field="first")
        second = _size(request, "second", default=newest.tree_size, least=0, newest=newest)
        first = _size(request, "first", default=0, least=0, newest=newest)
        if first > second:
            raise BadRequest(f"must not be above second, which is {second}.", field="first")
        _recorded(request, "audit_log.prove", request.tenant_id, {"first": first, "second": second})
        return Response(proofs.consistency(request.tenant_id, first, second))


class AuditCheckpointView(_CommittedView):
    renderer_classes = [JSONRenderer, NoteRenderer]

    @extend_schema(
        responses={(200, "application/json"): CheckpointOut, (200, "text/plain"): OpenApiTypes.STR},
        operation_id="audit_logs_checkpoint",
    )
    def get(self, request: TenantRequest) -> Response:
        """The newest signed checkpoint, with the lines of its witnesses; the bare note as text/plain."""
        newest = checkpoints.newest(request.tenant_id)
        if newest is None:
            raise NotFound(_NONE_YET)
        key = signing.public_key(SigningKey.objects.get(tenant_id=newest.tenant_id, version=newest.key_version))
        _recorded(request, "audit_log.read", request.tenant_id, {"checkpoint": newest.tree_size})
        return Response(
            {
                "checkpoint": witness.cosigned(newest),
                "treeSize": newest.tree_size,
                "rootHash": newest.root_hash,
                "keyId": key.key_id.hex(),
                "publicKey": str(key),
                "signedAt": newest.signed_at,
            }
        )


_NONE_YET = "The log has no checkpoint yet: its first one comes within a minute of its first record."


def _size(request: TenantRequest, name: str, *, default: int, least: int, newest: Checkpoint) -> int:
    size = whole_number(request, name, default=default, least=least, most=MOST)
    if size > newest.tree_size:
        raise BadRequest(f"must not be above {newest.tree_size}, the size of the newest checkpoint.", field=name)
    return size


def _recorded(request: TenantRequest, action: str, entity_id: str, changes: dict[str, object]) -> None:
    audit.record(action=action, entity_type="AuditLog", entity_id=entity_id, changes=changes)
