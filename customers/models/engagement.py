"""How engaged customers are: figures by the customer, their sums by the day, and how far the reckoning has come."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL

from customers.engagement import health
from customers.models.base import AboutCustomer
from kaireon.lib import clock
from kaireon.tenancy.fields import ExactFloat
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class HealthQuerySet(TenantQuerySet["EngagementHealth"]):
    def scored(self, at: datetime) -> "HealthQuerySet":
        """With `score_now`, the score of a moment, of all that happened until each row's `period_end`."""
        sql = health.sql_score("%s::timestamptz")
        return self.annotate(score_now=RawSQL(sql, [at] * sql.count("%s"), output_field=models.IntegerField()))  # noqa: S611


class EngagementHealth(AboutCustomer):
    """What a customer's acts amount to as of `period_end`; see customers/engagement/health.py.

    It is of `period_start` and later. Who never did anything has none.
    """

    last_act_at = models.DateTimeField("last act")
    lively = models.FloatField(help_text="Acts, each halved every 30 days.")
    steady = models.FloatField(help_text="Acts, each halved every 90 days.")
    score = models.PositiveSmallIntegerField(help_text="From 0 to 100, as of then.")
    opt_outs = models.PositiveSmallIntegerField(default=0, help_text="Channels and purposes that they have withdrawn.")
    period_start = models.DateTimeField("first act counted")
    period_end = models.DateTimeField("as of")
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = TenantManager.from_queryset(HealthQuerySet)()

    class Meta(AboutCustomer.Meta):
        verbose_name = "engagement health"
        verbose_name_plural = "engagement health"
        constraints = [models.UniqueConstraint(fields=["tenant", "customer"], name="engagement_of_customer")]
        indexes = [models.Index(fields=["tenant", "period_end"], name="engagement_by_period")]

    def figures(self) -> health.Figures:
        return health.Figures(
            at=self.period_end,
            last=self.last_act_at,
            lively=self.lively,
            steady=self.steady,
            opt_outs=self.opt_outs,
        )


class EngagementDay(TenantModel):
    """How engaged a tenant's customers were, at the last reckoning of a day (UTC)."""

    day = models.DateField()
    computed_at = models.DateTimeField("as of")
    customers = models.PositiveIntegerField(help_text="Who did anything at all.")
    engaged = models.PositiveIntegerField()
    fading = models.PositiveIntegerField()
    dormant = models.PositiveIntegerField()
    opted_out = models.PositiveIntegerField(help_text="Who has withdrawn something.")
    average = ExactFloat("average score")

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="engagement_day_once")]

    def __str__(self) -> str:
        return f"engagement on {self.day}"


class EngagementProgress(TenantModel):
    """How far the reckoning has come. `position`: the last customer done of a whole one that is under way."""

    seen_until = models.DateTimeField(null=True)
    whole_at = models.DateTimeField(null=True)
    whole_began_at = models.DateTimeField(null=True)
    position = models.UUIDField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="engagement_progress_once"),
            models.CheckConstraint(
                condition=Q(position=None) | Q(whole_began_at__isnull=False), name="engagement_position_of_something"
            ),
        ]

    def __str__(self) -> str:
        return "progress of the reckoning of engagement"
