"""Notification providers in the admin: made, changed, tested and removed. What is secret is never shown."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant

from compliance.alerting import notifications, providers
from compliance.alerting.forms import ProviderForm
from compliance.models import NotificationProvider
from compliance.refusing_admin import RefusingAdmin
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import column, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

SHOWN = 20
REFUSALS: dict[type[Exception], str] = {
    providers.ProviderRefused: "",
    providers.ProviderInUse: "",
    providers.ProviderNotFound: "It was removed meanwhile.",
}


@admin.register(NotificationProvider)
class NotificationProviderAdmin(RefusingAdmin[NotificationProvider]):
    refused_verb = "notification_provider.refused"
    entity_type = "NotificationProvider"
    view_permission = Permission.READ_ALERTS
    list_display = ("name", "kind", "leads_to", "is_enabled", "last_shown")
    list_filter = ("kind",)
    search_equal = ("name",)
    search_help_text = "Id, name"
    ordering = ("name",)
    fieldsets = ((None, {"fields": ("kind", "leads_to", "is_enabled", "last_shown", "updated_at", "id")}),)
    actions_list = ("begin",)
    actions_detail = ("test", "alter", "remove")
    when_empty = "A provider is a way to tell people of alerts: a webhook, a Slack or Teams channel, e-mail."
    change_form_after_template = "admin/compliance/provider.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotificationProvider]:
        found: QuerySet[NotificationProvider] = super().get_queryset(request)
        return found.filter(removed_at=None)

    def headline(self, row: NotificationProvider) -> str:
        return row.name

    @column("Leads to")
    def leads_to(self, row: NotificationProvider) -> str:
        return row.host or ", ".join(row.recipients)

    @column("Newest notification")
    def last_shown(self, row: NotificationProvider) -> str:
        last = row.notifications.order_by("-made_at", "-pk").first()
        if last is None:
            return "none yet"
        error = f" ({last.error})" if last.error else ""
        return f"{last.get_state_display()}{error}, {_moment(last.settled_at or last.made_at)}"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        if row is not None:
            found = row.notifications.select_related("change__rule").order_by("-made_at", "-pk")
            extra_context = {**(extra_context or {}), "notifications": list(found[:SHOWN])}
        return super().changeform_view(request, object_id, form_url, extra_context)

    @verb(
        permission=Permission.MANAGE_ALERTS,
        description="New provider",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def begin(self, request: HttpRequest) -> HttpResponse:
        form = ProviderForm(given_by(request))

        def do(given: dict[str, Any]) -> HttpResponse:
            row = providers.create(now=clock.now(), **form.given())
            self.succeed(request, "It is made. Send a test to see whether it leads where it should.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="New notification provider",
            lead="A way to tell people of alerts. Addresses of channels and secrets are sealed and never shown again.",
            form=form,
            do=do,
            refusals=REFUSALS,
            submit="Make it",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_ALERTS, description="Change", icon="edit", url_path="alter")
    def alter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        initial = {"name": row.name, "recipients": "\n".join(row.recipients), "enabled": row.is_enabled}
        form = ProviderForm(given_by(request), row=row, initial=initial)

        def do(given: dict[str, Any]) -> HttpResponse:
            providers.change(row.pk, given=form.given(), now=clock.now())
            self.succeed(request, "It is changed.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Change {row.name}",
            lead="An address or a secret left empty stays as it is.",
            form=form,
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(
        permission=Permission.MANAGE_ALERTS,
        description="Send a test",
        icon="send",
        url_path="test",
        variant=ActionVariant.PRIMARY,
    )
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            notifications.test(row, now=clock.now())
            return "The test is on its way. Load this page again to see whether it arrived."

        return self.confirm(
            request,
            row,
            do,
            title=f"Test {row.name}",
            lead="A message goes there that says only that it is a test, and for which tenant.",
            refusals=REFUSALS,
            submit="Send a test",
        )

    @verb(
        permission=Permission.MANAGE_ALERTS,
        description="Remove",
        icon="delete",
        url_path="remove",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            providers.remove(row.pk, now=clock.now())
            return "It is removed."

        return self.confirm(
            request,
            row,
            do,
            title=f"Remove {row.name}",
            lead="Nobody is told by it any more. Rules that name it have to let go of it first.",
            refusals=REFUSALS,
            submit="Remove it",
            danger=True,
            to_list=True,
        )


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
