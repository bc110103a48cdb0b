"""Reports that are made again and again, each time that one was made, its files, and who was told of it."""

import secrets
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F, Q

from compliance.models.alert import NotificationProvider, NotificationState
from compliance.reporting.schedule import Cadence, Span
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class ReportCadence(models.TextChoices):
    DAILY = Cadence.DAILY, "Daily"
    WEEKLY = Cadence.WEEKLY, "Weekly"
    MONTHLY = Cadence.MONTHLY, "Monthly"


class ReportSpan(models.TextChoices):
    DAY = Span.DAY, "The day before"
    WEEK = Span.WEEK, "The week before"
    MONTH = Span.MONTH, "The month before"
    QUARTER = Span.QUARTER, "The quarter before"


class ReportFormat(models.TextChoices):
    PDF = "pdf", "PDF"
    HTML = "html", "HTML"
    CSV = "csv", "CSV"


class ReportTrigger(models.TextChoices):
    REQUEST = "request", "On request"
    SCHEDULE = "schedule", "Schedule"


class ReportState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"


class ReportScheduleQuerySet(TenantQuerySet["ReportSchedule"]):
    def present(self) -> "ReportScheduleQuerySet":
        return self.filter(removed_at=None)

    def watched(self) -> "ReportScheduleQuerySet":
        """Those of which reports become due."""
        return self.present().filter(is_enabled=True)


class ReportSchedule(TenantModel):
    """A report that is made of each period of a span. What was due before `active_from` is not made up for."""

    name = models.CharField(max_length=100, help_text="Name no customer: it stands in the audit log and in messages.")
    template = models.CharField(max_length=64)
    formats = models.JSONField(default=list, help_text="pdf, html, csv.")
    span = models.CharField(max_length=8, choices=ReportSpan.choices)
    cadence = models.CharField(max_length=8, choices=ReportCadence.choices)
    weekday = models.PositiveSmallIntegerField(null=True, blank=True, help_text="1 (Monday) to 7.")
    day = models.PositiveSmallIntegerField(null=True, blank=True, help_text="1 to 31, which is the last of any month.")
    at = models.TimeField(help_text="Of the wall clock in the time zone.")
    time_zone = models.CharField(max_length=64)
    channels = models.JSONField(default=list, blank=True, help_text="Ids of notification providers.")
    is_enabled = models.BooleanField(default=True)
    active_from = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(ReportScheduleQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "report schedule"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"], condition=Q(removed_at=None), name="report_schedule_name_once"
            ),
            models.CheckConstraint(condition=Q(span__in=ReportSpan.values), name="report_span_known"),
            models.CheckConstraint(
                condition=Q(cadence="daily", weekday=None, day=None)
                | Q(cadence="weekly", weekday__range=(1, 7), day=None)
                | Q(cadence="monthly", weekday=None, day__range=(1, 31)),
                name="report_cadence_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ReportRunQuerySet(TenantQuerySet["ReportRun"]):
    def newest_first(self) -> "ReportRunQuerySet":
        return self.order_by("-created_at", "-pk")

    def open(self) -> "ReportRunQuerySet":
        return self.filter(state__in=[ReportState.QUEUED, ReportState.RUNNING])

    def scheduled(self) -> "ReportRunQuerySet":
        return self.filter(trigger=ReportTrigger.SCHEDULE)


class ReportRun(TenantModel):
    """A report of one period: asked for by a schedule, which asks once for each, or by somebody.

    With `completed` its files are there and its messages written, both in one transaction; before that there is none.
    """

    schedule = models.ForeignKey(
        ReportSchedule, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="runs"
    )
    template = models.CharField(max_length=64)
    title = models.CharField(max_length=100, help_text="The schedule's name, or the template's.")
    formats = models.JSONField(default=list)
    time_zone = models.CharField(max_length=64)
    period_first = models.DateField(help_text="The first day.")
    period_last = models.DateField(help_text="The last day.")
    trigger = models.CharField(max_length=8, choices=ReportTrigger.choices)
    slot = models.DateTimeField(null=True, blank=True, help_text="When the schedule wanted it.")
    delivers = models.BooleanField(default=False, help_text="Whether the schedule's providers are told of it.")
    state = models.CharField(max_length=16, choices=ReportState.choices, default=ReportState.QUEUED)
    error = models.CharField(max_length=64, default="", blank=True, help_text="Reason code.")
    detail = models.CharField(max_length=200, default="", blank=True, help_text="What failed, without a value.")
    requested_by = models.CharField(max_length=64, default="", blank=True)
    requested_by_name = models.CharField(max_length=200, default="", blank=True)
    job_ref = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Until when its files are kept.")

    objects = TenantManager.from_queryset(ReportRunQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "report"
        constraints = [
            # However many look at once, and wherever their clocks stand.
            models.UniqueConstraint(
                fields=["tenant", "schedule", "period_first", "period_last"],
                condition=Q(trigger="schedule"),
                name="report_period_once",
            ),
            models.CheckConstraint(condition=Q(state__in=ReportState.values), name="report_state_known"),
            models.CheckConstraint(condition=Q(period_first__lte=F("period_last")), name="report_period_some"),
            models.CheckConstraint(
                condition=Q(trigger="schedule", schedule__isnull=False, slot__isnull=False)
                | Q(trigger="request", slot=None),
                name="report_trigger_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="report_newest"),
            models.Index(fields=["tenant", "schedule", "-slot"], name="report_of_schedule"),
        ]

    def __str__(self) -> str:
        return f"{self.template} {self.period_first} to {self.period_last}"


def object_name(file: Any, _filename: str = "") -> str:
    """A random name inside the tenant's folder: nothing of what it tells is in it."""
    token = secrets.token_hex(16)
    return f"reports/{file.tenant_id}/{token[:2]}/{token}"


class ReportFileQuerySet(TenantQuerySet["ReportFile"]):
    def there(self) -> "ReportFileQuerySet":
        return self.exclude(file="")

    def expired(self, now: datetime) -> "ReportFileQuerySet":
        return self.there().filter(run__expires_at__lte=now)


class ReportFile(TenantModel):
    """A report in one format, an object in storage sealed under a data key of its own. When it is over both go.

    What it was, its length and its SHA-256, stays: a copy that somebody kept can be recognised.
    """

    run = models.ForeignKey(ReportRun, on_delete=models.DO_NOTHING, db_constraint=False, related_name="files")
    format = models.CharField(max_length=8, choices=ReportFormat.choices)
    file = models.FileField(upload_to=object_name, max_length=255, blank=True, editable=False)
    key_wrapped = models.BinaryField(null=True, editable=False)
    size = models.PositiveIntegerField(help_text="Bytes before sealing.")
    sha256 = models.CharField(max_length=64, help_text="Before sealing.")
    created_at = models.DateTimeField()

    objects = TenantManager.from_queryset(ReportFileQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "file of a report"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "run", "format"], name="report_format_once"),
            models.CheckConstraint(
                condition=Q(file="", key_wrapped=None) | (~Q(file="") & Q(key_wrapped__isnull=False)),
                name="report_file_with_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.format} {self.pk}"

    @property
    def sealing_context(self) -> str:
        return f"report:{self.tenant_id}:{self.pk}"


class ReportNotice(TenantModel):
    """One message to one provider, that a report is ready or failed, and whether it arrived. Each is sent once."""

    run = models.ForeignKey(ReportRun, on_delete=models.DO_NOTHING, db_constraint=False, related_name="notices")
    provider = models.ForeignKey(
        NotificationProvider, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    word = models.CharField(max_length=16, help_text="ready or failed.")
    message_ref = models.UUIDField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=NotificationState.choices, default=NotificationState.WAITING)
    error = models.CharField(max_length=64, default="", blank=True)
    made_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta(TenantModel.Meta):
        verbose_name = "notice of a report"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "run", "provider", "word"], name="report_told_once"),
            models.CheckConstraint(condition=Q(state__in=NotificationState.values), name="report_notice_state_known"),
        ]
        indexes = [models.Index(fields=["tenant", "message_ref"], name="report_notice_by_message")]

    def __str__(self) -> str:
        return f"{self.word} {self.pk}"
