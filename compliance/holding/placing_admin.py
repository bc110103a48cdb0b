"""Placing a hold, in two steps: what it says, then what that finds. For the page of holds."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant

from compliance.holding import matters, once, refusals, templates, words
from compliance.holding.api import HoldPreviewView, HoldsView
from compliance.holding.forms import HoldForm
from compliance.holding.matters import What
from compliance.holding.noting import NotingAdmin
from compliance.holding.scope_form import conditions_of
from compliance.models import Hold, HoldTemplate, Matter
from kaireon.api import throttles
from kaireon.api.errors import TooManyRequests
from kaireon.lib import clock
from kaireon.outbox import services as outbox
from kaireon.tenancy.admin_pages import is_uuid, principal_of, verb
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission, Role

MOST_MATTERS = 500
CHANGED = "This is not what you looked at: look again before you place it."
# What a step may be refused with, beside what the form itself finds.
_REFUSED: tuple[type[Exception], ...] = (*refusals.CODES, TooManyRequests)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a scope finds: rows by entity, and why it takes a word to place it."""

    rows: dict[str, int]
    surprise: str

    @property
    def lines(self) -> list[tuple[str, int]]:
        return sorted(((words.entity(name), rows) for name, rows in self.rows.items()), key=lambda line: -line[1])

    @property
    def total(self) -> int:
        return sum(self.rows.values())


class PlacingPage(NotingAdmin[Hold]):
    """What the form says is carried through the second step, with a token of what was looked at."""

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Place a hold",
        icon="lock",
        url_path="place",
        variant=ActionVariant.PRIMARY,
    )
    def place(self, request: HttpRequest) -> HttpResponse:
        step = request.POST.get("step", "")
        if request.method != "POST" or step in ("columns", "back"):
            return self._form_page(request, self._draft(request, more_rows=step == "columns"))
        form = HoldForm(request.POST, choices=_choices(request.POST.get("matterId", "")))
        if not form.is_valid():
            return self._form_page(request, form)
        principal = principal_of(request)
        try:
            throttles.take(
                (HoldsView if step == "place" else HoldPreviewView).rates["POST"],
                f"{principal.tenant_id}:{principal.actor.id}",
            )
            with transaction():
                return self._placed(request, form) if step == "place" else self._preview_page(request, form)
        except matters.ScopeSurprising as surprise:
            self.on_refusal(request, surprise)
            return self._preview_page(request, form, refusal=f"It finds {matters.surprise(form.what())}: tick the box.")
        except _REFUSED as refusal:
            self._refuse(request, form, refusal)
            return self._form_page(request, form)

    def _placed(self, request: HttpRequest, form: HoldForm) -> HttpResponse:
        principal, given = principal_of(request), form.cleaned_data
        seen = once.read(request.POST.get("seen", ""))
        what = form.what()
        if seen.get("scope") != _digest(form, what):
            return self._preview_page(request, form, refusal=CHANGED)
        try:
            hold = matters.place(
                matter=Matter.objects.get(pk=given["matterId"]),
                what=what,
                custodians=given["custodians"],
                confirm=request.POST.get("confirm") == "on",
                hold_id=seen["id"],
                actor=principal.actor,
                now=clock.now(),
            )
        except matters.AlreadyDone:
            return HttpResponseRedirect(self.url("change", seen["id"]))
        if given["custodians"]:
            self.after_commit(request, lambda: outbox.send_wake(principal.tenant_id))
        self.succeed(request, _held(seen["rows"], matters.reach(what)))
        return HttpResponseRedirect(self.url("change", hold.pk))

    def _preview_page(self, request: HttpRequest, form: HoldForm, *, refusal: str = "") -> HttpResponse:
        what = form.what()
        found = Found(rows=matters.reach(what), surprise=matters.surprise(what))
        given = form.cleaned_data
        members = dict(_members())
        context = {
            **self._frame(request, "What this hold would keep"),
            "form": form,
            "matter": Matter.objects.get(pk=given["matterId"]),
            "covers": words.scope(_draft_of(what), len(what.subjects or ())),
            "custodians": [members[member] for member in given["custodians"]],
            "found": found,
            "refusal": refusal,
            "seen": once.token(scope=_digest(form, what), rows=found.rows),
            "cancel": self.url("changelist"),
        }
        return TemplateResponse(request, "admin/compliance/preview.html", context)

    def _form_page(self, request: HttpRequest, form: HoldForm) -> HttpResponse:
        context = {
            **self._frame(request, "Place a hold"),
            "form": form,
            # What is filled in already is not thrown away for one.
            "templates": [] if request.method == "POST" else list(HoldTemplate.objects.order_by("name")),
            "matter": form.initial.get("matterId", ""),
            "cancel": self.url("changelist"),
        }
        return TemplateResponse(request, "admin/compliance/place.html", context)

    def _draft(self, request: HttpRequest, *, more_rows: bool) -> HoldForm:
        """The form with what was filled in so far, of which nothing is judged yet."""
        if request.method != "POST":
            wanted = request.GET.get("matter", "")
            said = {"matterId": wanted, **_templated(request.GET.get("template", ""))}
            return HoldForm(initial=said, choices=_choices(wanted))
        given: dict[str, Any] = request.POST.dict()
        given["custodians"] = request.POST.getlist("custodians")
        return HoldForm(initial=given, more_rows=more_rows, choices=_choices(request.POST.get("matterId", "")))

    def _refuse(self, request: HttpRequest, form: HoldForm, refusal: Exception) -> None:
        # Whoever only looks wants nothing yet.
        if request.POST.get("step") == "place":
            self.on_refusal(request, refusal)
        if isinstance(refusal, matters.ScopeRefused):
            form.refuse(refusal)
        else:
            form.add_error(None, refusals.WORDS.get(type(refusal), str(refusal)))

    def _frame(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "headline": title}


def _choices(wanted: str) -> dict[str, list[tuple[str, str]]]:
    """The open matters, and the one that was chosen: where it was closed meanwhile, the service says so."""
    opened = list(Matter.objects.open().newest_first()[:MOST_MATTERS])
    chosen = Matter.objects.filter(pk=wanted).first() if is_uuid(wanted) else None
    shown = {matter.pk: matter for matter in (*([chosen] if chosen else []), *opened)}.values()
    titles = [(str(m.pk), f"{m.name} ({m.reference})" if m.reference else m.name) for m in shown]
    return {"matterId": titles, "custodians": _members()}


def _templated(wanted: str) -> dict[str, Any]:
    """What the form begins with by a template; nothing, where there is none of this id."""
    template = HoldTemplate.objects.filter(pk=wanted).first() if is_uuid(wanted) else None
    if template is None:
        return {}
    return {
        "dataClass": template.data_class,
        "entity": template.entity,
        "begins": templates.begins(template, clock.now().date()),
        **conditions_of(template.query),
    }


def _members() -> list[tuple[str, str]]:
    rows = Membership.objects.filter(user__is_active=True).order_by("user__name", "user_id")
    return [
        (str(member), f"{name}, {Role(role).label.lower()}")
        for member, name, role in rows.values_list("user_id", "user__name", "role")
    ]


def _digest(form: HoldForm, what: What) -> str:
    """Of everything that is placed."""
    what = matters.checked(what)
    said = {
        "matter": form.cleaned_data["matterId"],
        "custodians": sorted(form.cleaned_data["custodians"]),
        "class": what.data_class,
        "entity": what.entity,
        "subjects": None if what.subjects is None else sorted(map(str, what.subjects)),
        "from": what.from_at and what.from_at.isoformat(),
        "until": what.until_at and what.until_at.isoformat(),
        "query": what.query,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _draft_of(what: What) -> Hold:
    return Hold(
        data_class=what.data_class,
        entity=what.entity,
        of_subjects=what.subjects is not None,
        from_at=what.from_at,
        until_at=what.until_at,
        query=matters.checked(what).query,
    )


def _held(then: dict[str, int], now: dict[str, int]) -> str:
    """A hold does not wait because rows came or went since somebody looked: what changed is told."""
    total = sum(now.values())
    text = f"It holds, from this moment on: {total:,} row{'' if total == 1 else 's'}."
    changed = [
        f"{words.entity(name)} {then.get(name, 0):,} then, {now.get(name, 0):,} now"
        for name in sorted({*then, *now})
        if then.get(name, 0) != now.get(name, 0)
    ]
    return f"{text} Since you looked that changed: {'; '.join(changed)}." if changed else text
