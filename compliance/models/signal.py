"""What the scan of the log found that somebody should look at, and how far it has looked."""

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class SignalState(models.TextChoices):
    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"


class SignalSeverity(models.TextChoices):
    PAGE = "page", "Page"
    ROUTINE = "routine", "Routine"


class SignalKind(models.TextChoices):
    FIRST_WORKFLOW = "new_account_first_workflow", "First workflow of a new account"
    BEFORE_JOINING = "event_before_joining", "Event dated before joining"
    ESCALATION = "new_account_escalation", "New account goes further"
    ODD_HOURS = "bulk_export_odd_hours", "Bulk export at odd hours"
    RELEASE_THEN_PURGE = "hold_release_then_purge", "Hold released, then a purge"
    MASS_ERASURE = "mass_erasure", "Mass erasure"
    AUDIT_VIEWS = "audit_view_spike", "Audit log read in haste"
    PROBING = "cross_tenant_probing", "Probing what is not theirs"
    STUFFING = "credential_stuffing", "Sign-in tried from many addresses"


class SignalQuerySet(TenantQuerySet["SecuritySignal"]):
    def open(self) -> "SignalQuerySet":
        return self.filter(state=SignalState.OPEN)

    def not_emitted(self) -> "SignalQuerySet":
        return self.filter(emitted_at=None)

    def newest_first(self) -> "SignalQuerySet":
        return self.order_by("-raised_at", "-id")


class SecuritySignal(TenantModel):
    """One fact of the log, said once: the database refuses a second one with its fingerprint.

    It names members, keys and records by our own ids alone. The note of whoever acknowledged it is sealed: people
    write down names.
    """

    kind = models.CharField(max_length=32, choices=SignalKind.choices)
    severity = models.CharField(max_length=8, choices=SignalSeverity.choices)
    evidence = models.JSONField(default=list, blank=True, help_text="What made it a page, as words of our own.")
    about = models.JSONField(default=dict, blank=True, help_text="Counts, spans and ids; nothing personal.")
    member_id = models.CharField(max_length=64, blank=True, default="")
    actor_id = models.CharField(max_length=64, blank=True, default="")
    record_id = models.UUIDField(help_text="The record of the log that it is about.")
    occurred_at = models.DateTimeField()
    raised_at = models.DateTimeField()
    emitted_at = models.DateTimeField(null=True, blank=True, help_text="When its line was written.")
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=SignalState.choices, default=SignalState.OPEN)
    acknowledged_by = models.CharField(max_length=64, blank=True, default="")
    acknowledged_by_name = models.CharField(max_length=200, blank=True, default="")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    note_sealed = models.BinaryField(null=True, blank=True)

    objects = TenantManager.from_queryset(SignalQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "security signal"
        indexes = [
            models.Index(fields=["tenant", "-raised_at"], name="signal_newest"),
            models.Index(fields=["tenant", "kind", "occurred_at"], name="signal_of_a_kind"),
            models.Index(fields=["tenant", "id"], condition=Q(emitted_at=None), name="signal_to_emit"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "fingerprint"], name="signal_once"),
            models.CheckConstraint(condition=Q(kind__in=SignalKind.values), name="signal_kind_known"),
            models.CheckConstraint(condition=Q(severity__in=SignalSeverity.values), name="signal_severity_known"),
            models.CheckConstraint(
                condition=Q(state="open", acknowledged_at=None)
                | Q(state="acknowledged", acknowledged_at__isnull=False),
                name="signal_acknowledged_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def sealing_context(self) -> str:
        return f"security-signal:{self.pk}"


class ScanCoverage(TenantModel):
    """A span of time of a tenant's log that was scanned; what lies between two spans was not yet.

    `through_seq` is how far the log went when it was last read, `platform_seq` the same of the platform's: what comes
    after it is looked at whatever its time. Exempt from audit capture: it moves with every scan, and a scan is
    recorded as the run of a job.
    """

    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    through_seq = models.BigIntegerField(default=0)
    platform_seq = models.BigIntegerField(default=0)
    scanned_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        indexes = [models.Index(fields=["tenant", "begins_at"], name="scan_coverage")]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gte=models.F("begins_at")), name="scan_span_is_forward")
        ]

    def __str__(self) -> str:
        return f"scanned {self.begins_at:%Y-%m-%d %H:%M} to {self.ends_at:%Y-%m-%d %H:%M}"
