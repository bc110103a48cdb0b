"""The hold on a whole class, placed and released beside its policy."""

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from compliance.holding import class_releases, holds
from compliance.models import RetentionPolicy
from compliance.retention import refusals
from customers.catalogue import DATA_CLASSES
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

WHAT_A_HOLD_DOES = "Nothing of this class is deleted from now on: not by cleanup, not by an erasure, not by hand."
HOLD_REFUSALS: dict[type[Exception], str] = {
    refusals.UnknownDataClass: "",
    holds.HoldAlreadyPlaced: "This class is held already. Release that hold first if its reason must change.",
}


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        help_text="The matter or order this hold is for, kept with it and in the audit log. Name no customer.",
        widget=UnfoldAdminTextareaWidget(),
    )


class HoldForm(ReasonForm):
    data_class = forms.ChoiceField(
        label="Data class",
        choices=[(name, f"{name}: {title}") for name, title in DATA_CLASSES.items()],
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("data_class", "reason")


class ClassHoldPages(TenantModelAdmin[RetentionPolicy]):
    @verb(permission=Permission.MANAGE_RETENTION, description="Place a hold", icon="lock", url_path="hold")
    def hold(self, request: HttpRequest) -> HttpResponse:
        return self.ask(
            request,
            title="Place a legal hold",
            lead=WHAT_A_HOLD_DOES,
            form=HoldForm(given_by(request), initial={"data_class": request.GET.get("class")}),
            do=lambda given: self._place(request, given["data_class"], given["reason"]),
            refusals=HOLD_REFUSALS,
            submit="Place the hold",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_RETENTION, description="Place a hold", icon="lock", url_path="place")
    def place(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.row(request, object_id)
        return self.ask(
            request,
            title=f"Hold {policy.data_class}",
            lead=WHAT_A_HOLD_DOES,
            form=ReasonForm(given_by(request)),
            do=lambda given: self._place(request, policy.data_class, given["reason"]),
            refusals=HOLD_REFUSALS,
            submit="Place the hold",
            cancel=self.url("change", policy.pk),
        )

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Release the hold",
        icon="lock_open",
        url_path="release",
        variant=ActionVariant.DANGER,
    )
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.row(request, object_id)

        waits = class_releases.is_to_be_asked(policy.data_class)

        def do() -> str:
            actor, now = principal_of(request).actor, clock.now()
            if class_releases.is_to_be_asked(policy.data_class):
                class_releases.ask(data_class=policy.data_class, actor=actor, now=now)
                return "Somebody else has to agree: the request waits under Approvals."
            holds.release_hold(data_class=policy.data_class, actor=actor, now=now)
            return f"{policy.data_class} is no longer held."

        return self.confirm(
            request,
            policy,
            do,
            title=f"Release the hold on {policy.data_class}",
            lead=f"What is older than {policy.retention_days:,} days goes with the next cleanup.",
            refusals={holds.HoldAlreadyReleased: "This class is not held, or somebody was faster."},
            submit="Ask to release the hold" if waits else "Release the hold",
            danger=True,
        )

    def _place(self, request: HttpRequest, data_class: str, reason: str) -> HttpResponse:
        policy = holds.place_hold(
            data_class=data_class, reason=reason, actor=principal_of(request).actor, now=clock.now()
        )
        self.succeed(request, f"{data_class} is held.")
        return HttpResponseRedirect(self.url("change", policy.pk))
