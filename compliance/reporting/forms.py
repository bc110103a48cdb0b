"""What people fill in about reports. Fields are called as on the wire, so refusals find their own."""

from collections.abc import Collection
from datetime import time
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDateWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from compliance.models import NotificationProvider, ReportCadence, ReportFormat, ReportSchedule, ReportSpan
from compliance.reporting import runs, schedules, templates
from kaireon.tenancy.roles import Permission

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class TemplateForm(forms.Form):
    template = forms.ChoiceField(label="Report", widget=UnfoldAdminSelectWidget())
    formats = forms.MultipleChoiceField(
        choices=ReportFormat.choices, initial=["pdf"], widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )
    timeZone = forms.CharField(
        label="Time zone",
        max_length=64,
        initial="UTC",
        help_text="A name of the IANA database, such as Europe/Berlin: its days and hours count.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args: Any, may: Collection[Permission], **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["template"].choices = [  # type: ignore[attr-defined]
            (name, templates.TEMPLATES[name].title) for name in sorted(runs.readable(may))
        ]


class ScheduleForm(TemplateForm):
    name = forms.CharField(
        max_length=schedules.LONGEST_NAME,
        help_text="Name no customer: it stands in messages and in the audit log.",
        widget=UnfoldAdminTextInputWidget(),
    )
    period = forms.ChoiceField(label="About", choices=ReportSpan.choices, widget=UnfoldAdminSelectWidget())
    cadence = forms.ChoiceField(label="Made", choices=ReportCadence.choices, widget=UnfoldAdminSelectWidget())
    weekday = forms.TypedChoiceField(
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "-"), *((str(number), name) for number, name in enumerate(WEEKDAYS, start=1))],
        help_text="Of a weekly one.",
        widget=UnfoldAdminSelectWidget(),
    )
    day = forms.IntegerField(
        label="Day of the month",
        required=False,
        min_value=1,
        max_value=31,
        help_text="Of a monthly one; a month without it has its last day.",
        widget=UnfoldAdminTextInputWidget(),
    )
    time = forms.TimeField(
        label="At", initial=time(8), input_formats=["%H:%M"], widget=UnfoldAdminTextInputWidget(), help_text="08:00"
    )
    channels = forms.MultipleChoiceField(
        label="Who is told", required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )
    enabled = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget())
    field_order = ("name", "template", "formats", "period", "cadence", "weekday", "day", "time", "timeZone")

    def __init__(self, *args: Any, row: ReportSchedule | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["channels"].choices = [  # type: ignore[attr-defined]
            (str(one.pk), f"{one.name} ({one.get_kind_display()})")
            for one in NotificationProvider.objects.present().order_by("name")
        ]
        if row is not None:
            # It stays what it is, as its history does.
            del self.fields["template"]

    def given(self) -> dict[str, Any]:
        """By the names that services know."""
        return {name: self.cleaned_data[wire] for name, wire in schedules.FIELDS.items() if wire in self.cleaned_data}


class PeriodForm(TemplateForm):
    since = forms.DateField(label="From", help_text="The first day.", widget=UnfoldAdminDateWidget())
    to = forms.DateField(help_text="The last day.", widget=UnfoldAdminDateWidget())
    field_order = ("template", "formats", "since", "to", "timeZone")


class RunNowForm(forms.Form):
    deliver = forms.BooleanField(
        label="Tell who is told of the schedule's reports", required=False, widget=UnfoldBooleanSwitchWidget()
    )


def initial_of(row: ReportSchedule) -> dict[str, Any]:
    """A schedule as ScheduleForm shows it."""
    return {wire: getattr(row, name) for name, wire in schedules.FIELDS.items()} | {"time": f"{row.at:%H:%M}"}
