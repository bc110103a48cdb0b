"""Alert rules in the admin: what each watches, what was found last, where it stands, what became of it before."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant

from compliance.alerting import messages, notifications, rules
from compliance.alerting.forms import RuleForm, SilenceForm, initial_of
from compliance.alerting.serializers import shown_value
from compliance.models import AlertChange, AlertRule, NotificationProvider
from compliance.refusing_admin import RefusingAdmin
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import column, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATES = {
    "OK": "success",
    "Pending": "warning",
    "Firing": "danger",
    "Resolved": "info",
    "No data": "warning",
    "Off": "",
}
SEVERITIES = {"Info": "info", "Warning": "warning", "Critical": "danger"}
# Of a rule's history the page shows so many changes; the API has all.
SHOWN = 50
REFUSALS: dict[type[Exception], str] = {
    rules.RuleRefused: "",
    rules.NotAlerting: "No alert of this rule is open any more.",
    rules.AlreadyAcknowledged: "Somebody has taken this alert on already.",
    rules.RuleNotFound: "The rule was removed meanwhile.",
}


@admin.register(AlertRule)
class AlertRuleAdmin(RefusingAdmin[AlertRule]):
    refused_verb = "alert_rule.refused"
    entity_type = "AlertRule"
    view_permission = Permission.READ_ALERTS
    list_display = ("name", "severity_label", "state_label", "value_shown", "condition", "since")
    list_filter = ("state", "severity")
    search_equal = ("name", "metric")
    search_help_text = "Id, name, metric"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("state_label", "value_shown", "condition", "since", "severity_label")}),
        ("Who is told", {"fields": ("channels_shown", "acknowledged", "silenced")}),
        ("Rule", {"fields": ("metric", "cooldown", "alerts_without_data", "evaluated_at", "updated_at", "id")}),
    )
    actions_list = ("begin",)
    actions_detail = ("acknowledge", "alter", "silence", "speak", "remove")
    when_empty = "A rule watches a figure and tells people when it crosses a limit. Make one to begin."
    change_form_after_template = "admin/compliance/alert.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        found: QuerySet[AlertRule] = super().get_queryset(request)
        return found.filter(removed_at=None)

    def headline(self, row: AlertRule) -> str:
        return row.name

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: AlertRule) -> str:
        return str(row.get_state_display()) if row.is_enabled else "Off"

    @column("Severity", label=SEVERITIES, ordering="severity")
    def severity_label(self, row: AlertRule) -> str:
        return str(row.get_severity_display())

    @column("Value")
    def value_shown(self, row: AlertRule) -> str:
        return shown_value(row) if row.evaluated_at else "not evaluated yet"

    @column("Alerts when")
    def condition(self, row: AlertRule) -> str:
        return notifications.condition_of(row)

    @column("Since", ordering="entered_at")
    def since(self, row: AlertRule) -> str:
        return _moment(row.entered_at)

    @column("Cooldown")
    def cooldown(self, row: AlertRule) -> str:
        return messages.span(row.cooldown_seconds)

    @column("Told")
    def channels_shown(self, row: AlertRule) -> str:
        found = NotificationProvider.objects.present().filter(pk__in=row.channels).order_by("name")
        return ", ".join(f"{one.name} ({one.get_kind_display()})" for one in found) or "nobody"

    @column("Taken on by")
    def acknowledged(self, row: AlertRule) -> str:
        return f"{row.acknowledged_name}, {_moment(row.acknowledged_at)}" if row.acknowledged_at else ""

    @column("Silent until")
    def silenced(self, row: AlertRule) -> str:
        return f"{_moment(row.silenced_until)}: {row.silence_reason}" if row.is_silenced(clock.now()) else ""

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return []
        unfit = {"silence" if row.is_silenced(clock.now()) else "speak"}
        if not row.is_raised or row.acknowledged_at:
            unfit.add("acknowledge")
        return [a for a in super().get_actions_detail(request, object_id) if _verb_of(a) not in unfit]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        if row is not None:
            found = AlertChange.objects.filter(rule=row).order_by("-number")
            changes = list(found.prefetch_related("notifications__provider")[:SHOWN])
            extra_context = {**(extra_context or {}), "changes": changes, "more": row.changes > SHOWN}
        return super().changeform_view(request, object_id, form_url, extra_context)

    @verb(
        permission=Permission.MANAGE_ALERTS,
        description="New rule",
        icon="add_alert",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def begin(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            rule = rules.create(given=_fields(given), now=clock.now())
            self.succeed(request, "The rule is made. It is evaluated within a minute.")
            return HttpResponseRedirect(self.url("change", rule.pk))

        return self.ask(
            request,
            title="New alert rule",
            lead="A figure, a limit, and who is told when it is crossed.",
            form=RuleForm(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Make the rule",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_ALERTS, description="Change", icon="edit", url_path="alter")
    def alter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            rules.change(row.pk, given=_fields(given), now=clock.now())
            self.succeed(request, "The rule is changed.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Change {row.name}",
            lead="An alert that is open stays open until a value is clear by the new terms; switched off, it ends.",
            form=RuleForm(given_by(request), initial=initial_of(row)),
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(
        permission=Permission.MANAGE_ALERTS,
        description="Take it on",
        icon="back_hand",
        url_path="acknowledge",
        variant=ActionVariant.PRIMARY,
    )
    def acknowledge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            rules.acknowledge(row.pk, actor=principal_of(request).actor, now=clock.now())
            return "You have taken it on. The others see that."

        return self.confirm(
            request,
            row,
            do,
            title=f"Take on {row.name}",
            lead="The others see who is at it, until the alert ends.",
            refusals=REFUSALS,
            submit="Take it on",
        )

    @verb(permission=Permission.MANAGE_ALERTS, description="Silence", icon="notifications_off", url_path="silence")
    def silence(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        form = SilenceForm(given_by(request))

        def do(given: dict[str, Any]) -> HttpResponse:
            now = clock.now()
            rules.silence(row.pk, until=now + form.span(), reason=given["reason"], now=now)
            self.succeed(request, "Nothing is said of it for so long. It is evaluated all the same.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Silence {row.name}",
            lead="It is evaluated all the same, and what is still true when the silence is over is said then.",
            form=form,
            do=do,
            refusals=REFUSALS,
            submit="Silence it",
            cancel=self.url("change", row.pk),
        )

    @verb(permission=Permission.MANAGE_ALERTS, description="Speak again", icon="notifications", url_path="speak")
    def speak(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            rules.silence(row.pk, until=None, now=clock.now())
            return "The silence is over."

        return self.confirm(
            request,
            row,
            do,
            title=f"End the silence of {row.name}",
            lead="What is true now is said at the next evaluation.",
            refusals=REFUSALS,
            submit="Speak again",
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
            rules.remove(row.pk, now=clock.now())
            return "The rule is removed. What it did stands in the audit log."

        return self.confirm(
            request,
            row,
            do,
            title=f"Remove {row.name}",
            lead="The figure is not watched by it any more, and an open alert ends.",
            refusals=REFUSALS,
            submit="Remove the rule",
            danger=True,
            to_list=True,
        )


def _verb_of(action: Any) -> str:
    return str(action.action_name).rsplit("_", 1)[-1]


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[wire] for name, wire in rules.FIELDS.items()}


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
