"""Verifications of a log: how far they are, and what they found."""

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class VerificationKind(models.TextChoices):
    FULL = "full", "The whole log"
    SINCE_LAST = "since_last", "What came since the last verified point"


class VerificationState(models.TextChoices):
    RUNNING = "running", "Not finished"
    INTACT = "intact", "Intact"
    BROKEN = "broken", "Broken"
    ABANDONED = "abandoned", "Abandoned"


class VerificationRunQuerySet(TenantQuerySet["VerificationRun"]):
    def newest_first(self) -> "VerificationRunQuerySet":
        return self.order_by("-started_at")

    def finished(self) -> "VerificationRunQuerySet":
        return self.filter(state__in=[VerificationState.INTACT, VerificationState.BROKEN])


class VerificationRun(TenantModel):
    """One verification of a log: what it covers, how far it came, what it found. Written by audit.verification.runs.

    `reached_seq` of `until_seq` records is the progress; a run that is `running` and not updated for a while was
    interrupted and is resumed by the next one of its kind. `broken_at_id`, `broken_at_seq` and `broken_reason` name the
    first fault. An intact result is bound to the signed checkpoint `checkpoint_note`: the first `checkpoint_size`
    records have the root that it signs. `point_sealed` holds what a later run starts from; it is sealed under the
    tenant's key, so whoever has the database alone can take it away, but not make one up.
    """

    kind = models.TextField(choices=VerificationKind.choices)
    state = models.TextField(choices=VerificationState.choices, default=VerificationState.RUNNING)
    asked_by = models.TextField()
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    # The first record that the run reads, the last it is to read, the last it has read.
    first_seq = models.BigIntegerField(default=1)
    until_seq = models.BigIntegerField(default=0)
    reached_seq = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    scanned = models.BigIntegerField(default=0)
    verified = models.BigIntegerField(default=0)
    broken_reason = models.TextField(null=True)
    broken_at_seq = models.BigIntegerField(null=True)
    broken_at_id = models.TextField(null=True)
    checkpoint_size = models.BigIntegerField(default=0)
    checkpoint_note = models.TextField(default="")
    point_sealed = models.BinaryField(null=True)

    objects = TenantManager.from_queryset(VerificationRunQuerySet)()

    class Meta(TenantModel.Meta):
        db_table = "audit_verificationrun"
        indexes = [models.Index(fields=["tenant", "-started_at"], name="audit_runs_newest")]
        constraints = [
            models.UniqueConstraint(fields=["tenant"], condition=Q(state="running"), name="audit_run_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_state_display()}"

    @property
    def percent(self) -> int:
        """How much of what it is to read was read, 0 to 100."""
        if self.state in (VerificationState.INTACT, VerificationState.BROKEN):
            return 100
        whole = self.until_seq - self.first_seq + 1
        return min(99, 100 * max(0, self.reached_seq - self.first_seq + 1) // whole) if whole > 0 else 0
