"""What the list of requests can be narrowed to beside its columns: who works on them, how urgent they are."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from dsar.desk.board import MINE, NOBODY, urgent
from dsar.requests import assigning
from dsar.requests import today as days
from dsar.urgency import TITLES, Urgency
from kaireon.tenancy.admin_pages import principal_of


class AssignedFilter(SimpleListFilter):
    title = "officer"
    parameter_name = "assigned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = [(str(member.user_id), member.user.name) for member in assigning.officers()]
        return [(MINE, "Mine"), (NOBODY, "Nobody's"), *known]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if not self.value():
            return None
        who = {MINE: principal_of(request).actor.id, NOBODY: ""}.get(str(self.value()), self.value())
        return queryset.filter(assigned_to=who)


class UrgencyFilter(SimpleListFilter):
    title = "urgency"
    parameter_name = "urgency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(urgency), title) for urgency, title in TITLES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() not in list(Urgency):
            return None
        return queryset.filter(urgent(Urgency(str(self.value())), today=days.today()))
