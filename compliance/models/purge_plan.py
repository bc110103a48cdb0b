"""What a purge would take, to the row, before it takes anything."""

from django.db import models
from django.db.models import F, Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class PlanState(models.TextChoices):
    PLANNED = "planned", "Planned"
    APPROVED = "approved", "Approved"
    APPLYING = "applying", "Being applied"
    APPLIED = "applied", "Applied"
    STOPPED = "stopped", "Stopped"


class PurgePlanQuerySet(TenantQuerySet["PurgePlan"]):
    def newest_first(self) -> "PurgePlanQuerySet":
        return self.order_by("-as_of", "-id")


class PurgePlan(TenantModel):
    """What would go, and on what grounds. The application may change where it stands, never what it says.

    `digest` is the SHA-256 of the canonical JSON of all that it says, its items included: what people agree to.
    """

    state = models.CharField(max_length=16, choices=PlanState.choices, default=PlanState.PLANNED)
    swept_by = models.CharField(max_length=32)
    classes = models.JSONField(null=True, blank=True, help_text="Asked for; None: all.")
    as_of = models.DateTimeField(help_text="The moment at which it was made, and from which ages count.")
    epoch = models.BigIntegerField(help_text="The tenant's hold epoch then.")
    digest = models.CharField(max_length=64)
    rows = models.BigIntegerField()
    held = models.JSONField(default=list, blank=True, help_text="Classes left alone because they are held.")
    without_policy = models.JSONField(default=list, blank=True, help_text="Classes kept because nobody said how long.")
    approval_id = models.UUIDField(null=True, blank=True, help_text="The request for a second person's yes.")
    made_by = models.CharField(max_length=64, default="", blank=True)
    made_by_name = models.CharField(max_length=200, default="", blank=True)
    made_for = models.CharField(max_length=64, default="", blank=True, help_text="The person behind an API key.")
    approved_by = models.CharField(max_length=64, default="", blank=True)
    approved_by_name = models.CharField(max_length=200, default="", blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    applied_by = models.CharField(max_length=64, default="", blank=True)
    applied_by_name = models.CharField(max_length=200, default="", blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    job_ref = models.UUIDField(null=True, blank=True)
    error = models.CharField(max_length=64, default="", blank=True, help_text="Why it stopped, as a reason code.")

    objects = TenantManager.from_queryset(PurgePlanQuerySet)()

    class Meta(TenantModel.Meta):
        indexes = [models.Index(fields=["tenant", "-as_of"], name="purge_plan_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=PlanState.values), name="purge_plan_state_known"),
            models.CheckConstraint(
                condition=Q(approved_by="") | ~(Q(approved_by=F("made_by")) | Q(approved_by=F("made_for"))),
                name="purge_plan_by_two",
            ),
        ]

    def __str__(self) -> str:
        return f"purge plan {self.pk}"


class PurgePlanItem(TenantModel):
    """One entity's rows of one class in a plan, and how many of them went.

    Exempt from audit capture: the plan's record has the digest over what it says, and what went is a disposition.
    """

    plan = models.ForeignKey(
        PurgePlan, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="items"
    )
    position = models.PositiveIntegerField()
    data_class = models.CharField(max_length=32)
    entity = models.CharField(max_length=64)
    clock = models.CharField(max_length=64)
    before = models.DateTimeField(help_text="Rows whose clock stands before it.")
    floor_before = models.DateTimeField(
        null=True, blank=True, help_text="Their own clock must stand before it too: a law asks for it."
    )
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    policy_version = models.PositiveIntegerField(default=0)
    policy_class = models.CharField(max_length=32, default="", blank=True, help_text="Whose policy, if another's.")
    law = models.CharField(max_length=500, default="", blank=True)
    rows = models.BigIntegerField()
    clock_from = models.DateTimeField()
    clock_until = models.DateTimeField()
    newest = models.UUIDField(help_text="The highest id: rows with a higher one were made later.")
    fingerprint = models.CharField(max_length=64, help_text="Sum of hashes of the ids: other rows have another.")
    held_rows = models.BigIntegerField(default=0, help_text="Past their time too, and kept by a hold with a scope.")
    held_fingerprint = models.CharField(max_length=64, default="0")
    after_clock = models.DateTimeField(null=True, blank=True)
    after_pk = models.UUIDField(null=True, blank=True)
    deleted = models.BigIntegerField(default=0)
    done = models.BooleanField(default=False)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "plan", "position"], name="purge_plan_item_once")]

    def __str__(self) -> str:
        return f"{self.rows} of {self.entity}"
