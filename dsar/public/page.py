"""Whether a tenant has a public page, and what it says of how else to reach the tenant."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

import audit
from dsar.models import PublicPage
from dsar.requests import mail_room
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

OPENED_VERB = "dsar.public.open"
CLOSED_VERB = "dsar.public.close"
MOST_CONTACT = 500


class NoPublicUrl(RuntimeError):
    """Mails would have no link to follow: the operator has to set PUBLIC_URL first."""


@requires_transaction
def find() -> PublicPage | None:
    return PublicPage.objects.first()


@requires_transaction
def open_page(*, contact: str, language: str = "", now: datetime) -> PublicPage:
    """Have the page from now on, or change what it says; recorded as `dsar.public.open`.

    `language`, one of words.LANGUAGES, is for who reads none that the page speaks; left out it stays.

    Raises NoPublicUrl, and codes.CodeRefused with `no_mail`.
    """
    if not settings.PUBLIC_URL:
        raise NoPublicUrl("Set PUBLIC_URL to the address under which everybody reaches this installation.")
    mail_room.find()
    row = PublicPage.objects.select_for_update().first() or PublicPage(since=now)
    row.contact = contact.strip()
    row.language = language or row.language
    audit.action(OPENED_VERB, entity=row)
    row.save()
    return row


@requires_transaction
def close_page() -> None:
    """Have it no more: it is not found, links included; recorded as `dsar.public.close`. Requests go on."""
    for row in PublicPage.objects.select_for_update():
        audit.action(CLOSED_VERB, entity=row)
        row.delete()


def address() -> str:
    """Where the tenant's page is for everybody, when it has one."""
    return settings.PUBLIC_URL + reverse("privacy:ask", args=[context.tenant_id()])
