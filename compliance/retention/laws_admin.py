"""The laws that bind the tenant, as a page: switched on and off, what they ask, where policies do not fit them."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from compliance.models import RetentionPolicy
from compliance.retention import binding, laws
from compliance.retention.conflicts import ConflictKind, conflicts
from compliance.retention.in_force import all_in_force
from compliance.retention.laws import Law
from customers.catalogue import DATA_CLASSES
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, may, principal_of, verb
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

TITLE = "Laws"
SAYS = {
    ConflictKind.BELOW_FLOOR: "The policy says less. The law counts.",
    ConflictKind.ABOVE_CEILING: "The policy keeps longer than the law allows. Somebody has to shorten it.",
    ConflictKind.FLOOR_ABOVE_CEILING: "Two laws contradict each other. The longer one counts.",
}


class LawsPage(TenantModelAdmin[RetentionPolicy]):
    @verb(permission=Permission.READ_RETENTION, description=TITLE, icon="gavel", url_path="laws")
    def laws(self, request: HttpRequest) -> HttpResponse:
        now = clock.now()
        with transaction():
            bound_by, counting, clashes = binding.binding(now), all_in_force(now), conflicts(now)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "laws": [(law, law.name in bound_by.names, bound_by.ends.get(law.name)) for law in laws.LAWS],
            "classes": [
                (name, counting.get(name), bound_by.floors(name), bound_by.ceilings(name))
                for name in DATA_CLASSES
                if bound_by.floors(name) or bound_by.ceilings(name)
            ],
            "clashes": [(clash, SAYS[clash.kind]) for clash in clashes],
            "may_switch": may(request, Permission.MANAGE_RETENTION),
            "now": now,
        }
        return TemplateResponse(request, "admin/compliance/laws.html", context)

    @verb(permission=Permission.MANAGE_RETENTION, description="Switch a law", icon="gavel", url_path="laws/switch")
    def switch_law(self, request: HttpRequest) -> HttpResponse:
        law = laws.BY_NAME.get(request.GET.get("law", ""))
        if law is None:
            raise Http404
        now = clock.now()
        bound_by = binding.binding(now)
        on = law.name not in bound_by.names or law.name in bound_by.ends

        def do(given: dict[str, Any]) -> HttpResponse:
            row = binding.switch(name=law.name, on=on, actor=principal_of(request).actor, now=clock.now())
            until = f" from {row.until:%Y-%m-%d %H:%M} UTC on" if row and row.until else ""
            self.succeed(request, f"{law.title} {'binds you' if on else 'binds you no more' + until}.")
            return HttpResponseRedirect(self.url("laws"))

        return self.ask(
            request,
            title=f"{law.title}: {'it binds us' if on else 'it does not bind us'}",
            lead=_what_it_does(law, on),
            form=forms.Form(given_by(request)),
            do=do,
            submit="It binds us" if on else "It binds us no more",
            cancel=self.url("laws"),
            danger=not on,
        )


def _what_it_does(law: Law, on: bool) -> str:
    if not on:
        return (
            "To the end of the cooling-off it goes on to bind. After that shorter policies count again, for old rows."
        )
    asks = [f"{', '.join(p.data_classes)} at least {p.days:,} days ({p.citation})" for p in law.floors]
    asks += [f"{', '.join(p.data_classes)} at most {p.days:,} days ({p.citation})" for p in law.ceilings]
    starts = f" From {law.starts:%d %B %Y} on." if law.starts else ""
    template = " It is a template: look your own law up first." if law.template else ""
    return f"It asks for: {'; '.join(asks)}.{starts} Policies below a floor are refused, older ones raised.{template}"
