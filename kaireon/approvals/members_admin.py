"""Members of the chosen tenant: granting, changing and removing, with a second person where the tenant demands one."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from kaireon.approvals import members as approved_members
from kaireon.approvals import services
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy import members
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, verb
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission, Role
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {
    members.LastAdmin: "This is the tenant's only admin: make somebody else an admin first.",
    members.NotAMember: "This person is no member any more: somebody else removed them.",
    approved_members.BeyondOwnPermissions: "Nobody grants a role that may more than they may themselves.",
    services.RequesterMayNot: "Your own role was changed meanwhile: you may not ask for this any more.",
}
NEW_ACCOUNT = "Who has no account yet gets one without a password: an operator sets it with manage.py set_password."
ASKS = "Your tenant demands a second person: this asks the other admins, and is done when one of them agrees."


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices, widget=UnfoldAdminSelectWidget())


class GrantForm(RoleForm):
    email = forms.EmailField(label="E-mail", max_length=254, widget=UnfoldAdminEmailInputWidget())
    name = forms.CharField(
        max_length=200,
        required=False,
        help_text="For somebody who has no account yet. Others keep the name they have.",
        widget=UnfoldAdminTextInputWidget(),
    )
    field_order = ("email", "name", "role")


@admin.register(Membership)
class MembershipAdmin(TenantModelAdmin[Membership]):
    view_permission = Permission.MANAGE_MEMBERS
    list_display = ("name", "email", "role_label", "joined_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_equal = ("user__email",)
    search_help_text = "E-mail"
    ordering = ("joined_at",)
    fieldsets = ((None, {"fields": ("name", "email", "role_label", "joined_at")}),)
    actions_list = ("grant",)
    actions_detail = ("change_role", "remove")

    def _takes(self, name: str, term: str) -> bool:
        return True

    def normal(self, name: str, term: str) -> str:
        return term.lower()

    def headline(self, row: Membership) -> str:
        return row.user.name

    @column("Name")
    def name(self, row: Membership) -> str:
        return row.user.name

    @column("E-mail")
    def email(self, row: Membership) -> str:
        return row.user.email

    @column("Role", ordering="role")
    def role_label(self, row: Membership) -> str:
        return str(row.get_role_display())

    @verb(
        permission=Permission.MANAGE_MEMBERS,
        description="Grant a role",
        icon="person_add",
        url_path="grant",
        variant=ActionVariant.PRIMARY,
    )
    def grant(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            return self._grant(request, email=given["email"], name=given["name"], role=Role(given["role"]))

        return self._ask(
            request,
            GrantForm(given_by(request), initial={"role": Role.VIEWER}),
            do,
            verb_name=approved_members.GRANT,
            title="Grant a role",
            lead=f"Makes somebody a member, or gives a member another role. {NEW_ACCOUNT}",
            submit="Grant the role",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_MEMBERS, description="Change the role", icon="badge", url_path="role")
    def change_role(self, request: HttpRequest, object_id: str) -> HttpResponse:
        member = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            return self._grant(request, email=member.user.email, name="", role=Role(given["role"]))

        return self._ask(
            request,
            RoleForm(given_by(request), initial={"role": member.role}),
            do,
            verb_name=approved_members.GRANT,
            title=f"Change the role of {member.user.name}",
            lead="The new role counts from the next click or call on.",
            submit="Change the role",
            cancel=self.url("change", member.pk),
        )

    @verb(
        permission=Permission.MANAGE_MEMBERS,
        description="Remove",
        icon="person_remove",
        url_path="remove",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        member = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            asked = approved_members.remove(member=member, actor=principal_of(request).actor, now=clock.now())
            if asked is not None:
                return self._asked(request, asked)
            return self._done(request, member, f"{member.user.name} is no longer a member.")

        return self._ask(
            request,
            forms.Form(given_by(request)),
            do,
            verb_name=approved_members.REMOVE,
            title=f"Remove {member.user.name}",
            lead="They see nothing of this tenant any more. What they did stays in the audit log under their name.",
            submit="Remove the member",
            cancel=self.url("change", member.pk),
            danger=True,
        )

    def _grant(self, request: HttpRequest, *, email: str, name: str, role: Role) -> HttpResponse:
        principal = principal_of(request)
        done, is_new = approved_members.grant(
            email=email, role=role, name=name, actor=principal.actor, permissions=principal.permissions, now=clock.now()
        )
        if isinstance(done, ApprovalRequest):
            return self._asked(request, done)
        return self._done(request, done, f"{done.user.name} is {'a new member' if is_new else 'now'}: {role.label}.")

    def _done(self, request: HttpRequest, member: Membership, text: str) -> HttpResponse:
        self.succeed(request, text)
        # Who changed themselves may not see this list any more.
        own = str(member.user_id) == principal_of(request).actor.id
        return HttpResponseRedirect(reverse("admin:index") if own else self.url("changelist"))

    def _asked(self, request: HttpRequest, asked: ApprovalRequest) -> HttpResponse:
        self.succeed(request, "Asked. Nothing has changed yet: another admin must agree.")
        return HttpResponseRedirect(reverse("admin:approvals_approvalrequest_change", args=[asked.pk]))

    def _ask(
        self,
        request: HttpRequest,
        form: forms.Form,
        do: Callable[[dict[str, Any]], HttpResponse],
        *,
        verb_name: str,
        lead: str,
        submit: str,
        **page: Any,
    ) -> HttpResponse:
        waits = services.needs_second_person(verb_name)
        return self.ask(
            request,
            form=form,
            do=do,
            refusals=REFUSALS,
            lead=f"{lead} {ASKS}" if waits else lead,
            submit="Ask for it" if waits else submit,
            **page,
        )
