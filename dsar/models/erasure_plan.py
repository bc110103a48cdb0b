"""What an erasure would do, said before it is done."""

from django.db import models

from dsar.models.request import DsarRequest
from kaireon.tenancy.models import TenantModel


class Subject(models.TextChoices):
    KNOWN = "known", "Known"
    UNKNOWN = "unknown", "Nobody by this name"
    AMBIGUOUS = "ambiguous", "Several people by this name"


class ErasurePlan(TenantModel):
    """What an erasure request would erase, anonymise, shred and retain, and whose rows it means.

    `refs`, our own ids of the person, are resolved when the plan is made and frozen: the erasure takes these and no
    others. Counts are as of `made_at`; what is held is decided when the rows go. `digest` is over all that the plan
    says, and what a second person agrees to. There is one plan a request; one that was not agreed to is made anew.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    made_at = models.DateTimeField()
    subject = models.CharField(max_length=16, choices=Subject.choices)
    refs = models.JSONField(default=list, blank=True, help_text="Our own ids of the person.")
    items = models.JSONField(
        default=list, blank=True, help_text="By entity, class and action: counts, grounds and dates of what stays."
    )
    digest = models.CharField(max_length=64)
    approval_ref = models.UUIDField(null=True, blank=True, help_text="The request for a second person's yes.")
    approved_by = models.CharField(max_length=64, blank=True, default="")
    approved_at = models.DateTimeField(null=True, blank=True)
    window_until = models.DateTimeField(null=True, blank=True, help_text="Until then it can be cancelled.")

    class Meta(TenantModel.Meta):
        verbose_name = "erasure plan"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "request"], name="erasure_plan_once"),
            models.CheckConstraint(condition=models.Q(subject__in=Subject.values), name="erasure_plan_subject_known"),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "approval_ref"],
                condition=models.Q(approval_ref__isnull=False),
                name="erasure_plan_by_approval",
            )
        ]

    def __str__(self) -> str:
        return f"erasure plan {self.pk}"
