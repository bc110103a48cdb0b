"""What the page mails: a code, and the link to follow a request by. Both are personal data, and end with their use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from dsar.models import FollowLink
from dsar.public import words
from dsar.requests import clocks, mail_room
from dsar.requests.codes import CODE_LIVES
from kaireon.outbox.models import Message
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

# Until then a mail server that is away may have come back.
LINK_MAIL_LIVES = timedelta(days=3)
MOST_SUBJECT = 200


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A link, and its secret, which nobody else is told."""

    link: FollowLink
    token: str


@requires_transaction
def post_code(
    *, to: str, code: str, fetching: bool = False, language: str, about: UUID | None, now: datetime
) -> Message:
    """A code for what was just asked, or for fetching a package. Raises codes.CodeRefused with `no_mail`."""
    name, say = _tenant_name(), words.of(language).say
    lines = [
        say("mail_code_fetch" if fetching else "mail_code_ask", tenant=name),
        "",
        say("mail_code", code=code),
        "",
        say("mail_code_use", minutes=int(CODE_LIVES.total_seconds() // 60)),
        say("mail_code_not_you"),
    ]
    subject = say("mail_code_subject", tenant=name)
    return _post(to, subject, lines, about=about, ends_at=now + CODE_LIVES, now=now)


@requires_transaction
def post_link(
    *, to: str, token: str, link_ends_at: datetime, language: str, about: UUID | None, now: datetime
) -> Message:
    """Raises codes.CodeRefused with `no_mail`."""
    name, say = _tenant_name(), words.of(language).say
    lines = [
        say("mail_link_received", tenant=name),
        "",
        say("mail_link"),
        _link(token),
        "",
        say("mail_link_use", day=_day(link_ends_at, language)),
    ]
    subject = say("mail_link_subject", tenant=name)
    return _post(to, subject, lines, about=about, ends_at=now + LINK_MAIL_LIVES, now=now)


@requires_transaction
def post_links(*, to: str, opened: Sequence[Opened], language: str, about: UUID | None, now: datetime) -> Message:
    """All of them in one. Raises codes.CodeRefused with `no_mail`."""
    name, here = _tenant_name(), words.of(language)
    lines = [here.say("mail_links", tenant=name), ""]
    for each in opened:
        row = each.link.request
        title = here.wish(row.request_type, row.regulation).title
        received = row.received_at.astimezone(clocks.zone_of(row))
        lines += [here.say("mail_links_one", what=title, day=_day(received, language)), _link(each.token), ""]
    ends_at = max(each.link.ends_at for each in opened)
    lines += [here.say("mail_links_use", day=_day(ends_at, language)), here.say("mail_links_not_you")]
    subject = here.say("mail_links_subject", tenant=name)
    return _post(to, subject, lines, about=about, ends_at=now + LINK_MAIL_LIVES, now=now)


def _link(token: str) -> str:
    return settings.PUBLIC_URL + reverse("privacy:enter", args=[context.tenant_id(), token])


def _day(value: datetime, language: str) -> str:
    with translation.override(words.of(language).tag):
        return words.day(value)


def _post(to: str, subject: str, lines: list[str], *, about: UUID | None, ends_at: datetime, now: datetime) -> Message:
    # A tenant's name may be longer than a subject, and hold what no header may.
    clean = " ".join(subject.split())[:MOST_SUBJECT]
    room = mail_room.find()
    return mail_room.post(room, to=to, subject=clean, text="\n".join(lines), about=about, ends_at=ends_at, now=now)


def _tenant_name() -> str:
    return Tenant.objects.values_list("name", flat=True).get(pk=context.tenant_id())
