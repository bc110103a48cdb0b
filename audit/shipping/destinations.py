"""Where a log is shipped to: the operator's SIEM from the environment, for every log, and a tenant's own ones."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from audit import services
from audit.models import SiemBackend, SiemDestination
from kaireon.outbox.destinations import DestinationRefused, check_url
from kaireon.tenancy import context
from kaireon.tenancy.context import PLATFORM, current, requires_transaction
from kaireon.tenancy.keyring import open_text, seal_text

# The operator's destination, in cursors, receipts and on the command line.
OPERATOR = "operator"
SOURCETYPE = "kaireon:audit"
# Less would not even hold a reduced event.
LEAST_EVENT_BYTES = 4096
MOST_EVENT_BYTES = 5_000_000
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What Splunk takes for an index, Elasticsearch for an index, alias or data stream, and Datadog for a source.
_INDEX = re.compile(r"[a-z0-9_][a-z0-9._-]{0,254}")
_SOURCETYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,99}")
_BACKEND_IS = f"one of {', '.join(SiemBackend.values)}"
_SENDABLE = re.compile(r"[!-~]+")

__all__ = ["DestinationRefused"]


class UnknownSiem(LookupError):
    """The log has no destination of this name. The message lists those it has."""


class NotConfigured(ValueError):
    """The environment names no SIEM that can be shipped to. The message says what is wrong, without any value."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A destination ready to be shipped to. `key` names it in cursors and receipts. Credentials stay out of its repr.

    `search_key` and `search_endpoint` are for looking what is there: a token for Splunk's management port, Datadog's
    application key; Elasticsearch needs neither.
    """

    key: str
    name: str
    backend: str
    endpoint: str
    index: str = ""
    sourcetype: str = ""
    event_bytes: int | None = None
    is_gzipped: bool = True
    search_endpoint: str = ""
    is_paused: bool = False
    allow_private: bool = False
    api_key: str = field(repr=False)
    search_key: str = field(default="", repr=False)

    @property
    def follower(self) -> str:
        return f"siem:{self.key}"

    @property
    def is_operators(self) -> bool:
        return self.key == OPERATOR


def operators() -> Target | None:
    """What SIEM_BACKEND and its kin say; None when they say nothing. Raises NotConfigured."""
    given: dict[str, Any] = {
        name: getattr(settings, f"SIEM_{name.upper()}") for name in ("backend", "endpoint", "api_key")
    }
    if not any(given.values()):
        return None
    if not given["backend"]:
        raise NotConfigured("SIEM_BACKEND is not set, and other SIEM_ variables are")
    if given["backend"] not in SiemBackend.values:
        raise NotConfigured(f"SIEM_BACKEND is {_BACKEND_IS}")
    if missing := [f"SIEM_{name.upper()}" for name, value in given.items() if not value]:
        raise NotConfigured(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set")
    target = Target(
        key=OPERATOR,
        name=OPERATOR,
        index=settings.SIEM_INDEX,
        sourcetype=settings.SIEM_SOURCETYPE,
        event_bytes=settings.SIEM_EVENT_BYTES or None,
        is_gzipped=settings.SIEM_GZIP,
        search_endpoint=settings.SIEM_SEARCH_ENDPOINT,
        search_key=settings.SIEM_SEARCH_KEY,
        allow_private=settings.SIEM_PRIVATE,
        **given,
    )
    try:
        check(target)
    except DestinationRefused as e:
        # The variables are the fields, in capitals behind a prefix.
        name, _, fault = str(e).rstrip(".").partition(" ")
        raise NotConfigured(f"SIEM_{name.upper()} {fault}") from e
    return target


def check(target: Target) -> None:
    """Raises DestinationRefused, which begins with the field's name."""
    if target.backend not in SiemBackend.values:
        raise DestinationRefused(f"backend is {_BACKEND_IS}.")
    check_url(target.endpoint, private=target.allow_private, name="endpoint")
    if target.search_endpoint:
        check_url(target.search_endpoint, private=target.allow_private, name="search_endpoint")
    for name in ("api_key", "search_key"):
        value = getattr(target, name)
        if (value or name == "api_key") and not _SENDABLE.fullmatch(value):
            raise DestinationRefused(f"{name} takes printable ASCII without spaces.")
    if target.backend == SiemBackend.ELASTIC and not target.index:
        raise DestinationRefused("index is needed: the index, alias or data stream of Elasticsearch.")
    if target.index and not _INDEX.fullmatch(target.index):
        raise DestinationRefused("index takes small letters, digits, dot, hyphen and underscore.")
    if target.sourcetype and not _SOURCETYPE.fullmatch(target.sourcetype):
        raise DestinationRefused("sourcetype takes letters, digits, colon, dot, hyphen and underscore.")
    if target.event_bytes is not None and not LEAST_EVENT_BYTES <= target.event_bytes <= MOST_EVENT_BYTES:
        raise DestinationRefused(f"event_bytes is a number from {LEAST_EVENT_BYTES} to {MOST_EVENT_BYTES}.")


@requires_transaction
def own() -> list[Target]:
    """The active tenant's own destinations, paused ones too. Raises what the keyring does when it cannot open one."""
    if current().tenant_id == PLATFORM:
        return []
    return [target(row) for row in SiemDestination.objects.order_by("created_at", "pk")]


def target(row: SiemDestination) -> Target:
    secrets: dict[str, Any] = json.loads(open_text(bytes(row.secrets_sealed), context=_context(row.pk)))
    return Target(
        key=str(row.pk),
        name=row.name,
        backend=row.backend,
        endpoint=row.endpoint,
        index=row.index,
        sourcetype=row.sourcetype,
        event_bytes=row.event_bytes,
        is_gzipped=row.is_gzipped,
        search_endpoint=row.search_endpoint,
        is_paused=row.is_paused,
        allow_private=settings.ALLOW_PRIVATE_DESTINATIONS,
        **secrets,
    )


@requires_transaction
def find(name: str) -> Target:
    """The operator's, or the active tenant's of this name. Raises UnknownSiem, NotConfigured."""
    known = own()
    if name == OPERATOR and (found := operators()):
        return found
    for one in known:
        if one.name == name:
            return one
    names = [OPERATOR] if _has_operators() else []
    names += [one.name for one in known]
    remedy = " SIEM_BACKEND and its kin make it." if name == OPERATOR else ""
    raise UnknownSiem(f"There is no SIEM destination {name[:64]!r}. Known: {', '.join(names) or 'none'}.{remedy}")


def _has_operators() -> bool:
    try:
        return operators() is not None
    except NotConfigured:
        return False


@requires_transaction
def save(
    *,
    row: SiemDestination | None,
    given: Mapping[str, Any],
    api_key: str | None,
    search_key: str | None,
    now: datetime,
) -> SiemDestination:
    """Make a destination of the active tenant's, or change one. A credential that is None stays as it is.

    `given` are the columns. A new endpoint wants its credentials anew: they were given for the other one. Raises
    DestinationRefused.
    """
    if not _PLAIN.fullmatch(given["name"]) or given["name"] == OPERATOR:
        raise DestinationRefused(f"name takes letters, digits, dot, hyphen and underscore, and is not {OPERATOR}.")
    others = SiemDestination.objects.filter(name=given["name"])
    if (others.exclude(pk=row.pk) if row else others).exists():
        raise DestinationRefused("name is that of another destination.")
    before = target(row) if row is not None else None
    if before is not None:
        moved = (before.endpoint, before.backend) != (given["endpoint"], given["backend"])
        # All but Splunk are looked into with the same key.
        if given["backend"] != SiemBackend.SPLUNK:
            moved |= given["search_endpoint"] not in ("", before.search_endpoint, before.endpoint)
        if api_key is None and moved:
            raise DestinationRefused("the key is needed again with another endpoint.")
        if search_key is None and before.search_key and before.search_endpoint != given["search_endpoint"]:
            raise DestinationRefused("the key to search is needed again with another endpoint to search.")
    secrets: dict[str, Any] = {
        "api_key": api_key if api_key is not None else (before.api_key if before else ""),
        "search_key": search_key if search_key is not None else (before.search_key if before else ""),
    }
    check(Target(key="", allow_private=settings.ALLOW_PRIVATE_DESTINATIONS, **given, **secrets))
    is_new = row is None
    row = row or SiemDestination(created_at=now)
    for name, value in given.items():
        setattr(row, name, value)
    row.secrets_sealed = seal_text(json.dumps(secrets), context=_context(row.pk))
    row.updated_at = now
    services.action("siem_destination.create" if is_new else "siem_destination.change", entity=row)
    row.save()
    return row


@requires_transaction
def pause(row: SiemDestination, *, paused: bool, now: datetime) -> None:
    """Let records wait, or go on; nothing is lost either way."""
    services.action("siem_destination.pause" if paused else "siem_destination.resume", entity=row)
    SiemDestination.objects.filter(pk=row.pk).update(is_paused=paused, updated_at=now)


def _context(destination_id: UUID) -> str:
    return f"siem-destination:{context.tenant_id()}:{destination_id}"
