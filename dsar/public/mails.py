"""What the page mails: a code, and the link to follow a request by. Both are personal data, and end with their use."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from dsar.requests import mail_room
from dsar.requests.codes import CODE_LIVES
from kaireon.outbox.models import Message
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

# Until then a mail server that is away may have come back.
LINK_MAIL_LIVES = timedelta(days=3)
MOST_SUBJECT = 200


@requires_transaction
def post_code(*, to: str, code: str, fetching: bool = False, about: UUID | None, now: datetime) -> Message:
    """A code for what was just asked, or for fetching a package. Raises codes.CodeRefused with `no_mail`."""
    name = _tenant_name()
    wants = "wants to fetch from" if fetching else "asked"
    lines = [
        f"Somebody, we think you, {wants} {name} {'what it knows about you' if fetching else 'about your data'}.",
        "",
        f"Your code: {code}",
        "",
        f"It is good for {int(CODE_LIVES.total_seconds() // 60)} minutes. Enter it where you asked, and nowhere else.",
        "If it was not you, do nothing: without the code nothing happens.",
    ]
    return _post(to, f"Your code for {name}", lines, about=about, ends_at=now + CODE_LIVES, now=now)


@requires_transaction
def post_link(*, to: str, token: str, ends_at: datetime, about: UUID | None, now: datetime) -> Message:
    """Raises codes.CodeRefused with `no_mail`."""
    name = _tenant_name()
    link = settings.PUBLIC_URL + reverse("privacy:enter", args=[context.tenant_id(), token])
    lines = [
        f"{name} has received your request about your data.",
        "",
        "See how far it has come, or withdraw it:",
        link,
        "",
        f"Keep this link to yourself: whoever has it sees your request. It ends on {ends_at:%-d %B %Y} at the latest.",
    ]
    return _post(to, f"Your request to {name}", lines, about=about, ends_at=now + LINK_MAIL_LIVES, now=now)


def _post(to: str, subject: str, lines: list[str], *, about: UUID | None, ends_at: datetime, now: datetime) -> Message:
    # A tenant's name may be longer than a subject, and hold what no header may.
    clean = " ".join(subject.split())[:MOST_SUBJECT]
    room = mail_room.find()
    return mail_room.post(room, to=to, subject=clean, text="\n".join(lines), about=about, ends_at=ends_at, now=now)


def _tenant_name() -> str:
    return Tenant.objects.values_list("name", flat=True).get(pk=context.tenant_id())
