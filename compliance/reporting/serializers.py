"""Templates, schedules and reports on the wire."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from compliance.models import (
    NotificationState,
    ReportCadence,
    ReportFile,
    ReportFormat,
    ReportNotice,
    ReportRun,
    ReportSchedule,
    ReportSpan,
    ReportState,
    ReportTrigger,
)
from compliance.reporting import schedule, schedules
from compliance.reporting.schedules import FIELDS
from compliance.reporting.templates import Template
from kaireon.api.serializers import PageOut, StrictSerializer
from kaireon.lib import clock

_OF_FIELD = {wire: name for name, wire in FIELDS.items()}
NEXT_SHOWN = 3


class Number(serializers.IntegerField):
    """A JSON integer and nothing that could be taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("must be a whole number.")
        return int(super().to_internal_value(data))


class ReportScheduleChangeIn(StrictSerializer):
    """What of a schedule can be set; every field by itself."""

    name = serializers.CharField(max_length=schedules.LONGEST_NAME, required=False, help_text="Names no customer.")
    template = serializers.CharField(max_length=64, required=False, help_text="One of GET /reports/templates.")
    formats = serializers.ListField(
        child=serializers.ChoiceField(choices=ReportFormat.choices), required=False, min_length=1, max_length=3
    )
    period = serializers.ChoiceField(choices=ReportSpan.choices, required=False, help_text="What it is about.")
    cadence = serializers.ChoiceField(choices=ReportCadence.choices, required=False, help_text="On which days.")
    weekday = Number(
        required=False, allow_null=True, min_value=1, max_value=7, help_text="Of a weekly one; 1 is Monday."
    )
    day = Number(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=31,
        help_text="Of a monthly one; a month without it has its last day.",
    )
    time = serializers.TimeField(
        required=False, format="%H:%M", input_formats=["%H:%M"], help_text="Of the wall clock: 08:00."
    )
    timeZone = serializers.CharField(max_length=64, required=False, help_text="IANA: Europe/Berlin.")
    channels = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=schedules.MOST_CHANNELS, help_text="Ids of providers."
    )
    enabled = serializers.BooleanField(required=False)

    def given(self) -> dict[str, Any]:
        """By the names that services know."""
        return {_OF_FIELD[wire]: value for wire, value in self.validated_data.items()}


class ReportScheduleIn(ReportScheduleChangeIn):
    NEEDED = ("name", "template", "formats", "period", "cadence", "time", "timeZone")

    def get_fields(self) -> Any:
        fields = super().get_fields()
        for name in self.NEEDED:
            fields[name].required = True
        return fields


class ReportRunNowIn(StrictSerializer):
    deliver = serializers.BooleanField(required=False, default=False, help_text="Tell the schedule's providers of it.")


class ReportRunIn(StrictSerializer):
    template = serializers.CharField(max_length=64, help_text="One of GET /reports/templates.")
    formats = serializers.ListField(
        child=serializers.ChoiceField(choices=ReportFormat.choices), min_length=1, max_length=3
    )
    to = serializers.DateField(help_text="The last day.")
    timeZone = serializers.CharField(max_length=64, required=False, default="UTC")

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of the language.
        return {**super().get_fields(), "from": serializers.DateField(help_text="The first day.")}


class ReportTemplateOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    formats = serializers.ListField(child=serializers.ChoiceField(choices=ReportFormat.choices))


class ReportTemplatesOut(serializers.Serializer[Any]):
    templates = ReportTemplateOut(many=True)


class ReportScheduleOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    template = serializers.CharField()
    formats = serializers.ListField(child=serializers.ChoiceField(choices=ReportFormat.choices))
    period = serializers.ChoiceField(choices=ReportSpan.choices)
    cadence = serializers.ChoiceField(choices=ReportCadence.choices)
    weekday = serializers.IntegerField(allow_null=True)
    day = serializers.IntegerField(allow_null=True)
    time = serializers.CharField()
    timeZone = serializers.CharField()
    channels = serializers.ListField(child=serializers.UUIDField())
    enabled = serializers.BooleanField()
    next = serializers.ListField(child=serializers.DateTimeField(), help_text="When it is due next; empty while off.")
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()


class ReportSchedulesOut(PageOut):
    schedules = ReportScheduleOut(many=True)


class ReportFileOut(serializers.Serializer[Any]):
    format = serializers.ChoiceField(choices=ReportFormat.choices)
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    downloadUrl = serializers.CharField(allow_null=True, help_text="null: its time is over.")


class ReportNoticeOut(serializers.Serializer[Any]):
    provider = serializers.CharField()
    kind = serializers.CharField(source="word", help_text="ready or failed.")
    state = serializers.ChoiceField(choices=NotificationState.choices)
    error = serializers.CharField(allow_null=True)
    madeAt = serializers.DateTimeField()
    settledAt = serializers.DateTimeField(allow_null=True)


class ReportRunOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    scheduleId = serializers.UUIDField(allow_null=True)
    template = serializers.CharField()
    title = serializers.CharField()
    formats = serializers.ListField(child=serializers.ChoiceField(choices=ReportFormat.choices))
    to = serializers.DateField(help_text="The last day.")
    timeZone = serializers.CharField()
    trigger = serializers.ChoiceField(choices=ReportTrigger.choices)
    dueAt = serializers.DateTimeField(allow_null=True, help_text="When the schedule wanted it.")
    state = serializers.ChoiceField(choices=ReportState.choices)
    error = serializers.CharField(allow_null=True, help_text="Reason code.")
    detail = serializers.CharField(allow_null=True, help_text="What failed, without a value.")
    requestedBy = serializers.CharField(allow_null=True)
    createdAt = serializers.DateTimeField()
    finishedAt = serializers.DateTimeField(allow_null=True)
    expiresAt = serializers.DateTimeField(allow_null=True)
    files = ReportFileOut(many=True)
    notices = ReportNoticeOut(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.DateField(help_text="The first day.")}


class ReportRunsOut(PageOut):
    runs = ReportRunOut(many=True)


class ReportsOut(PageOut):
    reports = ReportRunOut(many=True)


def shown_template(template: Template) -> dict[str, Any]:
    return {
        "name": template.name,
        "title": template.title,
        "help": template.help,
        "formats": list(ReportFormat.values),
    }


def shown_schedule(row: ReportSchedule, *, now: datetime) -> dict[str, Any]:
    said = {wire: getattr(row, name) for name, wire in FIELDS.items()}
    return {
        "id": str(row.pk),
        **said,
        "time": f"{row.at:%H:%M}",
        "next": [clock.rfc3339(at) for at in next_of(row, now=now)],
        "createdAt": clock.rfc3339(row.created_at),
        "updatedAt": clock.rfc3339(row.updated_at),
    }


def next_of(row: ReportSchedule, *, now: datetime) -> list[datetime]:
    """When it is due next, a few times; empty while it is off, and where its time zone is not known any more."""
    if not row.is_enabled:
        return []
    try:
        terms = schedules.terms_of(row)
    except schedules.TimeZoneGone:
        return []
    found: list[datetime] = []
    while len(found) < NEXT_SHOWN:
        found.append(schedule.following(terms, after=found[-1] if found else max(now, row.active_from)).at)
    return found


def shown_run(run: ReportRun, *, now: datetime) -> dict[str, Any]:
    there = run.expires_at is not None and run.expires_at > now
    return {
        "id": str(run.pk),
        "scheduleId": str(run.schedule_id) if run.schedule_id else None,
        "template": run.template,
        "title": run.title,
        "formats": run.formats,
        "from": run.period_first.isoformat(),
        "to": run.period_last.isoformat(),
        "timeZone": run.time_zone,
        "trigger": run.trigger,
        "dueAt": _moment(run.slot),
        "state": run.state,
        "error": run.error or None,
        "detail": run.detail or None,
        "requestedBy": run.requested_by_name or None,
        "createdAt": _moment(run.created_at),
        "finishedAt": _moment(run.finished_at),
        "expiresAt": _moment(run.expires_at),
        "files": [shown_file(file, there=there) for file in run.files.all()],
        "notices": [shown_notice(one) for one in run.notices.all()],
    }


def shown_file(file: ReportFile, *, there: bool) -> dict[str, Any]:
    url = f"/api/v1/reports/runs/{file.run_id}/download?format={file.format}"
    return {
        "format": file.format,
        "bytes": file.size,
        "sha256": file.sha256,
        "downloadUrl": url if there and file.file else None,
    }


def shown_notice(one: ReportNotice) -> dict[str, Any]:
    return {
        "provider": one.provider.name,
        "kind": one.word,
        "state": one.state,
        "error": one.error or None,
        "madeAt": _moment(one.made_at),
        "settledAt": _moment(one.settled_at),
    }


def _moment(at: datetime | None) -> str | None:
    return clock.rfc3339(at) if at is not None else None
