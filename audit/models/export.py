"""Files of the log that somebody asked for."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class ExportStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    PROCESSING = "processing", "Processing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


class AuditExportQuerySet(TenantQuerySet["AuditExport"]):
    def newest_first(self) -> "AuditExportQuerySet":
        return self.order_by("-created_at", "-pk")

    def open(self) -> "AuditExportQuerySet":
        return self.filter(status__in=[ExportStatus.QUEUED, ExportStatus.PROCESSING])

    def expired(self, now: datetime) -> "AuditExportQuerySet":
        """Whose time is over and whose file may still be there."""
        return self.filter(expires_at__lte=now).exclude(object_name=None)


class AuditExport(TenantModel):
    """A file of the log that somebody asked for: what of, by whom, how far it is, and what it came to.

    `object_name` is set together with the status `completed`: before that nothing can be downloaded.
    """

    format = models.CharField(max_length=8)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    entity_type = models.TextField(default="", blank=True)
    action = models.TextField(default="", blank=True)
    status = models.CharField(max_length=16, choices=ExportStatus.choices, default=ExportStatus.QUEUED)
    requested_by = models.TextField(default="", blank=True)
    requested_by_name = models.TextField()
    first_seq = models.BigIntegerField(null=True, blank=True)
    last_seq = models.BigIntegerField(null=True, blank=True)
    records = models.BigIntegerField(null=True, blank=True)
    size = models.BigIntegerField(null=True, blank=True, help_text="Of the file, in bytes.")
    sha256 = models.CharField(max_length=64, default="", blank=True)
    manifest = models.JSONField(null=True, blank=True)
    object_name = models.CharField(max_length=300, null=True, blank=True, editable=False)
    error = models.CharField(max_length=64, default="", blank=True, help_text="Reason code.")
    job_ref = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(AuditExportQuerySet)()

    class Meta(TenantModel.Meta):
        db_table = "audit_export"
        verbose_name = "audit export"
        indexes = [models.Index(fields=["tenant", "-created_at"], name="audit_export_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ExportStatus.values), name="audit_export_status_known"),
            models.CheckConstraint(
                condition=Q(object_name=None) | Q(status="completed"), name="audit_export_file_means_completed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.format} export {self.pk}"
