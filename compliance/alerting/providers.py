"""A tenant's ways to tell people. What is secret goes into the outbox's destination and is never shown again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

import audit
from compliance.models import AlertRule, NotificationProvider, ProviderKind, ReportSchedule
from kaireon.lib.ids import uuid7
from kaireon.outbox import destinations
from kaireon.outbox.destinations import LEAST_SECRET, DestinationRefused
from kaireon.outbox.models import Destination
from kaireon.tenancy.context import requires_transaction

LONGEST_NAME = 64
MOST_RECIPIENTS = 20
MOST_PROVIDERS = 50
# Reserved never to lead anywhere (RFC 2606, section 2).
_NOWHERE = "https://removed.invalid/"


class ProviderRefused(ValueError):
    """The provider cannot be so. `field` is what is wrong, as on the wire; no value is repeated."""

    code = "provider_refused"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ProviderNotFound(LookupError):
    """There is none of this id, or it was removed."""

    code = "not_found"


class ProviderInUse(RuntimeError):
    """Rules tell it of their alerts, or schedules of their reports. `str()` of it names them."""

    code = "provider_in_use"


@requires_transaction
def create(
    *,
    name: str,
    kind: str,
    url: str | None = None,
    secret: str | None = None,
    recipients: Sequence[str] = (),
    enabled: bool = True,
    now: datetime,
) -> NotificationProvider:
    """Make a provider; recorded as `notification_provider.create`.

    A webhook takes an address and the secret that signs what is sent to it; a Slack or Teams channel the address of its
    webhook, which is a secret itself; e-mail takes recipients. Raises ProviderRefused.
    """
    if kind not in ProviderKind.values:
        raise ProviderRefused("kind", f"is one of {', '.join(ProviderKind.values)}.")
    if NotificationProvider.objects.present().count() >= MOST_PROVIDERS:
        raise ProviderRefused("name", f"there are {MOST_PROVIDERS} already, the most there can be: remove one.")
    row = NotificationProvider(id=uuid7(), kind=kind, created_at=now, destination_ref=UUID(int=0))
    audit.action("notification_provider.create", entity=row)
    return _put(row, name=name, url=url, secret=secret, recipients=recipients, enabled=enabled, now=now)


@requires_transaction
def change(provider_id: UUID, *, given: Mapping[str, Any], now: datetime) -> NotificationProvider:
    """Change what is given of name, url, secret, recipients and enabled; recorded as `notification_provider.update`.

    Raises ProviderNotFound, ProviderRefused.
    """
    row = locked(provider_id)
    audit.action("notification_provider.update", entity=row)
    kept = {"name": row.name, "recipients": row.recipients, "enabled": row.is_enabled, "url": None, "secret": None}
    return _put(row, **{**kept, **given}, now=now)


@requires_transaction
def remove(provider_id: UUID, *, now: datetime) -> None:
    """Tell it nothing more; recorded as `notification_provider.remove`. What it was told stays in the history.

    Raises ProviderNotFound, ProviderInUse.
    """
    row = locked(provider_id)
    using = AlertRule.objects.present().filter(channels__contains=[str(row.pk)]).order_by("name")
    reports = ReportSchedule.objects.present().filter(channels__contains=[str(row.pk)]).order_by("name")
    for kind, users in (("rules", using), ("report schedules", reports)):
        if names := list(users.values_list("name", flat=True)[:5]):
            raise ProviderInUse(f"{', '.join(names)}: take it out of these {kind} first.")
    where = _destination(row)
    if where is not None and row.kind != ProviderKind.EMAIL:
        # What still waits dies there, and the secret is gone.
        leads = {"url": _NOWHERE} if row.kind == ProviderKind.WEBHOOK else {}
        _save(row, leads, secret=_NOWHERE, now=now)
    audit.action("notification_provider.remove", entity=row)
    row.removed_at = row.updated_at = now
    row.host, row.recipients = "", []
    row.save(update_fields=["removed_at", "updated_at", "host", "recipients"])


@requires_transaction
def locked(provider_id: UUID) -> NotificationProvider:
    """Raises ProviderNotFound."""
    row = NotificationProvider.objects.present().select_for_update(no_key=True).filter(pk=provider_id).first()
    if row is None:
        raise ProviderNotFound(provider_id)
    return row


def _put(
    row: NotificationProvider,
    *,
    name: str,
    url: str | None,
    secret: str | None,
    recipients: Sequence[str],
    enabled: bool,
    now: datetime,
) -> NotificationProvider:
    row.name, row.is_enabled, row.updated_at = _name(row, name), enabled, now
    if row.kind == ProviderKind.EMAIL:
        _takes_no(row, url=url, secret=secret)
        row.recipients = _recipients(recipients)
        where = _save(row, {}, secret=None, now=now)
    else:
        if recipients:
            raise ProviderRefused("recipients", "only e-mail has recipients.")
        where = _save_with_address(row, url, secret, now)
    row.destination_ref = where.pk
    row.save()
    return row


def _save_with_address(row: NotificationProvider, url: str | None, secret: str | None, now: datetime) -> Destination:
    there = _destination(row)
    if url is None and there is None:
        raise ProviderRefused("url", "is needed.")
    if url is not None:
        try:
            destinations.check_url(url, private=settings.ALLOW_PRIVATE_DESTINATIONS)
        except DestinationRefused as e:
            raise ProviderRefused("url", str(e).removeprefix("url ")) from e
        row.host = (urlsplit(url).hostname or "")[:255]
    if row.kind == ProviderKind.WEBHOOK:
        if secret is None and (there is None or url is not None):
            # Who redirects it must know the secret: else it would sign for another receiver.
            raise ProviderRefused("secret", "is needed with an address: it signs what is sent there.")
        if secret is not None and len(secret.encode()) < LEAST_SECRET:
            raise ProviderRefused("secret", f"has {LEAST_SECRET} characters or more.")
        leads = {"url": url} if url is not None else dict(there.settings if there else {})
        return _save(row, leads, secret=secret, now=now)
    _takes_no(row, secret=secret)
    return _save(row, {}, secret=url, now=now)


def _takes_no(row: NotificationProvider, **given: str | None) -> None:
    for field, value in given.items():
        if value:
            raise ProviderRefused(field, f"{row.get_kind_display()} takes none.")


def _save(row: NotificationProvider, given: Mapping[str, Any], *, secret: str | None, now: datetime) -> Destination:
    try:
        return destinations.save(name=_destination_name(row), kind=row.kind, given=given, secret=secret, now=now)
    except DestinationRefused as e:
        raise ProviderRefused("url", str(e)) from e


def _destination(row: NotificationProvider) -> Destination | None:
    return Destination.objects.filter(name=_destination_name(row)).first()


def _destination_name(row: NotificationProvider) -> str:
    return f"alerts.{row.pk.hex}"


def _name(row: NotificationProvider, name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ProviderRefused("name", f"is one line of at most {LONGEST_NAME} characters.")
    if NotificationProvider.objects.present().filter(name=name).exclude(pk=row.pk).exists():
        raise ProviderRefused("name", "is taken by another provider.")
    return name


def _recipients(given: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(address.strip() for address in given))
    if not 1 <= len(found) <= MOST_RECIPIENTS:
        raise ProviderRefused("recipients", f"are 1 to {MOST_RECIPIENTS} e-mail addresses.")
    for address in found:
        try:
            validate_email(address)
        except ValidationError as e:
            raise ProviderRefused("recipients", "has something that is no e-mail address.") from e
    return found
