"""Recipients of the tenant's data in the admin: who they are, how each is told, and which are told nothing more."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from dsar.models import Recipient, SubjectType
from dsar.recipients import recipients
from dsar.recipients.notices import SECTION_TITLES
from kaireon.lib import clock
from kaireon.outbox.models import Destination
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {recipients.RecipientRefused: ""}


class RecipientForm(forms.Form):
    name = forms.CharField(
        max_length=recipients.LONGEST_NAME, help_text="As the subject is told it.", widget=UnfoldAdminTextInputWidget()
    )
    destination = forms.ChoiceField(help_text="Of the outbox: where its notices go.", widget=UnfoldAdminSelectWidget())
    knows_by = forms.ChoiceField(label="Knows people by", choices=SubjectType.choices, widget=UnfoldAdminSelectWidget())
    sections = forms.MultipleChoiceField(
        label="What it got",
        required=False,
        choices=list(SECTION_TITLES.items()),
        help_text="None: everything.",
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )

    def __init__(self, *args: Any, named: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usable = Destination.objects.exclude(kind__in=recipients.NOT_FOR_NOTICES).order_by("name")
        choices = [(name, name) for name in usable.values_list("name", flat=True)]
        self.fields["destination"].choices = choices  # type: ignore[attr-defined]
        if named:
            # Letters and certificates have told it under this name.
            del self.fields["name"]


@admin.register(Recipient)
class RecipientAdmin(TenantModelAdmin[Recipient]):
    view_permission = Permission.READ_DSAR
    list_display = ("name", "destination_name", "known_by", "got", "told_label", "changed_at")
    list_select_related = ("destination",)
    search_equal = ("name",)
    search_help_text = "Id, name"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": (("name", "told_label"), ("destination_name", "known_by"), "got", ("changed_at", "id"))}),
    )
    actions_list = ("add_recipient",)
    actions_detail = ("change_recipient", "stop", "resume")
    when_empty = "Name who gets personal data from you: they are told when it is erased, corrected or restricted."

    @column("Destination")
    def destination_name(self, row: Recipient) -> str:
        return row.destination.name

    @column("Knows people by")
    def known_by(self, row: Recipient) -> str:
        return str(row.get_knows_by_display())

    @column("What it got")
    def got(self, row: Recipient) -> str:
        return ", ".join(SECTION_TITLES.get(name, name) for name in row.sections) or "Everything"

    @column("Notices", label={"Told": "success", "Told nothing more": "warning"}, ordering="is_enabled")
    def told_label(self, row: Recipient) -> str:
        return "Told" if row.is_enabled else "Told nothing more"

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        unfit = "resume" if row is None or row.is_enabled else "stop"
        shown: list[Any] = super().get_actions_detail(request, object_id)
        return [a for a in shown if a.action_name.rsplit("_", 1)[-1] != unfit]

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Add a recipient",
        icon="add",
        url_path="add-recipient",
        variant=ActionVariant.PRIMARY,
    )
    def add_recipient(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            row = recipients.add(now=clock.now(), **given)
            self.succeed(request, f"{row.name} is told of erasures, corrections and restrictions from now on.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="Add a recipient",
            lead="Somebody outside who was given personal data. The law wants them told when it is erased, corrected or"
            " restricted, and the subject told who they are. Destinations are made by manage.py destination set.",
            form=RecipientForm(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Add",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Change", icon="edit", url_path="change-recipient")
    def change_recipient(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            recipients.save(name=row.name, enabled=row.is_enabled, now=clock.now(), **given)
            self.succeed(request, "Notices go so from now on. Those under way go as they were made.")
            return HttpResponseRedirect(self.url("change", row.pk))

        initial = {"destination": row.destination.name, "knows_by": row.knows_by, "sections": row.sections}
        return self.ask(
            request,
            title=f"Change {row.name}",
            lead="Its name stays: subjects were told it.",
            form=RecipientForm(given_by(request), initial=initial, named=row.name),
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Tell no more", icon="person_off", url_path="stop")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch(
            request,
            object_id,
            enabled=False,
            title="Tell this recipient nothing more",
            lead="When it has no data of yours any more. What is under way to it still goes.",
            done="It is told nothing more.",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Tell again", icon="person_add", url_path="resume")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch(
            request,
            object_id,
            enabled=True,
            title="Tell this recipient again",
            lead="From the next erasure, correction or restriction on.",
            done="It is told again.",
        )

    def _switch(
        self, request: HttpRequest, object_id: str, *, enabled: bool, title: str, lead: str, done: str
    ) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            recipients.switch(row, enabled=enabled, now=clock.now())
            return done

        return self.confirm(
            request,
            row,
            do,
            title=title,
            lead=lead,
            refusals=REFUSALS,
            submit=title.split(" this ", maxsplit=1)[0],
            danger=not enabled,
        )
