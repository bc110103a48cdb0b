"""Letting in again who was erased and came back, over HTTP: POST /api/v1/customer-returns."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers import returns
from kaireon.api.errors import BadRequest, NotFound
from kaireon.api.serializers import ErrorBodySerializer, StrictSerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class ReturnIn(StrictSerializer):
    customerId = serializers.CharField(max_length=128, required=False, default="", help_text="Or `email`, or both.")
    email = serializers.EmailField(required=False, default="")
    reason = serializers.CharField(max_length=returns.MOST_OF_A_REASON, help_text="How you know it is their own will.")


class ReturnOut(serializers.Serializer[Any]):
    released = serializers.IntegerField(help_text="Keys that no longer stand in the way.")


class CustomerReturnsView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True

    @extend_schema(
        request=ReturnIn,
        responses={200: ReturnOut, **dict.fromkeys((400, 404), ErrorBodySerializer)},
        operation_id="customer_returns",
    )
    def post(self, request: TenantRequest) -> Response:
        """Let an erased person be taken in again, who came back by their own will. Recorded, with the reason."""
        serializer = ReturnIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        if not (given["customerId"].strip() or given["email"]):
            raise BadRequest("is required, or email.", field="customerId")
        try:
            released = returns.let_in(
                customer_id=given["customerId"],
                email=given["email"],
                reason=given["reason"],
                actor=request.actor,
                now=clock.now(),
            )
        except returns.NoReason as refusal:
            raise BadRequest(str(refusal), field="reason") from refusal
        except returns.NobodyToLetIn as refusal:
            raise NotFound(str(refusal)) from refusal
        return Response({"released": released})
