"""Where messages go: the table of kinds, and a tenant's destinations of them. Secrets go in and never come out."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from kaireon.api.breakers import MAIL, STREAM, WEBHOOK, Breaker
from kaireon.outbox import chat, mail, network, objects, streams, webhooks
from kaireon.outbox.models import Destination, Kind
from kaireon.outbox.sending import Outgoing, Refused
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import open_text, seal_text

LEAST_SECRET = 16
LONGEST_URL = 2048
_SENDABLE = re.compile(r"[!-~]*")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class UnknownDestination(LookupError):
    """The tenant has no destination of this name. `manage.py destination set` makes one."""


class DestinationRefused(ValueError):
    """The settings do not fit the kind. Says which and why, without repeating a value."""


@dataclass(frozen=True)
class Endpoint:
    """A destination ready to be sent to. `secret` stays out of its repr."""

    id: UUID
    kind: str
    settings: Mapping[str, Any]
    secret: str = field(default="", repr=False)

    def send(self, message: Outgoing) -> None:
        """Raises sending.Refused, and BreakerOpen when what it leads to failed lately and is left alone."""
        kind = KINDS[self.kind]
        if kind.behind is None:
            kind.send(self.settings, self.secret, message)
        else:
            _breaker(kind.behind, str(self.id) if kind.is_the_tenants else "").call(
                kind.send, self.settings, self.secret, message
            )


@dataclass(frozen=True, kw_only=True)
class KindOf:
    """What a kind of destination takes, and how it is reached.

    `behind` is what its breaker is called, None when it has one deeper down. Each destination that is the tenant's own
    has a breaker to itself; ours have one for all.
    """

    takes: frozenset[str]
    check: Callable[[Mapping[str, Any], str], None]
    send: Callable[[Mapping[str, Any], str, Outgoing], None]
    behind: str | None
    is_the_tenants: bool = False


def check_url(url: str, *, private: bool, name: str = "url") -> None:
    """Whether something can be sent there: https, or with `private` plain http too. Raises DestinationRefused."""
    if not _SENDABLE.fullmatch(url):
        raise DestinationRefused(f"{name} takes printable ASCII without spaces; other letters are written in percents.")
    if len(url) > LONGEST_URL:
        raise DestinationRefused(f"{name} is longer than {LONGEST_URL} characters.")
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError as e:
        raise DestinationRefused(f"{name} is none: its host or its port cannot be read.") from e
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise DestinationRefused(f"{name} must begin with https://.")
    if not parts.hostname or port == 0 or parts.username or parts.password or parts.fragment:
        raise DestinationRefused(f"{name} needs a host, and neither login nor fragment.")
    # Of a name it is known when something is sent, and may be another each time.
    if not private and (address := network.literal(parts.hostname)) and not network.is_public(address):
        raise DestinationRefused(f"{name} is no public address: give one that is, or have private ones allowed.")


def check_webhook(given: Mapping[str, Any], secret: str) -> None:
    """Raises DestinationRefused."""
    check_url(str(given.get("url", "")), private=settings.ALLOW_PRIVATE_DESTINATIONS)
    if len(secret.encode()) < LEAST_SECRET:
        raise DestinationRefused(f"a webhook needs a secret of {LEAST_SECRET} characters or more.")


def _check_chat(given: Mapping[str, Any], secret: str) -> None:
    """Whoever knows the address of a channel's webhook may write there: it is the secret."""
    if not secret:
        raise DestinationRefused("the address of the channel's webhook is its secret, and there is none.")
    check_url(secret, private=settings.ALLOW_PRIVATE_DESTINATIONS)


def _check_email(given: Mapping[str, Any], secret: str) -> None:
    if sender := given.get("from"):
        try:
            validate_email(sender)
        except ValidationError as e:
            raise DestinationRefused("from is not an e-mail address.") from e


def _check_object(given: Mapping[str, Any], secret: str) -> None:
    if given.get("prefix") and not _PLAIN.fullmatch(str(given["prefix"])):
        raise DestinationRefused("prefix takes letters, digits, dot, hyphen and underscore.")


def _check_stream(given: Mapping[str, Any], secret: str) -> None:
    if not _PLAIN.fullmatch(str(given.get("stream", ""))):
        raise DestinationRefused("stream takes letters, digits, dot, hyphen and underscore.")


KINDS: dict[str, KindOf] = {
    Kind.WEBHOOK: KindOf(
        takes=frozenset({"url"}), check=check_webhook, send=webhooks.send, behind=WEBHOOK, is_the_tenants=True
    ),
    Kind.EMAIL: KindOf(takes=frozenset({"from"}), check=_check_email, send=mail.send, behind=MAIL),
    # The storage has its breakers itself: others use it too.
    Kind.OBJECT: KindOf(takes=frozenset({"prefix"}), check=_check_object, send=objects.send, behind=None),
    Kind.STREAM: KindOf(takes=frozenset({"stream"}), check=_check_stream, send=streams.send, behind=STREAM),
    Kind.SLACK: KindOf(takes=frozenset(), check=_check_chat, send=chat.send, behind=WEBHOOK, is_the_tenants=True),
    Kind.TEAMS: KindOf(takes=frozenset(), check=_check_chat, send=chat.send, behind=WEBHOOK, is_the_tenants=True),
}


@requires_transaction
def save(
    *, name: str, kind: str, given: Mapping[str, Any], now: datetime, secret: str | None = None, enabled: bool = True
) -> Destination:
    """Make or change the active tenant's destination of this name. Without `secret` the one it has stays.

    Raises DestinationRefused.
    """
    if not _PLAIN.fullmatch(name):
        raise DestinationRefused("name takes letters, digits, dot, hyphen and underscore.")
    if kind not in KINDS:
        raise DestinationRefused(f"kind is one of {', '.join(KINDS)}.")
    if unknown := sorted(set(given) - KINDS[kind].takes):
        raise DestinationRefused(f"{unknown[0][:64]}: {kind} takes {', '.join(sorted(KINDS[kind].takes))}.")
    row = Destination.objects.select_for_update().filter(name=name).first()
    row = row or Destination(name=name, created_at=now, updated_at=now)
    KINDS[kind].check(given, _secret_of(row) if secret is None else secret)
    row.kind, row.settings, row.is_enabled, row.updated_at = kind, dict(given), enabled, now
    if secret is not None:
        row.secret_sealed = seal_text(json.dumps({"secret": secret}), context=_context(row.pk)) if secret else None
    row.save()
    return row


@requires_transaction
def find(name: str) -> Destination:
    """Raises UnknownDestination."""
    row = Destination.objects.filter(name=name).first()
    if row is None:
        raise UnknownDestination(f"There is no destination named {name[:64]!r}.")
    return row


@requires_transaction
def endpoint(destination_id: UUID) -> Endpoint:
    """Raises Destination.DoesNotExist, and what the keyring raises when the secret cannot be opened."""
    row = Destination.objects.get(pk=destination_id)
    return Endpoint(row.pk, row.kind, row.settings, _secret_of(row))


@lru_cache(maxsize=1024)
def _breaker(dependency: str, instance: str) -> Breaker:
    return Breaker(dependency, instance=instance, ignore=(_is_answer,))


def _is_answer(error: BaseException) -> bool:
    return isinstance(error, Refused) and error.is_answer


def _secret_of(row: Destination) -> str:
    if row.secret_sealed is None:
        return ""
    return str(json.loads(open_text(bytes(row.secret_sealed), context=_context(row.pk)))["secret"])


def _context(destination_id: UUID) -> str:
    return f"outbox-destination:{context.tenant_id()}:{destination_id}"
