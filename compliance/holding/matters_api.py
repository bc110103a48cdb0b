"""Matters over HTTP: /api/v1/admin/matters."""

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from compliance.holding import matters
from compliance.holding.api import HoldingView, open_matter
from compliance.holding.serializers import MatterIn, MatterOut, MattersOut, ReviewIn
from compliance.models import Matter
from kaireon.api.errors import BadRequest, NotFound
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest

STATES = ("open", "closed")


class MattersView(HoldingView):
    permissions = {"GET": Permission.READ_RETENTION, "POST": Permission.MANAGE_RETENTION}
    entity_type = "Matter"
    idempotent = True

    @extend_schema(
        parameters=[
            OpenApiParameter("state", enum=STATES),
            OpenApiParameter("page", int),
            OpenApiParameter("limit", int, description="At most 100."),
        ],
        responses=MattersOut,
        operation_id="matters_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """The matters, newest first, open and closed."""
        rows = Matter.objects.newest_first()
        if state := request.query_params.get("state"):
            if state not in STATES:
                raise BadRequest(f"must be one of {', '.join(STATES)}.", field="state")
            rows = rows.filter(closed_at__isnull=state == "open")
        page = page_of(request, rows)
        shown = MatterOut(page.items, many=True).data
        return Response(page.answer(matters=shown))

    @extend_schema(request=MatterIn, responses={201: MatterOut, 400: ErrorBodySerializer}, operation_id="matters_open")
    def post(self, request: TenantRequest) -> Response:
        """Open a matter: what holds are placed for."""
        serializer = MatterIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(MatterOut(open_matter(serializer.validated_data, request)).data, status=201)


class MatterView(HoldingView):
    permissions = {"GET": Permission.READ_RETENTION, "PATCH": Permission.MANAGE_RETENTION}
    entity_type = "Matter"

    @extend_schema(responses={200: MatterOut, 404: ErrorBodySerializer}, operation_id="matters_read")
    def get(self, request: TenantRequest, matter_id: UUID) -> Response:
        """One matter."""
        return Response(MatterOut(_find(matter_id)).data)

    @extend_schema(
        request=ReviewIn,
        responses={200: MatterOut, **dict.fromkeys((400, 404, 409), ErrorBodySerializer)},
        operation_id="matters_review",
    )
    def patch(self, request: TenantRequest, matter_id: UUID) -> Response:
        """Say when somebody is asked next whether the matter is still needed."""
        matter = _find(matter_id)
        serializer = ReviewIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        with self.translating():
            matters.set_review(matter=matter, review_on=serializer.validated_data["reviewOn"], now=clock.now())
        return Response(MatterOut(_find(matter_id)).data)


class MatterCloseView(HoldingView):
    permission = Permission.MANAGE_RETENTION
    entity_type = "Matter"
    idempotent = True

    @extend_schema(
        request=None,
        responses={200: MatterOut, **dict.fromkeys((404, 409), ErrorBodySerializer)},
        operation_id="matters_close",
    )
    def post(self, request: TenantRequest, matter_id: UUID) -> Response:
        """Close a matter for which nothing is held any more."""
        matter = _find(matter_id)
        with self.translating():
            matters.close_matter(matter=matter, now=clock.now())
        return Response(MatterOut(_find(matter_id)).data)


def _find(matter_id: UUID) -> Matter:
    matter = Matter.objects.filter(pk=matter_id).first()
    if matter is None:
        raise NotFound
    return matter
