"""Laws over HTTP: which bind the tenant, and where its policies fall short of them."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from compliance.retention import binding, laws
from compliance.retention.api import StrictBoolean
from compliance.retention.conflicts import ConflictKind, conflicts
from compliance.retention.laws import Law, Period
from kaireon.api.errors import BadRequest
from kaireon.api.serializers import StrictSerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class PeriodOut(serializers.Serializer[Any]):
    dataClasses = serializers.ListField(child=serializers.CharField(), source="data_classes")
    days = serializers.IntegerField()
    citation = serializers.CharField()
    says = serializers.CharField()


class LawOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    template = serializers.BooleanField(help_text="A period that many laws share: look yours up.")
    starts = serializers.DateTimeField(allow_null=True, help_text="Nothing of it counts before.")
    binds = serializers.BooleanField()
    bindsUntil = serializers.DateTimeField(allow_null=True, help_text="Switched off: to the end of the cooling-off.")
    floors = PeriodOut(many=True, help_text="Kept at least so long.")
    ceilings = PeriodOut(many=True, help_text="Kept at most so long.")


class LawIn(StrictSerializer):
    name = serializers.CharField(max_length=64)
    binds = StrictBoolean()


class ConflictOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=[str(kind) for kind in ConflictKind])
    dataClass = serializers.CharField(source="data_class")
    law = serializers.CharField(source="bound.law")
    lawDays = serializers.IntegerField(source="bound.days")
    citation = serializers.CharField(source="bound.citation")
    starts = serializers.DateTimeField(allow_null=True, help_text="From when on, for a law that is still to come.")
    days = serializers.IntegerField(help_text="What the policy says; of two laws, what the floor says.")
    otherLaw = serializers.CharField(source="other.law", default=None, allow_null=True)
    otherDays = serializers.IntegerField(source="other.days", default=None, allow_null=True)


class LawsView(TenantAPIView):
    permissions = {"GET": Permission.READ_RETENTION, "POST": Permission.MANAGE_RETENTION}
    idempotent = True

    @extend_schema(responses=LawOut(many=True), operation_id="retention_laws_list")
    def get(self, request: TenantRequest) -> Response:
        """The law packs there are, and which of them bind this tenant."""
        return Response(all_laws())

    @extend_schema(request=LawIn, responses=LawOut(many=True), operation_id="retention_laws_switch")
    def post(self, request: TenantRequest) -> Response:
        """Say whether a law binds this tenant: at once when it does, after the cooling-off when it no longer does."""
        serializer = LawIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        try:
            binding.switch(name=given["name"], on=given["binds"], actor=request.actor, now=clock.now())
        except binding.UnknownLaw as e:
            raise BadRequest(str(e), field="name") from e
        return Response(all_laws())


class ConflictsView(TenantAPIView):
    permission = Permission.READ_RETENTION

    @extend_schema(responses=ConflictOut(many=True), operation_id="retention_configs_conflicts")
    def get(self, request: TenantRequest) -> Response:
        """Where policies and laws do not fit each other, laws to come included."""
        return Response(ConflictOut(conflicts(clock.now()), many=True).data)


def all_laws() -> list[dict[str, Any]]:
    bound_by = binding.binding(clock.now())
    return [_shown(law, bound_by) for law in laws.LAWS]


def _shown(law: Law, bound_by: binding.Binding) -> dict[str, Any]:
    until = bound_by.ends.get(law.name)
    return {
        "name": law.name,
        "title": law.title,
        "template": law.template,
        "starts": clock.rfc3339(law.starts) if law.starts else None,
        "binds": law.name in bound_by.names,
        "bindsUntil": clock.rfc3339(until) if until else None,
        "floors": [_period(period) for period in law.floors],
        "ceilings": [_period(period) for period in law.ceilings],
    }


def _period(period: Period) -> dict[str, Any]:
    return dict(PeriodOut(period).data)
