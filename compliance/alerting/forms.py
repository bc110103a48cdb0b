"""What people fill in about alert rules and providers. Fields are called as on the wire, so refusals find their own."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from compliance.alerting import metrics, providers, rules
from compliance.models import AlertRule, NotificationProvider, Operator, ProviderKind, Severity

_MINUTE = 60
SILENCES = {"1": "One hour", "4": "Four hours", "24": "One day", "168": "One week"}


class MinutesField(forms.IntegerField):
    """Asked for in minutes, given in seconds. What is set to other than whole minutes elsewhere is rounded up."""

    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=0, max_value=60 * 24 * 366, widget=UnfoldAdminTextInputWidget(), **more)

    def prepare_value(self, value: Any) -> Any:
        return value

    def clean(self, value: Any) -> int | None:
        minutes = super().clean(value)
        return None if minutes is None else int(minutes) * _MINUTE


class RuleForm(forms.Form):
    name = forms.CharField(
        max_length=rules.LONGEST_NAME,
        help_text="Name no customer: it stands in messages and in the audit log.",
        widget=UnfoldAdminTextInputWidget(),
    )
    metric = forms.ChoiceField(label="Figure", widget=UnfoldAdminSelectWidget())
    operator = forms.ChoiceField(label="Alerts when it is", choices=Operator.choices, widget=UnfoldAdminSelectWidget())
    threshold = forms.FloatField(
        label="Limit",
        help_text="In the figure's unit: percent, seconds, hours, days; 1 is yes, 0 is no.",
        widget=UnfoldAdminTextInputWidget(),
    )
    windowSeconds = MinutesField(
        label="Counted over (minutes)", required=False, help_text="Of figures that are counted; others take none."
    )
    forSeconds = MinutesField(
        label="For (minutes)", help_text="How long the limit is crossed before it fires.", initial=0
    )
    cooldownSeconds = MinutesField(
        label="Cooldown (minutes)", help_text="After it ended it does not fire again for so long.", initial=0
    )
    severity = forms.ChoiceField(choices=Severity.choices, initial="warning", widget=UnfoldAdminSelectWidget())
    channels = forms.MultipleChoiceField(
        label="Who is told", required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )
    alertOnNoData = forms.BooleanField(
        label="No data alerts too", required=False, initial=True, widget=UnfoldBooleanSwitchWidget()
    )
    enabled = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget())

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        known = sorted(metrics.METRICS.values(), key=lambda metric: metric.title)
        self.fields["metric"].choices = [  # type: ignore[attr-defined]
            (metric.name, f"{metric.title} ({metric.unit}{', counted' if metric.is_windowed else ''})")
            for metric in known
        ]
        self.fields["channels"].choices = [  # type: ignore[attr-defined]
            (str(row.pk), f"{row.name} ({row.get_kind_display()})")
            for row in NotificationProvider.objects.present().order_by("name")
        ]


class SilenceForm(forms.Form):
    until = forms.ChoiceField(label="For", choices=[*SILENCES.items()], widget=UnfoldAdminSelectWidget())
    reason = forms.CharField(max_length=rules.LONGEST_REASON, widget=UnfoldAdminTextInputWidget())

    def span(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["until"]))


class ProviderForm(forms.Form):
    """Of a new one `kind` is asked; of one that is there what is left empty stays as it is."""

    kind = forms.ChoiceField(choices=ProviderKind.choices, widget=UnfoldAdminSelectWidget())
    name = forms.CharField(max_length=providers.LONGEST_NAME, widget=UnfoldAdminTextInputWidget())
    url = forms.CharField(
        label="Address",
        required=False,
        max_length=2048,
        help_text="Of a webhook, or of the webhook of a Slack or Teams channel. It is not shown again.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    secret = forms.CharField(
        required=False,
        max_length=256,
        strip=False,
        help_text="Of a webhook: signs what is sent there. It is not shown again.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "password", "autocomplete": "new-password"}),
    )
    recipients = forms.CharField(
        required=False,
        help_text="Of e-mail: an address a line.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    enabled = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget())

    def __init__(self, *args: Any, row: NotificationProvider | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        unused = {ProviderKind.EMAIL: ("url", "secret"), ProviderKind.WEBHOOK: ("recipients",)}
        if row is not None:
            for name in ("kind", *unused.get(ProviderKind(row.kind), ("secret", "recipients"))):
                del self.fields[name]

    def clean_recipients(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["recipients"].splitlines() if line.strip()]

    def given(self) -> dict[str, Any]:
        """What was filled in; an address or a secret left empty is not."""
        return {name: value for name, value in self.cleaned_data.items() if value or name not in ("url", "secret")}


def initial_of(rule: AlertRule) -> dict[str, Any]:
    """A rule as RuleForm shows it."""
    shown = {wire: getattr(rule, name) for name, wire in rules.FIELDS.items()}
    for name in ("windowSeconds", "forSeconds", "cooldownSeconds"):
        seconds = shown[name]
        shown[name] = None if seconds is None else -(-seconds // _MINUTE)
    # All of it: what is shown in words is rounded, and who saves a form keeps what they did not touch.
    shown["threshold"] = f"{Decimal(repr(rule.threshold)):f}".removesuffix(".0")
    return shown
