"""Where the tenant is not as its file declares, and since when."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from compliance.models import Drift
from kaireon.tenancy.admin_pages import TenantModelAdmin, column
from kaireon.tenancy.roles import Permission


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Differs now"), ("gone", "Gone")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "open":
            return queryset.filter(resolved_at=None)
        return queryset.exclude(resolved_at=None) if self.value() == "gone" else queryset


@admin.register(Drift)
class DriftAdmin(TenantModelAdmin[Drift]):
    view_permission = Permission.READ_RETENTION
    list_display = ("first_seen_at", "kind", "name", "what", "difference", "state")
    list_filter = (OpenFilter,)
    search_equal = ("name",)
    search_help_text = "Name"
    ordering = ("-first_seen_at",)
    fieldsets = (
        (None, {"fields": ("kind", "name", "what", "difference", "state")}),
        ("Times", {"fields": ("first_seen_at", "last_seen_at", "resolved_at")}),
    )
    when_empty = "Everything is as declared, or nothing is declared: see CONFIG_DIR and the job gitops-drift-check."

    def headline(self, row: Drift) -> str:
        return f"{row.kind}: {row.name}"

    @column("Difference")
    def difference(self, row: Drift) -> SafeString:
        told = ((field, _shown(one["declared"]), _shown(one["actual"])) for field, one in sorted(row.fields.items()))
        return format_html_join("; ", "{}: declared {}, is {}", told)

    @column("State", label={"differs": "warning", "gone": "success"})
    def state(self, row: Drift) -> tuple[str, str]:
        return ("gone", "gone") if row.resolved_at else ("differs", "differs")


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
