"""The forms that officers file requests with."""

from typing import Any

from django import forms
from django.http import QueryDict
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from dsar import deadlines
from dsar.models import RequestType, SubjectType
from dsar.requests import outcomes, subjects
from dsar.requests.kinds import KINDS
from kaireon.tenancy.confirming import Confirmation, ConfirmedForm

_OF_THEIR_OWN = (RequestType.EXPORT, RequestType.DELETE)


class RequestForm(forms.Form):
    subject_id = forms.CharField(
        label="Customer", max_length=subjects.MOST_CHARACTERS, widget=UnfoldAdminTextInputWidget()
    )
    subject_type = forms.ChoiceField(
        label="Which is their", choices=SubjectType.choices, widget=UnfoldAdminSelectWidget()
    )
    received_on = forms.DateField(
        label="Reached you on",
        help_text="The law's clock starts with this day, in your tenant's time zone.",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={**UnfoldAdminSingleDateWidget().attrs, "type": "date"}),
    )
    regulation = forms.ChoiceField(
        choices=[(law.regulation, law.title) for law in deadlines.LAWS.values()], widget=UnfoldAdminSelectWidget()
    )


class AccessForm(RequestForm):
    encrypt = forms.BooleanField(
        label="Encrypt the package",
        required=False,
        help_text="It is then opened with manage.py dsar_decrypt and the same key.",
        widget=UnfoldBooleanWidget(),
    )


class ConfirmedErasureForm(ConfirmedForm, RequestForm):
    """The second step of an erasure: what was given before, unseen, and the words that confirm it."""

    def __init__(self, given: QueryDict | None, *, confirmation: Confirmation, initial: dict[str, Any]) -> None:
        super().__init__(given, confirmation=confirmation, initial=initial)
        for name in RequestForm.base_fields:
            self.fields[name].widget = forms.HiddenInput()


class OtherForm(RequestForm):
    kind = forms.ChoiceField(
        label="They ask for",
        choices=[(name, kind.title) for name, kind in KINDS.items() if name not in _OF_THEIR_OWN],
        widget=UnfoldAdminSelectWidget(),
    )
    details = forms.CharField(
        label="In their words",
        required=False,
        max_length=outcomes.MOST_TEXT,
        help_text="Kept sealed.",
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
    )
