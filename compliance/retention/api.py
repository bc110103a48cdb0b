"""Retention policies over HTTP: GET and POST /api/v1/admin/retention-configs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from compliance.holding import class_releases
from compliance.models import MAX_DAYS, MIN_DAYS, Mode, RetentionPolicy
from compliance.refusing import RefusingView
from compliance.retention import governed, policies, refusals
from compliance.retention.in_force import shown
from customers.catalogue import DATA_CLASSES
from kaireon.api.errors import BadRequest, Conflict, Forbidden, NotFound
from kaireon.api.serializers import StrictSerializer
from kaireon.approvals.serializers import ApprovalOut, AskedOut
from kaireon.approvals.services import RequesterMayNot
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest

# The longest number of days that a record of a refusal repeats.
MOST_REPEATED = 1_000_000


class WholeNumber(serializers.IntegerField):
    """A JSON integer and nothing that could be taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError(f"must be a whole number from {MIN_DAYS} to {MAX_DAYS}.")
        return data


class StrictBoolean(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false.")
        return data


class RetentionConfigIn(StrictSerializer):
    dataClass = serializers.CharField(max_length=64)
    retentionDays = WholeNumber(help_text=f"{MIN_DAYS} to {MAX_DAYS}.")
    legalHold = StrictBoolean(
        required=False,
        help_text="true holds the class at once, false releases it, where the tenant demands it by two people.",
    )
    holdReason = serializers.CharField(required=False, allow_blank=True, max_length=500)
    mode = serializers.ChoiceField(
        choices=Mode.choices,
        required=False,
        help_text="governance: loosened with a reason and a second person. compliance: only lengthened, never left.",
    )
    anchor = serializers.CharField(
        max_length=32,
        required=False,
        help_text="What days are counted from: `clock`, or a column that the catalogue names for the class. Another one"
        " waits for the cooling-off, as a shortening does.",
    )
    reason = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=500,
        help_text="Why so long. Kept with the decision; name no customer.",
    )
    effectiveFrom = serializers.DateTimeField(
        required=False, help_text="Not before now. A shortening waits for the cooling-off whatever it says."
    )


class FloorOut(serializers.Serializer[Any]):
    law = serializers.CharField()
    days = serializers.IntegerField()
    citation = serializers.CharField()


class RetentionConfigOut(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="policy.id")
    dataClass = serializers.CharField(source="policy.data_class")
    retentionDays = serializers.IntegerField(source="decided_days", help_text="As it was decided last.")
    legalHold = serializers.BooleanField(source="policy.legal_hold")
    holdReason = serializers.CharField(source="policy.hold_reason")
    heldSince = serializers.DateTimeField(source="policy.held_since", allow_null=True)
    version = serializers.IntegerField(source="policy.version")
    updatedBy = serializers.CharField(source="policy.updated_by")
    createdAt = serializers.DateTimeField(source="policy.created_at")
    updatedAt = serializers.DateTimeField(source="policy.updated_at")
    mode = serializers.ChoiceField(choices=Mode.choices)
    effectiveDays = serializers.IntegerField(
        source="effective_days",
        help_text="What counts now: not `retentionDays` while that waits or where a law asks for more.",
    )
    floor = FloorOut(allow_null=True, help_text="The least that a law asks for.")
    anchor = serializers.CharField(help_text="What days are counted from now; rows without it keep to their clock.")
    reason = serializers.CharField(help_text="Why so long, as it was given with the decision that counts.")
    pendingDays = serializers.IntegerField(
        source="pending_days", allow_null=True, help_text="What was decided and does not count yet."
    )
    pendingAnchor = serializers.CharField(source="pending_anchor", allow_null=True)
    pendingFrom = serializers.DateTimeField(source="pending_from", allow_null=True, help_text="When it will count.")


class WaitsOut(AskedOut):
    policy = RetentionConfigOut(
        required=False, help_text="Where only the release of the hold waits: what was decided besides counts."
    )
    releaseApproval = ApprovalOut(required=False, help_text="Where both wait, each for a yes of its own.")


_WAITS = OpenApiResponse(
    WaitsOut,
    description="The policy is in governance mode, or the tenant demands a second person to release a hold.",
)


class PoliciesView(RefusingView):
    refused_verb = policies.REFUSED_VERB
    entity_type = "RetentionPolicy"

    def refused_id(self) -> str:
        """The class it was about; a text that names none is not repeated."""
        named = self.given().get("dataClass")
        return named if isinstance(named, str) and named in DATA_CLASSES else super().refused_id()

    def refused_more(self) -> dict[str, Any]:
        days = self.given().get("retentionDays")
        # A number that is none, or beyond all measure, is not repeated either.
        return {"retentionDays": days} if type(days) is int and abs(days) <= MOST_REPEATED else {}


class RetentionConfigsView(PoliciesView):
    permissions = {"GET": Permission.READ_RETENTION, "POST": Permission.MANAGE_RETENTION}
    idempotent = True

    @extend_schema(responses=RetentionConfigOut(many=True), operation_id="retention_configs_list")
    def get(self, request: TenantRequest) -> Response:
        """The tenant's policies by class. A class that is not here has none: its rows are kept."""
        rows = shown(RetentionPolicy.objects.by_class(), now=clock.now())
        return Response(RetentionConfigOut(rows, many=True).data)

    @extend_schema(
        request=RetentionConfigIn,
        responses={200: RetentionConfigOut, 202: _WAITS},
        operation_id="retention_configs_upsert",
    )
    def post(self, request: TenantRequest) -> Response:
        """Set a class's retention, and hold or release it. Without `legalHold` a hold stays as it is.

        Fewer days than count now wait for the cooling-off: `effectiveDays` says what counts until then, `retentionDays`
        and `pendingFrom` what was decided. More days, and the first policy of a class, count at once.
        """
        serializer = RetentionConfigIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = dict(serializer.validated_data)
        now = clock.now()
        waits = self._ask_release(request, given, now)
        try:
            policy = policies.upsert_policy(
                data_class=given["dataClass"],
                retention_days=given["retentionDays"],
                legal_hold=given.get("legalHold"),
                hold_reason=given.get("holdReason"),
                anchor=given.get("anchor"),
                mode=_mode(given),
                reason=given.get("reason", ""),
                effective_from=given.get("effectiveFrom"),
                actor=request.actor,
                now=now,
            )
        except policies.NeedsSecondPerson:
            return self._ask(request, given, now, waits)
        except tuple(refusals.OF_FIELD) as e:
            raise bad_request(e) from e
        except policies.ClockMovedBack as e:
            raise Conflict(f"Nothing was done: {e}", code="clock_moved_back") from e
        row = RetentionConfigOut(shown([policy], now=now)[0]).data
        return Response({"approval": waits, "policy": row}, status=202) if waits else Response(row)

    def _ask_release(self, request: TenantRequest, given: dict[str, Any], now: datetime) -> dict[str, Any]:
        """The request that waits, where the hold is not released by one person: it then stays as it is."""
        if given.get("legalHold") is not False or not class_releases.is_to_be_asked(given["dataClass"]):
            return {}
        del given["legalHold"]
        try:
            asked = class_releases.ask(data_class=given["dataClass"], actor=request.actor, now=now)
        except RequesterMayNot as e:
            raise Forbidden from e
        return dict(ApprovalOut(asked).data)

    def _ask(self, request: TenantRequest, given: dict[str, Any], now: datetime, release: dict[str, Any]) -> Response:
        """Nothing of the policy is changed but a hold."""
        if "legalHold" in given:
            policies.upsert_policy(
                data_class=given["dataClass"],
                retention_days=None,
                legal_hold=given["legalHold"],
                hold_reason=given.get("holdReason"),
                actor=request.actor,
                now=now,
            )
        try:
            asked = governed.ask(
                data_class=given["dataClass"],
                retention_days=given["retentionDays"],
                anchor=given.get("anchor"),
                mode=_mode(given),
                reason=given.get("reason", ""),
                actor=request.actor,
                now=now,
            )
        except RequesterMayNot as e:
            raise Forbidden from e
        also = {"releaseApproval": release} if release else {}
        return Response({"approval": ApprovalOut(asked).data, **also}, status=202)


def bad_request(error: Exception) -> BadRequest:
    """What is answered to a field that is refused: one of `refusals.OF_FIELD`."""
    field, code = refusals.OF_FIELD[type(error)]
    return BadRequest(str(error), field=field, code=code)


def _mode(given: dict[str, Any]) -> Mode | None:
    return Mode(given["mode"]) if "mode" in given else None


class PendingView(PoliciesView):
    permission = Permission.MANAGE_RETENTION

    @extend_schema(responses={200: RetentionConfigOut}, operation_id="retention_configs_take_back")
    def delete(self, request: TenantRequest, policy_id: UUID) -> Response:
        """Take back what was decided about a policy and does not count yet."""
        now = clock.now()
        found = RetentionPolicy.objects.filter(pk=policy_id).first()
        if found is None:
            raise NotFound
        try:
            policy = policies.take_back(data_class=found.data_class, actor=request.actor, now=now)
        except policies.NothingWaits as e:
            raise Conflict("Nothing waits to take effect for this class.", code="nothing_waits") from e
        except policies.ClockMovedBack as e:
            raise Conflict(f"Nothing was done: {e}", code="clock_moved_back") from e
        return Response(RetentionConfigOut(shown([policy], now=now)[0]).data)
