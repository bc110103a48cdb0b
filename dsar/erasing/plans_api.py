"""The plan of an erasure over HTTP: GET /api/v1/dsar/{id}/plan."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from dsar.erasing import plans
from dsar.erasing.erased import Action
from dsar.models import DsarRequest, Subject
from kaireon.api.errors import Conflict, NotFound
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.patience import TookTooLong, at_most
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class ErasurePlanItemOut(serializers.Serializer[Any]):
    entity = serializers.CharField()
    dataClass = serializers.CharField()
    action = serializers.CharField(help_text=f"One of {', '.join(Action)}.")
    count = serializers.IntegerField()
    ground = serializers.CharField(allow_null=True, help_text="Why it stays.")
    until = serializers.CharField(
        allow_null=True, help_text="When the ground ends or is looked at again, where that is known."
    )


class ErasurePlanTotalsOut(serializers.Serializer[Any]):
    erase = serializers.IntegerField()
    anonymise = serializers.IntegerField()
    shred = serializers.IntegerField()
    retain = serializers.IntegerField()


class ErasurePlanOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    madeAt = serializers.DateTimeField()
    frozen = serializers.BooleanField(help_text="Whether the plan is kept; otherwise it is how it would be now.")
    subject = serializers.CharField(help_text=f"One of {', '.join(Subject.values)}.")
    digest = serializers.CharField(help_text="SHA-256 over all that the plan says: what a second person agrees to.")
    items = ErasurePlanItemOut(many=True)
    totals = ErasurePlanTotalsOut()
    approvalId = serializers.UUIDField(allow_null=True)
    approvedAt = serializers.DateTimeField(allow_null=True)
    cancelUntil = serializers.DateTimeField(allow_null=True)


class ErasurePlanView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(
        responses={200: ErasurePlanOut, 404: ErrorBodySerializer, 409: ErrorBodySerializer},
        operation_id="dsar_plan",
    )
    def get(self, request: TenantRequest, request_id: UUID) -> Response:
        """What an erasure would erase, anonymise, shred and retain, and why."""
        row = DsarRequest.objects.filter(pk=request_id).first()
        if row is None:
            raise NotFound
        try:
            with at_most(plans.SECONDS):
                return Response(plans.wire(plans.look(row, now=clock.now())))
        except plans.NotAnErasure as error:
            raise Conflict("Only a request for erasure has a plan.", code="not_an_erasure") from error
        except plans.NoPlan as error:
            raise Conflict("The erasure is done and its plan was not kept.", code="plan_gone") from error
        except TookTooLong as error:
            raise Conflict(plans.TOO_LARGE, code="plan_too_large") from error
