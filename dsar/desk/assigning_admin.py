"""Several requests assigned together, from the board and from the list."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminSelectWidget

from dsar.desk import assigning_many
from dsar.models import DsarRequest
from dsar.requests import assigning
from dsar.requests import today as days
from dsar.requests.countdown import countdown
from dsar.requests.kinds import title_of
from kaireon.tenancy.admin_pages import TenantModelAdmin, may
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

# What the list calls it, and Django the boxes that were ticked in it.
ACTION = "assign_together"
_TICKED = "_selected_action"
PAGE = "dsar_dsarrequest_assign_together"


class TogetherForm(forms.Form):
    to = forms.ChoiceField(label="Officer", required=False, widget=UnfoldAdminSelectWidget())

    def __init__(self, given: QueryDict | None) -> None:
        super().__init__(given)
        known = [(str(member.user_id), member.user.name) for member in assigning.officers()]
        self.fields["to"].choices = [("", "Nobody"), *known]  # type: ignore[attr-defined]


class AssigningPage(TenantModelAdmin[DsarRequest]):
    """The list lets this one action through; it changes nothing by itself, but leads to the page that asks to whom."""

    actions = (ACTION,)

    def get_urls(self) -> list[URLPattern]:
        ours = path("assign-together/", self.admin_site.admin_view(self.assign_page), name=PAGE)
        return [ours, *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if may(request, Permission.MANAGE_DSAR) else {}

    def assign_together(self, request: HttpRequest, queryset: Any) -> None:
        """Never called: a POST of the list is answered before, without looking at rows."""
        raise PermissionDenied

    assign_together.short_description = "Assign together"  # type: ignore[attr-defined]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and request.POST.get("action") == ACTION:
            if not may(request, Permission.MANAGE_DSAR):
                raise PermissionDenied
            asked = QueryDict(mutable=True)
            # Those that were ticked, never all of a list that nobody has looked through.
            asked.setlist("id", request.POST.getlist(_TICKED))
            return HttpResponseRedirect(f"{reverse(f'admin:{PAGE}')}?{asked.urlencode()}")
        return super().changelist_view(request, extra_context)

    def assign_page(self, request: HttpRequest) -> HttpResponse:
        if not may(request, Permission.MANAGE_DSAR):
            raise PermissionDenied
        ids = (request.POST if request.method == "POST" else request.GET).getlist("id")
        back = self.url("board")
        try:
            rows = assigning_many.chosen(ids)
        except assigning_many.TooMany as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
            return HttpResponseRedirect(back)
        if not ids:
            self.message_user(request, "Choose requests first: tick them on the board or in the list.", messages.INFO)
            return HttpResponseRedirect(back)
        form = TogetherForm(given_by(request))
        if form.is_bound and form.is_valid():
            try:
                self._tell(request, assigning_many.assign_each(ids, to=form.cleaned_data["to"]))
                return HttpResponseRedirect(back)
            except assigning.NotAnOfficer:
                form.add_error("to", "This is no member who may work on requests.")
        today, zone = days.today(), days.zone()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Assign together",
            "headline": "Assign together",
            "form": form,
            "rows": [(row, title_of(row), countdown(row, today=today, zone=zone)) for row in rows],
            "unknown": len(set(ids)) - len(rows),
            "cancel": back,
        }
        return TemplateResponse(request, "admin/dsar/assign_together.html", context)

    def _tell(self, request: HttpRequest, given: assigning_many.Given) -> None:
        to = f"assigned to {given.name}" if given.name else "with nobody now"
        if given.assigned:
            count = len(given.assigned)
            self.succeed(request, f"{count} request{'s are' if count > 1 else ' is'} {to}.")
        if given.closed:
            text = f"Not assigned, because answered by now: {', '.join(given.closed)}."
            self.message_user(request, text, messages.WARNING)
        if given.unknown:
            text = f"Not assigned, because there is no such request here: {given.unknown}."
            self.message_user(request, text, messages.ERROR)
