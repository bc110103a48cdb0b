"""Messages, destinations and dead letters of the chosen tenant."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from kaireon.lib import clock
from kaireon.lib.masking import mask
from kaireon.lib.sealing import CannotOpen
from kaireon.outbox import archive, dead_letters, payloads, services
from kaireon.outbox.models import DeadLetter, Destination, LetterState, Message
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, since, verb
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATES = {"Pending": "info", "Sending": "primary", "Delivered": "success", "Dead": "danger"}
LETTER_STATES = {"Open": "danger", "Replayed": "success", "Purged": "info"}
CLASSES = {"Transient": "warning", "Permanent": "danger"}

# Of a list in a payload so many values are shown, masked like the others.
SHOWN = 5

SKIPPED = {
    dead_letters.NOT_OPEN: "It was replayed or purged already.",
    dead_letters.NOT_ARCHIVED: "Archive it first: only archived dead letters are purged.",
    dead_letters.NOT_REPLAYABLE: "It cannot be tried again: its payload is gone, or it is tried again elsewhere.",
}


class Skipped(Exception):
    """The one letter of the page was not handled; says why."""


REFUSALS: dict[type[Exception], str] = {Skipped: "", IntegrityError: "The class jobs is under legal hold."}


@admin.register(Destination)
class DestinationAdmin(TenantModelAdmin[Destination]):
    view_permission = Permission.RUN_JOBS
    list_display = ("name", "kind", "is_enabled", "updated_at")
    search_equal = ("name",)
    search_help_text = "Id, name"
    ordering = ("name",)
    fieldsets = ((None, {"fields": ("id", "name", "kind", "settings", "has_secret", "is_enabled", "updated_at")}),)
    when_empty = "manage.py destination set makes one."

    @column("Has a secret")
    def has_secret(self, row: Destination) -> str:
        return "yes, sealed" if row.secret_sealed is not None else "no"


@admin.register(Message)
class MessageAdmin(TenantModelAdmin[Message]):
    view_permission = Permission.READ_JOBS
    list_display = ("created_at", "topic", "destination_name", "state_label", "attempts", "error", "finished_at")
    list_filter = ("state", since("created_at", "creation"))
    list_select_related = ("destination",)
    search_equal = ("topic", "error", "request_id")
    search_help_text = "Id, topic, error, request id"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("id", "topic", "destination_name", "state_label", "size", "request_id")}),
        ("Course", {"fields": ("attempts", "failures", "losses", "error", "due_at", "lease_until")}),
        ("Times", {"fields": ("created_at", "finished_at")}),
    )
    when_empty = "What is sent to other systems passes here."

    def headline(self, row: Message) -> str:
        return row.topic

    @column("Destination")
    def destination_name(self, row: Message) -> str:
        return row.destination.name

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: Message) -> str:
        return str(row.get_state_display())


@admin.register(DeadLetter)
class DeadLetterAdmin(TenantModelAdmin[DeadLetter]):
    view_permission = Permission.RUN_JOBS
    list_display = ("died_at", "queue", "topic", "class_label", "error_type", "replays", "archived_at", "state_label")
    list_filter = ("state", "classification", since("died_at", "death"))
    search_equal = ("queue", "topic", "error_type", "source_ref")
    search_help_text = "Id, queue, topic, error, id of the message or job"
    ordering = ("-died_at",)
    fieldsets = (
        (None, {"fields": ("id", "queue", "topic", "class_label", "error_type", "state_label", "masked_payload")}),
        ("Course", {"fields": ("source", "source_ref", "attempts", "replays", "replay_at")}),
        ("Times", {"fields": ("died_at", "resolved_at", "archived_at", "archive_name")}),
    )
    actions_detail = ("retry", "archive", "purge")
    when_empty = "What could not be delivered or done is kept here."

    def headline(self, row: DeadLetter) -> str:
        return row.topic

    @column("State", label=LETTER_STATES, ordering="state")
    def state_label(self, row: DeadLetter) -> str:
        return str(row.get_state_display())

    @column("Class", label=CLASSES, ordering="classification")
    def class_label(self, row: DeadLetter) -> str:
        return str(row.get_classification_display())

    @column("Payload, masked")
    def masked_payload(self, row: DeadLetter) -> str | SafeString:
        """Field names and masked values: enough to see what kind of message it was."""
        try:
            payload = payloads.read(row.source_ref)
        except CannotOpen:
            return "sealed by a key that is not on the keyring"
        if payload is None:
            return "gone"
        lines = ((name, _masked(value)) for name, value in sorted(payload.items()))
        return format_html_join("", "<div><b>{}</b>: {}</div>", lines)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        letter = self.get_object(request, object_id)
        if letter is None or letter.state != LetterState.OPEN:
            return []
        actions: list[Any] = super().get_actions_detail(request, object_id)
        return actions

    @verb(
        permission=Permission.RUN_JOBS,
        description="Try again",
        icon="replay",
        url_path="retry",
        variant=ActionVariant.PRIMARY,
    )
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = self.row(request, object_id)
        tenant = principal_of(request).tenant_id

        def do() -> str:
            _one(dead_letters.retry(DeadLetter.objects.filter(pk=letter.pk), now=clock.now()))
            self.after_commit(request, lambda: services.send_wake(tenant))
            return "It is on its way again."

        return self.confirm(
            request,
            letter,
            do,
            title="Try it again",
            lead="It gets all its tries back.",
            refusals=REFUSALS,
            submit="Try again",
        )

    @verb(permission=Permission.RUN_JOBS, description="Archive", icon="archive", url_path="archive")
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            self.after_commit(request, lambda: self._write_down(request, letter))
            return HttpResponseRedirect(self.url("change", letter.pk))

        return self.ask(
            request,
            title="Archive it",
            lead="It is written to storage, its payload sealed, read back, and marked archived.",
            form=forms.Form(given_by(request)),
            do=do,
            submit="Archive",
            cancel=self.url("change", letter.pk),
        )

    @verb(
        permission=Permission.RUN_JOBS,
        description="Purge",
        icon="delete",
        url_path="purge",
        variant=ActionVariant.DANGER,
    )
    def purge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = self.row(request, object_id)

        def do() -> str:
            with transaction():
                _one(dead_letters.purge(DeadLetter.objects.filter(pk=letter.pk), now=clock.now()))
            return "It is purged; the archive keeps it."

        return self.confirm(
            request,
            letter,
            do,
            title="Purge it",
            lead="It is given up and its payload is deleted here. Only archived dead letters can be purged.",
            refusals=REFUSALS,
            submit="Purge",
            danger=True,
        )

    def _write_down(self, request: HttpRequest, letter: DeadLetter) -> None:
        if archive.archive_one(letter.pk, now=clock.now()):
            self.succeed(request, "It is archived.")
        else:
            text = "The storage failed, so it is not archived. The nightly job tries again; so can you."
            self.message_user(request, text, messages.ERROR)


def _one(handled: dead_letters.Handled) -> None:
    """Raises Skipped."""
    for reason in handled.skipped.values():
        raise Skipped(SKIPPED[reason])


def _masked(value: Any) -> str:
    if isinstance(value, str) and value:
        return mask(value)
    if isinstance(value, list):
        return f"[{', '.join(_masked(one) for one in value[:SHOWN])}{', …' if len(value) > SHOWN else ''}]"
    return "***"
