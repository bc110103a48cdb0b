"""Following a request by the secret in a link: what it shows, another link, withdrawing, fetching the package."""

from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from django.db import transaction as database
from django.db.models import Max, Q

import audit
from dsar.models import DsarRequest, FollowLink, SubjectType
from dsar.public import mails, tokens
from dsar.public.mails import Opened
from dsar.requests import codes, subjects
from dsar.requests.codes import Verdict
from kaireon.outbox import services as outbox
from kaireon.tenancy.context import requires_transaction

# From filing, and after the answer. Every law here has answered by then.
LIVES = timedelta(days=365)
LIVES_AFTER = timedelta(days=60)
# One that somebody asked for who had lost theirs.
FRESH_LIVES = timedelta(days=30)
# So many requests a mail leads to, the newest first.
MOST_LINKS = 10
_MOST_LOOKED_AT = 200
MOST_CODES = 20
CODE_VERB = "dsar.public.code_sent"
WRONG_VERB = "dsar.public.wrong_code"
RENEWED_VERB = "dsar.public.link_renewed"


class NoAddress(RuntimeError):
    """The address went with the person who was erased: nothing can be mailed to them any more."""


@requires_transaction
def open_link(*, request: DsarRequest, now: datetime) -> Opened:
    """Make the link by which a request is followed, and mail it. Raises codes.CodeRefused with `no_mail`."""
    opened = _made(request, lives=LIVES, now=now)
    _mail(opened.link, request, opened.token, now=now)
    return opened


@requires_transaction
def open_anew(*, address: str, now: datetime) -> list[Opened]:
    """Another link to each request that was confirmed from this address and is followed still; those there are go on.

    The newest requests first, and no more than MOST_LINKS. None after an erasure, when nobody knows the address.
    """
    email = subjects.normal(SubjectType.EMAIL, address)
    by_address = Q(subject_key__in=subjects.keys(SubjectType.EMAIL, email))
    by_number = Q(subject_type=SubjectType.CUSTOMER_ID, customer_ref__in=subjects.refs_at(email))
    followed = FollowLink.objects.filter(ends_at__gt=now).values("request_id")
    rows = DsarRequest.objects.filter(by_address | by_number, pk__in=followed).newest_first()
    rows = rows.exclude(closed_at__lte=now - LIVES_AFTER)
    theirs = (row for row in rows[:_MOST_LOOKED_AT] if row.notes.get("address") == email)
    return [_made(row, lives=FRESH_LIVES, now=now) for row in islice(theirs, MOST_LINKS)]


def _made(request: DsarRequest, *, lives: timedelta, now: datetime) -> Opened:
    token = tokens.new()
    link = FollowLink(request=request, token_hash=tokens.hashed(token), made_at=now, ends_at=now + lives)
    link.save(force_insert=True)
    return Opened(link=link, token=token)


@requires_transaction
def find(token: str, *, now: datetime, lock: bool = False) -> FollowLink | None:
    """None for a link that ended, was replaced, or never was; by itself one ends some time after the answer."""
    rows = FollowLink.objects.select_related("request").filter(token_hash=tokens.hashed(token), ends_at__gt=now)
    link = (rows.select_for_update(of=("self",)) if lock else rows).first()
    if link is None or (link.request.closed_at is not None and link.request.closed_at + LIVES_AFTER <= now):
        return None
    return link


@requires_transaction
def renew(link: FollowLink, *, now: datetime) -> str:
    """End every link to this request and mail another; gives its secret. Recorded as `dsar.public.link_renewed`.

    Raises NoAddress, codes.CodeTooSoon, and codes.CodeRefused with `no_mail`.
    """
    since = (now - link.made_at).total_seconds()
    wait = int(codes.RESEND_AFTER.total_seconds() - since) + 1
    if wait > 1:
        raise codes.CodeTooSoon(wait)
    token = tokens.new()
    others = FollowLink.objects.filter(request=link.request).exclude(pk=link.pk)
    latest = others.aggregate(latest=Max("ends_at"))["latest"] or link.ends_at
    others.delete()
    audit.action(RENEWED_VERB, entity=link)
    link.token_hash, link.made_at, link.ends_at = tokens.hashed(token), now, max(latest, link.ends_at)
    link.save()
    _mail(link, link.request, token, now=now)
    return token


@requires_transaction
def send_code(link: FollowLink, *, now: datetime) -> None:
    """Mail a code for fetching the package; the one before ends. Of the locked link.

    Raises NoAddress, codes.CodeTooSoon, and codes.CodeRefused.
    """
    codes.may_send(link, now=now, most=MOST_CODES)
    to = address_of(link.request)
    code = codes.make(link, verb=CODE_VERB, owner=link.pk, now=now)
    row = link.request
    mail = mails.post_code(to=to, code=code, fetching=True, language=row.language, about=row.customer_ref, now=now)
    database.on_commit(partial(outbox.wake, mail))


@requires_transaction
def check_code(link: FollowLink, code: str, *, now: datetime) -> Verdict:
    """Whether it is the code that was sent; the right one has ended then. Of the locked link; commit in any case."""
    verdict = codes.check(link, code, verb=WRONG_VERB, owner=link.pk, now=now)
    if verdict == Verdict.PROVED:
        link.code_hash = ""
        link.save(update_fields=["code_hash"])
    return verdict


@requires_transaction
def forget_ended(*, now: datetime, dry_run: bool = False) -> int:
    """Delete the links that ended; how many."""
    ended = FollowLink.objects.filter(ends_at__lte=now)
    return ended.count() if dry_run else ended.delete()[0]


def _mail(link: FollowLink, request: DsarRequest, token: str, *, now: datetime) -> None:
    to = address_of(request)
    mail = mails.post_link(
        to=to,
        token=token,
        link_ends_at=link.ends_at,
        language=request.language,
        about=request.customer_ref,
        now=now,
    )
    database.on_commit(partial(outbox.wake, mail))


@requires_transaction
def address_of(request: DsarRequest) -> str:
    """The address that was confirmed. Raises NoAddress."""
    address = request.notes.get("address", "")
    if not address:
        raise NoAddress(str(request.pk))
    return address
