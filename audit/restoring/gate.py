"""Production serves no database that is older than what left it, until somebody ran `compliance_restore_check`.

What was published is looked at once for each incarnation of the database: the same server since its last start, the
same database, the same tables (`audit_fingerprint`, restoring/restore.sql). A restore, by a dump, a snapshot or a point
in time, makes another one, and so does a failover. The verdict is a row, so whoever starts later, or asks every few
seconds, reads that row and nothing outside: storage that is away stops no database that was compared.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections

import audit
from audit.models import Incarnation
from audit.restoring import published
from audit.tree import publication
from kaireon.api import written_once
from kaireon.lib import clock
from kaireon.tenancy import resolver, serving
from kaireon.tenancy.context import PLATFORM, Actor, in_transaction, platform_scope, scope, transaction

logger = logging.getLogger("kaireon.audit.restoring")

AWAY = (OSError, BotoCoreError, ClientError)
ACTOR = Actor.system("restore-gate")
NOTICED_VERB = "restore.noticed"
COMPARED_VERB = "restore.compared"

COMMAND = "manage.py compliance_restore_check"
IS_OLDER = f"The database is older than what was published of it: it was restored. Nothing is served before {COMMAND}."
IS_COMPARED = "The database is another one than before, and is being compared with what was published of it."
CANNOT_TELL = (
    "The database is another one than before, and the storage that would tell whether it is older does not answer."
)

# For how long a process goes by what it was told.
GOOD_SECONDS = 5.0
BAD_SECONDS = 1.0
# Folders looked at abreast.
ABREAST = 16


@dataclass(frozen=True, kw_only=True)
class Look:
    """Something of each log that leaves the database: its folder, the last name known, what a later one tells.

    All are called in the log's scope, `known` inside a transaction, `lost` outside any.
    """

    folder: Callable[[], str]
    known: Callable[[], str]
    lost: Callable[[], list[str]]


LOOKS: list[Look] = [Look(folder=published.folder, known=published.last_known, lost=published.lost_names)]


class Gate:
    """What this process knows of the database that it works on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        # Until it was asked for the first time nothing is known, and nothing served.
        self._reason: str | None = IS_COMPARED

    def forget(self) -> None:
        self._until = 0.0

    def why_not(self) -> str | None:
        if time.monotonic() < self._until or in_transaction():
            return self._reason
        if not self._lock.acquire(blocking=False):
            return self._reason
        try:
            self._reason = _verdict()
            self._until = time.monotonic() + (BAD_SECONDS if self._reason else GOOD_SECONDS)
        except (DatabaseError, InterfaceError):
            # Whatever is asked next tells that the database is away.
            return self._reason
        finally:
            self._lock.release()
        return self._reason


gate = Gate()


@serving.ask
def why_not() -> str | None:
    return gate.why_not()


def _verdict() -> str | None:
    fingerprint, known, older = _stored()
    if known == fingerprint:
        return IS_OLDER if older else None
    with _alone() as alone:
        if not alone:
            return IS_COMPARED
        try:
            return IS_OLDER if compare() else None
        except AWAY as error:
            logger.error("not_compared", extra={"error_type": type(error).__name__})  # noqa: TRY400  storage names keys
            return CANNOT_TELL


def _stored() -> tuple[str, str, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT public.audit_fingerprint(), coalesce(i.fingerprint, ''), coalesce(i.older, '[]')::text"
            " FROM (VALUES (1)) one LEFT JOIN public.audit_incarnation i ON true"
        )
        fingerprint, known, older = cursor.fetchone()
    return fingerprint, known, [] if older == "[]" else [older]


def compare() -> list[str]:
    """Look at what was published of every log, and write down of which the database is older. Opens its transactions.

    Raises what the storage raises; then nothing is written down.
    """
    older = [tenant for tenant in _suspects() if _is_older(tenant)]
    with platform_scope(actor=ACTOR), transaction():
        fingerprint = _stored()[0]
        before = Incarnation.objects.filter(pk=1).first()
        if before is None or (before.fingerprint, before.older) != (fingerprint, older):
            Incarnation.objects.update_or_create(
                pk=1, defaults={"fingerprint": fingerprint, "older": older, "compared_at": clock.now()}
            )
            audit.record(
                action=NOTICED_VERB if older else COMPARED_VERB,
                entity_type="Incarnation",
                entity_id="1",
                changes={"older": older},
                platform=True,
            )
    if older:
        logger.critical("database_is_older", extra={"logs": len(older)})
    gate.forget()
    return older


def _suspects() -> list[str]:
    """The logs of which there is something behind the last name that is known, looked up abreast."""
    places: list[tuple[str, str, str]] = []
    for tenant in [*resolver.active_tenants(), PLATFORM]:
        with scope(tenant_id=tenant, actor=ACTOR), transaction():
            places += [(tenant, look.folder(), look.known()) for look in LOOKS]
    with ThreadPoolExecutor(ABREAST, "looks") as pool:
        found = pool.map(lambda place: written_once.names_after(place[1], place[2]), places)
        return sorted({place[0] for place, names in zip(places, found, strict=True) if names})


def _is_older(tenant: str) -> bool:
    with scope(tenant_id=tenant, actor=ACTOR):
        return any(look.lost() for look in LOOKS)


@contextmanager
def _alone() -> Iterator[bool]:
    """One process compares, others say so. The lock is a transaction's of its own, which PgBouncer leaves alone."""
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('restore-gate', 0))")
            taken = cursor.fetchone() == (True,)
        yield taken
    finally:
        own.close()


def refuse_older(name: str) -> None:
    """Before a checkpoint of the active scope's log is published under this name. Raises LogIsOlder.

    What lies under that very name is compared when it is written.
    """
    if set(published.lost_names()) - {name}:
        raise published.LogIsOlder


publication.GUARDS.append(refuse_older)
