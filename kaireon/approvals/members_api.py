"""Members of the tenant over HTTP. Where the tenant demands a second person, a change waits for one."""

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from kaireon.api.errors import Conflict, Forbidden, NotFound
from kaireon.api.paging import page_of
from kaireon.approvals import members as approved_members
from kaireon.approvals.models import ApprovalRequest
from kaireon.approvals.serializers import ApprovalOut, AskedOut, MemberIn, MemberOut, MembersOut, RoleIn
from kaireon.lib import clock
from kaireon.tenancy import members
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission, Role
from kaireon.tenancy.views import TenantAPIView, TenantRequest

_WAITS = OpenApiResponse(AskedOut, description="The tenant demands a second person: it waits for their yes.")
_LAST_ADMIN = OpenApiResponse(description="`last_admin`: make somebody else an admin first.")


class MembersView(TenantAPIView):
    permission = Permission.MANAGE_MEMBERS
    idempotent = True

    @extend_schema(
        parameters=[
            OpenApiParameter("page", int),
            OpenApiParameter("limit", int, description="At most 100."),
        ],
        responses=MembersOut,
        operation_id="members_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """The members, those who joined first at the top."""
        page = page_of(request, Membership.objects.select_related("user").order_by("joined_at", "id"))
        shown = MemberOut(page.items, many=True).data
        return Response(page.answer(members=shown))

    @extend_schema(
        request=MemberIn,
        responses={201: MemberOut, 200: MemberOut, 202: _WAITS, 409: _LAST_ADMIN},
        operation_id="members_grant",
    )
    def post(self, request: TenantRequest) -> Response:
        """Make somebody a member (201), or change a member's role (200)."""
        serializer = MemberIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        return grant(request, email=given["email"], role=Role(given["role"]), name=given["name"])


class MemberView(TenantAPIView):
    permission = Permission.MANAGE_MEMBERS

    @extend_schema(
        request=RoleIn, responses={200: MemberOut, 202: _WAITS, 409: _LAST_ADMIN}, operation_id="members_change"
    )
    def patch(self, request: TenantRequest, membership_id: UUID) -> Response:
        """Change a member's role."""
        serializer = RoleIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        member = self._member(membership_id)
        return grant(request, email=member.user.email, role=Role(serializer.validated_data["role"]), name="")

    @extend_schema(responses={204: None, 202: _WAITS, 409: _LAST_ADMIN}, operation_id="members_remove")
    def delete(self, request: TenantRequest, membership_id: UUID) -> Response:
        """End a membership."""
        member = self._member(membership_id)
        try:
            asked = approved_members.remove(member=member, actor=request.actor, now=clock.now())
        except members.LastAdmin as e:
            raise _last_admin() from e
        except members.NotAMember as e:
            raise NotFound from e
        return Response(status=204) if asked is None else _waits(asked)

    def _member(self, membership_id: UUID) -> Membership:
        member = Membership.objects.select_related("user").filter(pk=membership_id).first()
        if member is None:
            raise NotFound
        return member


def grant(request: TenantRequest, *, email: str, role: Role, name: str) -> Response:
    try:
        done, is_new = approved_members.grant(
            email=email,
            role=role,
            name=name,
            actor=request.actor,
            permissions=request.principal.permissions,
            now=clock.now(),
        )
    except approved_members.BeyondOwnPermissions as e:
        text = "Nobody grants a role that may more than they may themselves."
        raise Forbidden(text, code="beyond_own_permissions") from e
    except members.LastAdmin as e:
        raise _last_admin() from e
    if isinstance(done, ApprovalRequest):
        return _waits(done)
    return Response(MemberOut(done).data, status=201 if is_new else 200)


def _waits(asked: ApprovalRequest) -> Response:
    return Response({"approval": ApprovalOut(asked).data}, status=202)


def _last_admin() -> Conflict:
    return Conflict("A tenant keeps one admin: make somebody else an admin first.", code="last_admin")
