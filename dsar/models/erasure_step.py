"""How far an erasure is."""

from django.db import models

from dsar.models.request import DsarRequest
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class Step(models.TextChoices):
    """In the order in which they are done."""

    ROWS = "rows", "Rows, in one transaction"
    JOURNAL = "journal", "The journal outside the database says so"
    OBJECTS = "objects", "Stored files, each confirmed gone"
    VERIFICATION = "verification", "A last look, and the key to the log"


class StepState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    FAILED = "failed", "Failed, tried again"


class ErasureStepQuerySet(TenantQuerySet["ErasureStep"]):
    def in_order(self) -> "ErasureStepQuerySet":
        return self.order_by("turn", "position")


class ErasureStep(TenantModel):
    """One step of one turn of an erasure: done in the transaction of its effect, and never twice.

    The first turn is the erasure itself. Where something had to stay, each later turn began by itself when a hold had
    ended, and took what it had kept. `finished_at` of a turn's step `rows` is when its rows went, with `counts` of that
    turn alone: `deleted` and `reduced` by entity, `retained`, how many rows stayed. The step `verification` ends the
    turn: from then on nothing is left but what is retained, and when nothing is, the keys are destroyed with it.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    turn = models.PositiveSmallIntegerField(default=1)
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=16, choices=Step.choices)
    state = models.CharField(max_length=8, choices=StepState.choices, default=StepState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=64, blank=True, default="", help_text="Reason code of the last failure.")
    counts = models.JSONField(default=dict, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(ErasureStepQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "step of an erasure"
        verbose_name_plural = "steps of erasures"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "request", "turn", "name"], name="erasure_step_once"),
            models.CheckConstraint(condition=models.Q(name__in=Step.values), name="erasure_step_known"),
            models.CheckConstraint(
                condition=models.Q(state="done", finished_at__isnull=False)
                | (models.Q(state__in=["waiting", "failed"]) & models.Q(finished_at=None)),
                name="erasure_step_done_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of erasure {self.request_id}"
