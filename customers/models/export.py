"""Interactions that left as files: how far, which files, and what the manifests say of them."""

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class ExportCheckpoint(TenantModel):
    """How far the export of the tenant's interactions is: everything up to (`arrival`, `last_id`) is in a file."""

    arrival = models.BigIntegerField(default=0)
    last_id = models.UUIDField(default=UUID(int=0))
    batches = models.BigIntegerField(default=0)
    entries = models.BigIntegerField(default=0)
    strikes = models.BigIntegerField(default=0, help_text="How often somebody was looked for, to be taken out.")
    head = models.CharField(max_length=64, blank=True, default="", help_text="SHA-256 of the newest manifest.")
    caught_up_at = models.DateTimeField(null=True, blank=True, help_text="When nothing was left to export last.")
    failed_at = models.DateTimeField(null=True, blank=True, help_text="Empty when the last run went well.")
    error = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        verbose_name = "export checkpoint"
        constraints = [models.UniqueConstraint(fields=["tenant"], name="export_checkpoint_once")]

    def __str__(self) -> str:
        return f"export checkpoint {self.pk}"


class ExportBatchQuerySet(TenantQuerySet["ExportBatch"]):
    def in_storage(self) -> "ExportBatchQuerySet":
        """Those whose file is there."""
        return self.filter(removed_at=None)

    def cut_before(self, moment: datetime) -> "ExportBatchQuerySet":
        return self.in_storage().filter(cut_at__lt=moment)

    def in_order(self) -> "ExportBatchQuerySet":
        return self.order_by("number")


class ExportBatch(TenantModel):
    """One file of interactions. `subjects` finds the file again when one of them is erased."""

    number = models.BigIntegerField()
    object_name = models.CharField(max_length=255)
    revision = models.PositiveIntegerField(default=0, help_text="How often it was written anew without somebody.")
    rows = models.PositiveIntegerField()
    size = models.BigIntegerField(help_text="Bytes of the file.")
    sha256 = models.CharField(max_length=64, help_text="Of the file.")
    subjects = models.BinaryField(editable=False, help_text="The last eight bytes of each customer's id.")
    cut_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True, help_text="When its file was given up.")

    objects = TenantManager.from_queryset(ExportBatchQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "export batch"
        verbose_name_plural = "export batches"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="export_batch_once"),
            models.UniqueConstraint(fields=["tenant", "object_name"], name="export_batch_name_once"),
        ]
        indexes = [models.Index(fields=["tenant", "cut_at"], condition=Q(removed_at=None), name="export_batch_by_time")]

    def __str__(self) -> str:
        return f"export batch {self.number}"


class ExportEntryQuerySet(TenantQuerySet["ExportEntry"]):
    def unwritten(self) -> "ExportEntryQuerySet":
        """Those that are not known to be in storage yet."""
        return self.filter(written_at=None)

    def in_order(self) -> "ExportEntryQuerySet":
        return self.order_by("number")

    def of(self, reference: UUID) -> "ExportEntryQuerySet":
        return self.filter(reference=reference)


class ExportEntry(TenantModel):
    """One manifest: what happened to a file, to the byte as it is in storage. Each names the hash of the one before."""

    number = models.BigIntegerField()
    content = models.BinaryField(editable=False, help_text="Canonical JSON; docs/exports.md has its form.")
    sha256 = models.CharField(max_length=64, help_text="Of the content.")
    reference = models.UUIDField(null=True, blank=True, help_text="The request whose erasure it tells of.")
    removed = models.PositiveIntegerField(default=0, help_text="Rows that the erasure took out of the file.")
    made_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True, blank=True, help_text="When the object was read back.")

    objects = TenantManager.from_queryset(ExportEntryQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "export manifest"
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="export_entry_once")]
        indexes = [
            models.Index(fields=["tenant", "number"], condition=Q(written_at=None), name="export_entry_unwritten"),
            models.Index(fields=["tenant", "reference"], condition=~Q(reference=None), name="export_entry_by_request"),
        ]

    def __str__(self) -> str:
        return f"export manifest {self.number}"
