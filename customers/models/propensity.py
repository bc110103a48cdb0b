"""Models of acceptance by offer: when each is trained anew, each attempt, and the versions that came of them."""

from django.db import models
from django.db.models import Q

from customers.propensity import documents
from kaireon.lib import clock
from kaireon.tenancy.fields import ExactFloat
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

MOST_OF_A_REASON = 500


class ScheduleQuerySet(TenantQuerySet["RetrainSchedule"]):
    def for_offer(self, offer: str) -> "ScheduleQuerySet":
        return self.filter(offer=offer)


class RetrainSchedule(TenantModel):
    """When the model of an offer is trained anew, on what terms a new version is served, and which one is."""

    offer = models.CharField(max_length=128)
    is_enabled = models.BooleanField("on", default=True)
    every_days = models.PositiveSmallIntegerField("every (days)", default=7)
    window_days = models.PositiveSmallIntegerField(default=365, help_text="Presentations of so many days are learnt.")
    min_interactions = models.PositiveIntegerField(
        "least new interactions", default=200, help_text="With the offer, since the last attempt."
    )
    min_positives = models.PositiveIntegerField("least acceptances", default=20, help_text="Among what is learnt.")
    tolerance = ExactFloat(
        default=0.005, help_text="A version is served unless its log loss is so much worse than the served one's."
    )
    keep = models.PositiveSmallIntegerField("versions kept", default=10, help_text="Beside the served one.")
    versions = models.PositiveIntegerField(default=0, editable=False)
    served = models.ForeignKey(
        "customers.PropensityVersion",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        null=True,
        blank=True,
    )
    served_at = models.DateTimeField("served since", null=True, blank=True)
    served_by_name = models.CharField("served by", max_length=200, blank=True, default="")
    served_reason = models.CharField("why", max_length=MOST_OF_A_REASON, blank=True, default="")
    attempted_at = models.DateTimeField("last attempt", null=True, blank=True)
    seen_arrival = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = TenantManager.from_queryset(ScheduleQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "retrain schedule"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "offer"], name="retrain_schedule_once"),
            models.CheckConstraint(
                condition=Q(every_days__gte=1, window_days__gte=1, min_positives__gte=1, keep__gte=1, tolerance__gte=0),
                name="retrain_schedule_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(served=None) | Q(served_at__isnull=False), name="retrain_served_since_some_time"
            ),
        ]

    def __str__(self) -> str:
        return f"retrain schedule {self.pk}"


class RetrainState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SERVED = "served", "Trained and served"
    CANDIDATE = "candidate", "Trained, kept as candidate"
    NOT_TRAINED = "not_trained", "Not trained"
    FAILED = "failed", "Failed"


OPEN = (RetrainState.QUEUED, RetrainState.RUNNING)


class RunQuerySet(TenantQuerySet["RetrainRun"]):
    def open(self) -> "RunQuerySet":
        return self.filter(state__in=OPEN)

    def unfinished(self) -> "RunQuerySet":
        """Open, or failed: its job can be tried again."""
        return self.filter(state__in=[*OPEN, RetrainState.FAILED])

    def newest_first(self) -> "RunQuerySet":
        return self.order_by("-queued_at", "-id")


class RetrainRun(TenantModel):
    """An attempt to train, and what came of it. `slot` is the day (UTC) it is for: a schedule has one of each."""

    schedule = models.ForeignKey(
        RetrainSchedule, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    slot = models.CharField(max_length=48)
    cause = models.CharField(max_length=128, blank=True, default="", help_text="Why it was due.")
    state = models.CharField(max_length=16, choices=RetrainState.choices, default=RetrainState.QUEUED)
    reason = models.CharField(max_length=MOST_OF_A_REASON, blank=True, default="")
    version_number = models.PositiveIntegerField("version", null=True, blank=True)
    job_ref = models.UUIDField(null=True, editable=False)
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(RunQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "retrain"
        constraints = [models.UniqueConstraint(fields=["tenant", "schedule", "slot"], name="retrain_once_a_slot")]
        indexes = [models.Index(fields=["tenant", "-queued_at"], name="retrain_newest")]

    def __str__(self) -> str:
        return f"retrain {self.pk}"


class VersionQuerySet(TenantQuerySet["PropensityVersion"]):
    def newest_first(self) -> "VersionQuerySet":
        return self.order_by("-number")


class PropensityVersion(TenantModel):
    """A trained model: coefficients, how good they are on later examples, and what they were made from.

    It holds sums over many people and no row or id of anybody; see docs/models.md for what stands in `lineage`.
    """

    schedule = models.ForeignKey(
        RetrainSchedule, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    number = models.PositiveIntegerField("version")
    content = models.BinaryField(editable=False, help_text="Canonical JSON; docs/models.md has its form.")
    sha256 = models.CharField(max_length=64, help_text="Of the content.")
    seal = models.CharField(max_length=80, editable=False)
    as_of = models.DateTimeField(help_text="Who had been erased by then is not in it.")
    erased_then = models.PositiveBigIntegerField(default=0, editable=False)
    trained_at = models.DateTimeField()
    verdict = models.CharField(max_length=MOST_OF_A_REASON, help_text="Why it was served, or kept as a candidate.")
    train_rows = models.PositiveIntegerField("examples learnt")
    train_positives = models.PositiveIntegerField("acceptances learnt")
    test_rows = models.PositiveIntegerField("later examples")
    test_positives = models.PositiveIntegerField("later acceptances")
    people = models.PositiveIntegerField()
    base_rate = ExactFloat(help_text="Share of acceptances among the later examples.")
    auc = ExactFloat("AUC")
    log_loss = ExactFloat()
    base_log_loss = ExactFloat(help_text="Of saying the learnt share of everybody.")
    brier = ExactFloat("Brier score")
    calibration_error = ExactFloat(help_text="Mean distance of what was said from what came, over bins.")
    calibration = models.JSONField(default=list, help_text="Bins of later examples: how many, said, came.")
    lineage = models.JSONField(default=dict)

    objects = TenantManager.from_queryset(VersionQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "model version"
        constraints = [models.UniqueConstraint(fields=["tenant", "schedule", "number"], name="propensity_version_once")]
        indexes = [models.Index(fields=["tenant", "-trained_at"], name="propensity_newest")]

    def __str__(self) -> str:
        return f"model version {self.number}"

    @property
    def label(self) -> str:
        """What a decision trace calls it: fits `DecisionTrace.model_version`, and says to the byte which it was."""
        return f"v{self.number}-{self.sha256[:12]}"

    def document(self) -> documents.Document:
        """Raises documents.ModelRefused."""
        return documents.opened(bytes(self.content), version=self.pk, sealed=self.seal)
