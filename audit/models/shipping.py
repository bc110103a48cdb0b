"""Where a log is shipped to, what was signed of what was shipped, and what could not be."""

from django.db import models
from django.db.models import Q

from kaireon.lib.ids import uuid7
from kaireon.tenancy.models import TenantModel


class SiemBackend(models.TextChoices):
    SPLUNK = "splunk", "Splunk"
    DATADOG = "datadog", "Datadog"
    ELASTIC = "elastic", "Elasticsearch"


class SiemDestination(TenantModel):
    """A SIEM of the tenant's own. Its credentials are sealed; nothing else here is secret."""

    name = models.CharField(max_length=64)
    backend = models.CharField(max_length=16, choices=SiemBackend.choices)
    endpoint = models.CharField(max_length=500)
    index = models.CharField(max_length=255, default="", blank=True)
    sourcetype = models.CharField(max_length=100, default="", blank=True)
    search_endpoint = models.CharField(max_length=500, default="", blank=True)
    event_bytes = models.PositiveIntegerField(
        null=True, blank=True, help_text="The largest event that is taken whole; empty for what the vendor documents."
    )
    is_gzipped = models.BooleanField(
        "gzip", default=True, help_text="Events travel as gzip, plain only where that is refused; off: always plain."
    )
    secrets_sealed = models.BinaryField(editable=False)
    is_paused = models.BooleanField(default=False, help_text="Records wait until it goes on; none is lost.")
    tested_at = models.DateTimeField(null=True, blank=True)
    test_error = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "audit_siemdestination"
        verbose_name = "SIEM destination"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="siem_destination_name_once"),
            models.CheckConstraint(condition=Q(backend__in=SiemBackend.values), name="siem_backend_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.backend})"


class ShippingReceipt(models.Model):
    """What a destination confirmed at once, signed by the log's key. It is shipped too, with what comes after it.

    `destination` is an id of SiemDestination, or `operator`. `leaves_hash` is over the records' leaf hashes, `note` the
    signed statement.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.TextField()
    destination = models.CharField(max_length=36)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    records = models.IntegerField()
    leaves_hash = models.CharField(max_length=64)
    key_version = models.IntegerField()
    note = models.TextField()
    confirmed_at = models.DateTimeField()
    shipped_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=64, default="")

    class Meta:
        db_table = "audit_shippingreceipt"
        indexes = [
            models.Index(fields=["tenant_id", "destination", "last_seq"], name="siem_receipts_of_range"),
            models.Index(
                fields=["tenant_id", "destination", "id"],
                condition=Q(shipped_at=None, error=""),
                name="siem_receipts_to_ship",
            ),
        ]

    def __str__(self) -> str:
        return f"receipt of {self.first_seq} to {self.last_seq}"


class Unshippable(models.Model):
    """Records that a destination will not take, or that were gone before they were shipped: passed over, and said so.

    `resolved_at` is set when a later try got them there, or is about to be made: what is refused again is noted anew.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.TextField()
    destination = models.CharField(max_length=36)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    code = models.CharField(max_length=64)
    noted_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_unshippable"
        indexes = [
            models.Index(
                fields=["tenant_id", "destination", "first_seq"],
                condition=Q(resolved_at=None),
                name="siem_unshippable_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.first_seq} to {self.last_seq}: {self.code}"
