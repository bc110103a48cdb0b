"""How engaged customers are: who, and how many from day to day."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from customers.data_admin import CustomerDataAdmin
from customers.engagement import health, picture
from customers.engagement.health import Band, Trend
from customers.models import EngagementDay, EngagementHealth
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column
from kaireon.tenancy.roles import Permission

_BANDS = {Band.ENGAGED: "success", Band.FADING: "warning", Band.DORMANT: "info"}
_TRENDS = {Trend.RISING: "more than before", Trend.STEADY: "as before", Trend.FALLING: "less than before"}
# As many days as a quarter has, so that a trend of weeks can be seen.
DAYS_SHOWN = 92


class BandFilter(admin.SimpleListFilter):
    title = "band today"
    parameter_name = "band"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(band.value, band.value.capitalize()) for band in Band]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        edges = {
            Band.ENGAGED: (health.ENGAGED_FROM, 101),
            Band.FADING: (health.FADING_FROM, health.ENGAGED_FROM),
            Band.DORMANT: (0, health.FADING_FROM),
        }
        asked = self.value()
        if asked not in set(Band):
            return queryset
        least, less_than = edges[Band(asked)]
        return queryset.filter(score_now__gte=least, score_now__lt=less_than)


@admin.register(EngagementHealth)
class EngagementHealthAdmin(CustomerDataAdmin[EngagementHealth]):
    clock = "last_act_at"
    list_display = ("last_act_at", "whose", "today", "trend", "opt_outs", "period_end")
    list_filter = (BandFilter,)
    when_empty = "The job engagement-health-recompute reckons it from interactions, every night."

    def get_queryset(self, request: HttpRequest) -> QuerySet[EngagementHealth]:
        found: Any = super().get_queryset(request)
        return found.scored(clock.now())  # type: ignore[no-any-return]

    @column("Score today", ordering="score_now", label={band.value: colour for band, colour in _BANDS.items()})
    def today(self, row: Any) -> tuple[str, str]:
        band = health.band(row.score_now)
        return band.value, f"{row.score_now} {band.value}"

    @column("Acts")
    def trend(self, row: EngagementHealth) -> str:
        return _TRENDS[row.figures().later(clock.now()).trend]


@admin.register(EngagementDay)
class EngagementDayAdmin(TenantModelAdmin[EngagementDay]):
    view_permission = Permission.READ_CUSTOMERS
    list_display = ("day", "customers", "engaged", "fading", "dormant", "opted_out", "mean")
    list_before_template = "admin/customers/engagement.html"
    search_equal = ()
    ordering = ("-day",)
    fieldsets = (
        (None, {"fields": ("day", "computed_at", "customers", "mean")}),
        ("Bands", {"fields": ("engaged", "fading", "dormant", "opted_out")}),
    )
    when_empty = "The job engagement-health-recompute adds a day every night."

    @column("Average score", ordering="average")
    def mean(self, row: EngagementDay) -> str:
        return f"{row.average:.1f}"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        days = list(EngagementDay.objects.order_by("-day")[:DAYS_SHOWN])[::-1]
        shown = {"picture": picture.svg(days), "days": len(days), **(extra_context or {})}
        return super().changelist_view(request, shown)
