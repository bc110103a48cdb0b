"""What people fill in about models."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from customers.models import RetrainSchedule
from customers.models.propensity import MOST_OF_A_REASON
from customers.propensity.schedules import BOUNDS


def _whole(name: str) -> forms.IntegerField:
    least, most = BOUNDS[name]
    return forms.IntegerField(min_value=int(least), max_value=int(most), **_as_in_the_table(name))


def _share(name: str) -> forms.FloatField:
    least, most = BOUNDS[name]
    return forms.FloatField(min_value=least, max_value=most, **_as_in_the_table(name))


def _as_in_the_table(name: str) -> dict[str, Any]:
    column: Any = RetrainSchedule._meta.get_field(name)
    return {
        "label": str(column.verbose_name).capitalize(),
        "initial": column.default,
        "help_text": column.help_text,
        "widget": UnfoldAdminTextInputWidget(),
    }


class TermsForm(forms.Form):
    is_enabled = forms.BooleanField(label="On", required=False, initial=True, widget=UnfoldBooleanSwitchWidget())
    every_days = _whole("every_days")
    window_days = _whole("window_days")
    min_interactions = _whole("min_interactions")
    min_positives = _whole("min_positives")
    tolerance = _share("tolerance")
    keep = _whole("keep")


class NewForm(TermsForm):
    field_order = ["offer"]
    offer = forms.CharField(
        max_length=128,
        help_text="As interactions name it. Name no customer: it stands in the audit log.",
        widget=UnfoldAdminTextInputWidget(),
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        max_length=MOST_OF_A_REASON,
        help_text="Name no customer: it stands in the audit log.",
        widget=UnfoldAdminTextInputWidget(),
    )
