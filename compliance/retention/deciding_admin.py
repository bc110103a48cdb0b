"""Deciding how long a class is kept, as pages: the form, what it would delete, and what waits taken back."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django import forms
from django.contrib.admin import VERTICAL
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from compliance.models import CLOCK, MAX_DAYS, MIN_DAYS, Mode, RetentionPolicy
from compliance.purging.preview import Preview, preview
from compliance.retention import governed, in_force, policies, refusals
from customers import catalogue
from customers.catalogue import DATA_CLASSES
from kaireon.api.logs import request_id
from kaireon.approvals.services import RequesterMayNot
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, principal_of, verb
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

POLICY_REFUSALS: dict[type[Exception], str] = {
    refusals.UnknownDataClass: "",
    refusals.DaysOutOfRange: "",
    refusals.UnknownAnchor: "",
    RequesterMayNot: "Your role may not ask for this.",
    **dict.fromkeys(refusals.REFUSED, ""),
}
MODES = (
    (Mode.NORMAL, "Normal: whoever manages retention may shorten it"),
    (Mode.GOVERNANCE, "Governance: shortened with a reason, when a second person agrees"),
    (Mode.COMPLIANCE, "Compliance: only ever lengthened, by anybody; this mode is never left"),
)


class DaysForm(forms.Form):
    retention_days = forms.IntegerField(
        label="Keep for (days)",
        min_value=MIN_DAYS,
        max_value=MAX_DAYS,
        help_text="Each row counts from its own clock; what is older goes with the next cleanup, unless it is held.",
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    anchor = forms.ChoiceField(
        label="Counted from",
        required=False,
        help_text="Rows without this column keep to their own clock. Another one waits as a shorter time does.",
        widget=UnfoldAdminSelectWidget(),
    )
    mode = forms.ChoiceField(
        label="Who may shorten it",
        required=False,
        choices=MODES,
        widget=UnfoldAdminRadioSelectWidget(radio_style=VERTICAL),
    )
    reason = forms.CharField(
        required=False,
        max_length=500,
        help_text="Why so long. Kept with the decision; name no customer.",
        widget=UnfoldAdminTextareaWidget(),
    )

    def __init__(self, *args: Any, anchors: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(CLOCK, "each row's own clock"), *((name, name) for name in anchors)]
        self.fields["anchor"].choices = choices  # type: ignore[attr-defined]
        if len(choices) == 1:
            del self.fields["anchor"]


class PolicyForm(DaysForm):
    data_class = forms.ChoiceField(label="Data class", widget=UnfoldAdminSelectWidget())
    field_order = ("data_class", "retention_days", "anchor", "mode", "reason")

    def __init__(self, *args: Any, classes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, f"{name}: {DATA_CLASSES[name]}") for name in classes]
        self.fields["data_class"].choices = choices  # type: ignore[attr-defined]


class DecidingPages(TenantModelAdmin[RetentionPolicy]):
    """The verbs of a policy. What would delete anything is shown first, and decided on the page that shows it."""

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="New policy",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def add_policy(self, request: HttpRequest) -> HttpResponse:
        initial = {"data_class": request.GET.get("class"), "mode": Mode.NORMAL}
        classes = policies.classes_without_policy()
        names = sorted({name for data_class in classes for name in catalogue.anchors(data_class)})
        form = PolicyForm(given_by(request), initial=initial, classes=classes, anchors=names)
        return self._decide(
            request,
            form,
            title="New retention policy",
            lead="A first policy counts at once: what is older goes with the next cleanup.",
            cancel=self.url("changelist"),
        )

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Change days",
        icon="edit",
        url_path="days",
        variant=ActionVariant.PRIMARY,
    )
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.row(request, object_id)
        said = in_force.shown([policy], now=clock.now())[0]
        initial = {"retention_days": said.decided_days, "anchor": said.decided_anchor, "mode": said.mode}
        form = DaysForm(given_by(request), initial=initial, anchors=catalogue.anchors(policy.data_class))
        return self._decide(
            request,
            form,
            data_class=policy.data_class,
            title=f"How long to keep {policy.data_class}",
            lead=f"{DATA_CLASSES[policy.data_class]}. A shorter time counts after the cooling-off, for old rows too.",
            cancel=self.url("change", policy.pk),
        )

    @verb(permission=Permission.MANAGE_RETENTION, description="Take back", icon="undo", url_path="take-back")
    def take_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.row(request, object_id)
        said = in_force.shown([policy], now=clock.now())[0]
        lead = "Nothing waits to take effect."
        if said.pending_from:
            lead = (
                f"{said.pending_days:,} days were to count from {said.pending_from:%Y-%m-%d %H:%M} UTC on."
                f" Taken back, {said.days:,} days go on to count."
            )

        def do() -> str:
            policies.take_back(data_class=policy.data_class, actor=principal_of(request).actor, now=clock.now())
            return f"Taken back: {policy.data_class} goes on to be kept for {said.days:,} days."

        return self.confirm(
            request,
            policy,
            do,
            title=f"Take back what waits for {policy.data_class}",
            lead=lead,
            refusals={
                refusals.NothingWaits: "Nothing waits to take effect, or it did so already.",
                refusals.ClockMovedBack: "",
            },
            submit="Take it back",
        )

    def _decide(
        self, request: HttpRequest, form: DaysForm, *, title: str, lead: str, cancel: str, data_class: str = ""
    ) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            asked = {"data_class": data_class, "anchor": "", **given}
            found = self._looked_at(request, asked)
            if found is not None and request.POST.get("seen") != _what(asked):
                context = {
                    **self.admin_site.each_context(request),
                    "opts": self.opts,
                    "title": title,
                    "headline": f"What this deletes: {asked['data_class']}",
                    "form": form,
                    "found": found,
                    "seen": _what(asked),
                    "for_good": given["mode"] == Mode.COMPLIANCE,
                    "cancel": request.get_full_path(),
                }
                return TemplateResponse(request, "admin/compliance/confirm_policy.html", context)
            return self._save(request, asked)

        return self.ask(
            request,
            title=title,
            lead=lead,
            form=form,
            do=do,
            refusals=POLICY_REFUSALS,
            submit="Save",
            cancel=cancel,
        )

    def _looked_at(self, request: HttpRequest, asked: dict[str, Any]) -> Preview | None:
        """What has to be shown before it is decided; None where nothing goes by it."""
        now = clock.now()
        mode = Mode(asked["mode"]) if asked["mode"] else None
        try:
            found = preview(
                data_class=asked["data_class"],
                retention_days=asked["retention_days"],
                anchor=asked["anchor"] or None,
                mode=mode,
                now=now,
            )
            if found.needs_second_person and not asked["reason"].strip():
                raise refusals.ReasonRequired
        except tuple(refusals.REFUSED) as refusal:
            self._note(request, refusal, asked)
            raise
        counts = in_force.in_force(asked["data_class"], now)
        becomes_strict = mode == Mode.COMPLIANCE and (counts is None or counts.version.mode != Mode.COMPLIANCE)
        return found if found.shortens or found.rows or found.held or becomes_strict else None

    def _save(self, request: HttpRequest, asked: dict[str, Any]) -> HttpResponse:
        now, principal = clock.now(), principal_of(request)
        data_class, days, reason = asked["data_class"], asked["retention_days"], asked["reason"]
        mode = Mode(asked["mode"]) if asked["mode"] else None
        try:
            policy = policies.upsert_policy(
                data_class=data_class,
                retention_days=days,
                anchor=asked["anchor"] or None,
                mode=mode,
                reason=reason,
                actor=principal.actor,
                now=now,
            )
        except refusals.NeedsSecondPerson:
            governed.ask(
                data_class=data_class,
                retention_days=days,
                anchor=asked["anchor"] or None,
                mode=mode,
                reason=reason,
                actor=principal.actor,
                now=now,
            )
            self.succeed(request, "Somebody else has to agree: it waits under Approvals.")
            return HttpResponseRedirect(self.url("changelist"))
        except tuple(refusals.REFUSED) as refusal:
            self._note(request, refusal, asked)
            raise
        row = in_force.shown([policy], now=now)[0]
        later = (
            f" now, and {row.pending_days:,} from {row.pending_from:%Y-%m-%d %H:%M} UTC on" if row.pending_days else ""
        )
        self.succeed(request, f"{data_class} is kept for {row.days:,} days{later}.")
        return HttpResponseRedirect(self.url("change", policy.pk))

    def _note(self, request: HttpRequest, refusal: Exception, asked: dict[str, Any]) -> None:
        reason = refusals.REFUSED[type(refusal)]
        self.after_commit(request, partial(_note, principal_of(request), reason, asked))


def _note(principal: Principal, reason: str, asked: dict[str, Any]) -> None:
    policies.note_refusal(
        reason=reason,
        data_class=asked["data_class"],
        retention_days=asked["retention_days"],
        tenant_id=principal.tenant_id,
        actor=principal.actor,
        request_id=request_id(),
    )


def _what(asked: dict[str, Any]) -> str:
    """What was looked at: anything else is shown anew."""
    return f"{asked['data_class']} {asked['retention_days']} {asked['anchor']} {asked['mode']}"
