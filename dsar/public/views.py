"""The tenant's page, view by view. Each parses, limits, opens the transaction and makes one call."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

import audit
from dsar.dossiers import handing_out, keeping
from dsar.models import FollowLink
from dsar.public import filing, following, guard, progress, rights, words
from dsar.public.following import NoAddress
from dsar.public.forms import AskForm, CodeForm, FetchForm, LostForm
from dsar.public.serving import (
    FILING,
    FILING_SECONDS,
    FOLLOWING,
    FOLLOWING_SECONDS,
    drop,
    keep,
    of_tenant,
    shown,
    to,
    whose,
)
from dsar.requests import outcomes
from dsar.requests.api import DOWNLOADED_VERB, file_name
from dsar.requests.codes import CODE_LIVES, MOST_WRONG, CodeRefused, CodeTooSoon, Verdict
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.authentication import SINGLE_TENANT
from kaireon.tenancy.context import requires_transaction, transaction

CODE_MINUTES = int(CODE_LIVES.total_seconds() // 60)


@require_GET
def nowhere(request: HttpRequest) -> HttpResponseBase:
    """Of which tenants there are pages nobody is told."""
    if not settings.SINGLE_TENANT_MODE:
        raise Http404
    return HttpResponseRedirect(reverse("privacy:ask", args=[SINGLE_TENANT]))


@require_http_methods(["GET", "HEAD", "POST"])
@of_tenant
def ask(request: HttpRequest) -> HttpResponseBase:
    now = clock.now()
    with transaction():
        tenant, _ = whose()
    offered = rights.offered(tenant.regulation)
    law = words.letters_here().laws[tenant.regulation]
    if request.method != "POST":
        form = AskForm(offered=offered, now=now, initial={"shown": guard.stamp(now)})
        return shown(request, "ask", form=form, offered=offered, law=law)
    guard.limit(guard.ASKS, request)
    form = AskForm(request.POST, offered=offered, now=now)
    if not form.is_valid():
        _stamp_anew(form, request, now)
        return shown(request, "ask", form=form, offered=offered, law=law)
    given = form.cleaned_data
    guard.limit_mails(given["address"])
    with transaction():
        asked = filing.ask(
            kind=given["kind"],
            address=given["address"],
            number=given["number"],
            details=given["details"],
            language=words.here().tag,
            form=given["shown"],
            now=now,
        )
    if asked.job is not None:
        jobs.wake(asked.job)
    response = to("code" if asked.needs_code else "received")
    keep(response, FILING, asked.handle, seconds=FILING_SECONDS)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@of_tenant
def code(request: HttpRequest) -> HttpResponseBase:
    if request.method != "POST":
        return _code(request, CodeForm())
    guard.limit(guard.TRIES, request)
    form = CodeForm(request.POST)
    if not form.is_valid():
        return _code(request, form)
    with transaction():
        verdict, opened = filing.confirm(
            handle=request.COOKIES.get(FILING, ""), code=form.cleaned_data["code"], now=clock.now()
        )
    if opened is None and verdict == Verdict.PROVED:
        return to("confirmed")
    if opened is None:
        form.add_error("code", _wrong(verdict))
        return _code(request, form)
    # The cookie of the filing stays for a second click, and opens nothing any more.
    response = to("follow")
    keep(response, FOLLOWING, opened.token, seconds=FOLLOWING_SECONDS)
    return response


@require_GET
@of_tenant
def confirmed(request: HttpRequest) -> HttpResponseBase:
    """For who confirmed twice. It says the same to everybody; who follows a request here already is led to it."""
    guard.limit(guard.LOOKS, request)
    with transaction():
        follows = _link(request) is not None
    return shown(request, "confirmed", follows=follows)


@require_POST
@of_tenant
def again(request: HttpRequest) -> HttpResponseBase:
    """Another code."""
    guard.limit(guard.TRIES, request)
    handle, now = request.COOKIES.get(FILING, ""), clock.now()
    with transaction():
        waiting = filing.waiting(handle, now=now)
        address = waiting.said["address"] if waiting is not None else ""
    if address:
        guard.limit_mails(address)
    try:
        with transaction():
            job = filing.ask_again(handle=handle, now=now)
    except CodeRefused as e:
        return _code(request, CodeForm(), note=_not_sent(e))
    if job is None:
        return _code(request, CodeForm(), note=_wrong(Verdict.EXPIRED))
    jobs.wake(job)
    return _code(request, CodeForm(), note=_say("another_sent"))


@require_GET
@of_tenant
def received(request: HttpRequest) -> HttpResponseBase:
    """For what needs no code."""
    return shown(request, "received")


@require_http_methods(["GET", "HEAD", "POST"])
@of_tenant
def lost(request: HttpRequest) -> HttpResponseBase:
    """Links anew to what was asked before: the same answer whether there is anything or not, and a worker looks."""
    now = clock.now()
    if request.method != "POST":
        return shown(request, "lost", form=LostForm(now=now, initial={"shown": guard.stamp(now)}))
    guard.limit(guard.ASKS, request)
    form = LostForm(request.POST, now=now)
    if not form.is_valid():
        _stamp_anew(form, request, now)
        return shown(request, "lost", form=form)
    guard.limit_mails(form.cleaned_data["address"])
    with transaction():
        job = filing.ask_links(address=form.cleaned_data["address"], language=words.here().tag, now=now)
    jobs.wake(job)
    return to("lost-sent")


@require_GET
@of_tenant
def lost_sent(request: HttpRequest) -> HttpResponseBase:
    return shown(request, "lost-sent")


@require_http_methods(["GET", "HEAD"])
@of_tenant
def enter(request: HttpRequest, token: str) -> HttpResponseBase:
    """By the link in a mail. Its secret goes into a cookie, and out of the address that histories and others see."""
    guard.limit(guard.LOOKS, request)
    with transaction():
        link = following.find(token, now=clock.now())
    if link is None:
        return _unknown(request)
    response = to("follow")
    keep(response, FOLLOWING, token, seconds=FOLLOWING_SECONDS)
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_http_methods(["GET", "HEAD"])
@of_tenant
def follow(request: HttpRequest) -> HttpResponseBase:
    guard.limit(guard.LOOKS, request)
    return _follow(request)


@require_http_methods(["GET", "HEAD", "POST"])
@of_tenant
def withdraw(request: HttpRequest) -> HttpResponseBase:
    guard.limit(guard.LOOKS, request)
    if request.method != "POST":
        return _follow(request, "withdraw")
    now = clock.now()
    try:
        with transaction():
            link = _link(request)
            if link is None:
                return _unknown(request)
            outcomes.withdraw(request=link.request, actor=context.current().actor, now=now)
    except outcomes.RequestClosed:
        return _follow(request, note=_say("has_ended"))
    except outcomes.AlreadyErased:
        return _follow(request, note=_say("erased_already"))
    return to("follow")


@require_http_methods(["GET", "HEAD", "POST"])
@of_tenant
def fetch(request: HttpRequest) -> HttpResponseBase:
    """The package, for a code that was mailed a moment ago: the link alone opens nothing."""
    if request.method != "POST":
        guard.limit(guard.LOOKS, request)
        return _follow(request, "fetch", form=FetchForm(initial={"as_format": "zip"}))
    guard.limit(guard.TRIES, request)
    form = FetchForm(request.POST)
    if not form.is_valid():
        return _follow(request, "fetch", form=form)
    try:
        with transaction():
            link = _link(request, lock=True)
            if link is None:
                return _unknown(request)
            verdict = following.check_code(link, form.cleaned_data["code"], now=clock.now())
            given = _hand_out(link, form.cleaned_data["as_format"]) if verdict == Verdict.PROVED else None
    except keeping.StorageAway:
        # The code is good still: nothing came of it.
        return _follow(request, "fetch", form=form, note=_say("away"), status=503, headers={"Retry-After": "60"})
    if verdict != Verdict.PROVED:
        form.add_error("code", _wrong(verdict))
        return _follow(request, "fetch", form=form)
    return given or _follow(request, note=_say("package_gone"))


@require_POST
@of_tenant
def fetch_code(request: HttpRequest) -> HttpResponseBase:
    guard.limit(guard.TRIES, request)
    note = _say("code_sent")
    try:
        with transaction():
            link = _link(request, lock=True)
            if link is None:
                return _unknown(request)
            if progress.package_of(link.request, now=clock.now()) is None:
                return _follow(request, note=_say("package_gone"))
            guard.limit_mails(following.address_of(link.request))
            following.send_code(link, now=clock.now())
    except CodeRefused as e:
        note = _not_sent(e)
    except NoAddress:
        note = _say("no_address")
    return _follow(request, "fetch", form=FetchForm(initial={"as_format": "zip"}), note=note)


@require_POST
@of_tenant
def renew(request: HttpRequest) -> HttpResponseBase:
    """Another link, when somebody else may have seen this one."""
    guard.limit(guard.TRIES, request)
    try:
        with transaction():
            link = _link(request, lock=True)
            if link is None:
                return _unknown(request)
            guard.limit_mails(following.address_of(link.request))
            token = following.renew(link, now=clock.now())
    except CodeRefused as e:
        return _follow(request, note=_not_sent(e))
    except NoAddress:
        return _follow(request, note=_say("no_address"))
    response = _follow(request, token=token, note=_say("link_sent"))
    keep(response, FOLLOWING, token, seconds=FOLLOWING_SECONDS)
    return response


@require_POST
@of_tenant
def leave(request: HttpRequest) -> HttpResponseBase:
    response = to("ask")
    for cookie in (FILING, FOLLOWING):
        drop(response, cookie)
    return response


def _code(request: HttpRequest, form: forms.Form, *, note: str = "") -> HttpResponseBase:
    return shown(request, "code", form=form, note=note, minutes=CODE_MINUTES)


def _stamp_anew(form: forms.Form, request: HttpRequest, now: datetime) -> None:
    if guard.is_stale(request.POST.get("shown", ""), now):
        form.data = {**request.POST.dict(), "shown": guard.stamp(now)}


def _link(request: HttpRequest, *, token: str = "", lock: bool = False) -> FollowLink | None:
    return following.find(token or request.COOKIES.get(FOLLOWING, ""), now=clock.now(), lock=lock)


def _follow(request: HttpRequest, name: str = "follow", *, token: str = "", **said: Any) -> HttpResponseBase:
    """A page about the request that is followed, as it is now."""
    with transaction():
        link = _link(request, token=token)
        if link is None:
            return _unknown(request)
        told = progress.of(link.request, now=clock.now())
    return shown(request, name, told=told, row=link.request, link=link, **said)


def _unknown(request: HttpRequest) -> HttpResponseBase:
    # The cookie stays: of two clicks on "another link" the second may come here, and the first has set a new one.
    return shown(request, "unknown", status=404)


def _not_sent(refusal: CodeRefused) -> str:
    if isinstance(refusal, CodeTooSoon):
        return _say("too_soon", seconds=refusal.seconds)
    return _say(refusal.code, most=MOST_WRONG)


def _wrong(verdict: Verdict) -> str:
    return _say(verdict, most=MOST_WRONG)


def _say(key: str, **values: object) -> str:
    return words.here().say(key, **values)


@requires_transaction
def _hand_out(link: FollowLink, wanted: str) -> HttpResponseBase | None:
    """The file; handing it out is recorded. None when there is none any more. Raises keeping.StorageAway."""
    row = link.request
    package = progress.package_of(row, now=clock.now())
    if package is None:
        return None
    wanted = "json" if row.encrypt else wanted
    try:
        response = handing_out.FORMATS[wanted](row, package, file_name=file_name(row, wanted))
    except keeping.DossierMissing:
        return None
    audit.record(
        action=DOWNLOADED_VERB,
        entity_type="DsarRequest",
        entity_id=str(row.pk),
        changes={"via": {"new": "public page"}},
    )
    return response
