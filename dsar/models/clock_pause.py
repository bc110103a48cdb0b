"""The times in which the clock of a request stood."""

from django.db import models
from django.db.models import F, Q

from dsar.law_packs import Ground
from dsar.models.request import DsarRequest
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

GROUNDS = [(ground.value, ground.value.capitalize()) for ground in Ground]


class ClockPauseQuerySet(TenantQuerySet["ClockPause"]):
    def of(self, request: DsarRequest) -> "ClockPauseQuerySet":
        return self.filter(request=request).order_by("paused_at", "id")

    def standing(self) -> "ClockPauseQuerySet":
        """Those that have not ended."""
        return self.filter(ended_at=None)


class ClockPause(TenantModel):
    """The clock of one request stood from `paused_at` on, until what was asked for came. One at a time.

    What was asked for and why is personal: it stands in the notes of the request under `note`, and goes with them.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    ground = models.CharField(max_length=16, choices=GROUNDS)
    paused_at = models.DateTimeField()
    paused_by = models.CharField(max_length=64)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=64, blank=True, default="")

    objects = TenantManager.from_queryset(ClockPauseQuerySet)()

    class Meta(TenantModel.Meta):
        indexes = [models.Index(fields=["tenant", "request", "paused_at"], name="clock_pause_by_request")]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "request"], condition=Q(ended_at=None), name="clock_pause_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("paused_at")), name="clock_pause_ends_after_it_began"
            ),
        ]

    @property
    def note(self) -> str:
        return f"pause:{self.pk}"

    def __str__(self) -> str:
        return f"pause {self.pk} of a clock"
