"""API keys of the chosen tenant. Its members are in kaireon/approvals, where a second person can be asked."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from kaireon.lib import clock
from kaireon.tenancy import keys
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, verb
from kaireon.tenancy.models import ApiKey
from kaireon.tenancy.roles import Permission, Role
from kaireon.tenancy.verb_pages import given_by

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "1 year", "": "Does not expire"}


class KeyForm(forms.Form):
    name = forms.CharField(
        max_length=100, help_text="What will use it, such as “warehouse import”.", widget=UnfoldAdminTextInputWidget()
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.EDITOR, widget=UnfoldAdminSelectWidget())
    scopes = forms.MultipleChoiceField(
        choices=[(str(p), str(p).replace("_", " ")) for p in Permission],
        required=False,
        help_text="Narrow it to these permissions of its role. None ticked: all of them.",
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    lifetime = forms.ChoiceField(
        choices=list(LIFETIMES.items()), required=False, initial="365", widget=UnfoldAdminSelectWidget()
    )


@admin.register(ApiKey)
class ApiKeyAdmin(TenantModelAdmin[ApiKey]):
    view_permission = Permission.MANAGE_KEYS
    list_display = ("name", "shown_prefix", "role", "state", "created_at", "last_used_at", "expires_at")
    list_filter = ("role",)
    search_equal = ("name", "prefix")
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("name", "shown_prefix", "role", "scopes", "state")}),
        ("Times", {"fields": ("created_at", "last_used_at", "expires_at", "revoked_at")}),
    )
    actions_list = ("make",)
    actions_detail = ("revoke",)
    when_empty = "Make one for each system that calls the API."

    def normal(self, name: str, term: str) -> str:
        # People paste the whole key, or its beginning as the list shows it.
        parts = term.split("_")
        return parts[1] if name == "prefix" and parts[0] == "krn" and len(parts) > 1 else term

    def headline(self, row: ApiKey) -> str:
        return row.name

    @column("Key")
    def shown_prefix(self, row: ApiKey) -> str:
        return str(row)

    @column("State", label={"Active": "success", "Revoked": "danger", "Expired": "warning"})
    def state(self, row: ApiKey) -> str:
        if row.revoked_at:
            return "Revoked"
        return "Expired" if row.expires_at and row.expires_at <= clock.now() else "Active"

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        key = self.get_object(request, object_id)
        return [] if key is None or key.revoked_at else super().get_actions_detail(request, object_id)

    @verb(
        permission=Permission.MANAGE_KEYS,
        description="New key",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def make(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            days = given["lifetime"]
            row, key = keys.create_key(
                name=given["name"],
                role=Role(given["role"]),
                scopes=[Permission(s) for s in given["scopes"]],
                expires_at=clock.now() + timedelta(days=int(days)) if days else None,
                actor=principal_of(request).actor,
            )
            context = self.admin_site.each_context(request)
            context |= {"opts": self.opts, "title": "New key", "name": row.name, "key": key}
            return render(request, "admin/key_created.html", {**context, "back": self.url("changelist")})

        return self.ask(
            request,
            title="New key",
            lead="The key is shown once, on the next page.",
            form=KeyForm(given_by(request)),
            do=do,
            refusals={keys.ScopeBeyondRole: ""},
            submit="Make the key",
            cancel=self.url("changelist"),
        )

    @verb(
        permission=Permission.MANAGE_KEYS,
        description="Revoke",
        icon="block",
        url_path="revoke",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.row(request, object_id)

        def do() -> str:
            keys.revoke_key(key=key, now=clock.now())
            return f"{key.name} is revoked."

        return self.confirm(
            request,
            key,
            do,
            title=f"Revoke {key.name}",
            lead="Whatever uses this key is refused from now on. A revoked key cannot be brought back.",
            refusals={keys.KeyAlreadyRevoked: "This key was revoked before; nothing changed."},
            submit="Revoke the key",
            danger=True,
            to_list=True,
        )
