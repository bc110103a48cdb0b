"""The files of a report in storage: sealed, each under a data key of its own, and gone when their time is over.

Objects are announced before they are stored, and the transaction of their rows takes that back (customers/removals.py):
wherever a worker dies, no object is left that is not written down.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db.models import BinaryField, Func, Value

import audit
from compliance.models import ReportFile, ReportRun
from compliance.models.report import ReportFileQuerySet, object_name
from customers import removals
from customers.models.removal import Cause
from kaireon.api.storage import FAULTS
from kaireon.lib import sealed_stream, sealing
from kaireon.lib.ids import uuid7
from kaireon.lib.sealed_stream import StreamSealer
from kaireon.lib.sealing import rewrap
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.keyring import WrappedKeys, keyring

EXPIRED_VERB = "report.file_expired"
REWRAPPED_VERB = "report.file_rewrapped"
_VERSION_STARTS, _VERSION_BYTES = 4, 4


class FileGone(RuntimeError):
    """The file's time is over, or it is not in storage any more: make the report again."""


class StorageAway(ConnectionError):
    """The file cannot be fetched now: try again later."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Objects in storage whose rows are not written yet: `attach` them, or `abandon` them."""

    rows: tuple[ReportFile, ...]

    @property
    def names(self) -> list[str]:
        return [str(row.file.name) for row in self.rows]


@without_transaction
def store(run: ReportRun, rendered: Mapping[str, bytes], *, now: datetime) -> Stored:
    """Seal each format and put it into storage. Raises what the storage raises; what was stored then goes by itself."""
    made = [_sealed(run, name, content, now) for name, content in sorted(rendered.items())]
    stored = Stored(rows=tuple(row for row, _ in made))
    removals.announce(stored.names, now=now)
    for row, content in made:
        default_storage.save(str(row.file.name), File(io.BytesIO(content)))
    return stored


@requires_transaction
def attach(stored: Stored) -> None:
    """Write the rows. Raises removals.UploadAbandoned when that comes an hour late."""
    removals.claim(stored.names)
    for row in stored.rows:
        row.save(force_insert=True)


@requires_transaction
def abandon(stored: Stored, *, now: datetime) -> None:
    """There will be no rows: the objects go with the next removals."""
    removals.give_up(stored.names, now=now)


@requires_transaction
def opened(file: ReportFile, *, now: datetime) -> bytes:
    """What was rendered. Raises FileGone and StorageAway, and what kaireon.lib.sealing raises where it was altered."""
    expires = file.run.expires_at
    if not file.file or file.key_wrapped is None or (expires is not None and expires <= now):
        raise FileGone("The file's time is over: make the report again.")
    key = sealing.unwrap_key(bytes(file.key_wrapped), keyring=keyring())
    try:
        with default_storage.open(str(file.file.name)) as body:
            return b"".join(sealed_stream.opened(body.read, key=key, context=file.sealing_context))
    except FileNotFoundError as e:
        raise FileGone("The file is not in storage any more: make the report again.") from e
    except FAULTS as e:
        raise StorageAway("Storage cannot be asked for this file now.") from e


def expire(*, now: datetime, dry_run: bool = False) -> int:
    """Take the keys of files whose time is over, and write their objects down for removal; how many there were.

    Opens its own transaction. The objects go with the next `removals.remove_doomed`.
    """
    with transaction():
        rows = list(ReportFile.objects.expired(now).select_for_update(of=("self",)).order_by("pk"))
        if not dry_run:
            removals.doom([str(row.file.name) for row in rows], cause=Cause.PURGE, now=now)
            for row in rows:
                audit.action(EXPIRED_VERB, entity=row)
                ReportFile.objects.filter(pk=row.pk).update(file="", key_wrapped=None)
    return len(rows)


@requires_transaction
def behind() -> int:
    """How many files of the active tenant need an older master key."""
    return _behind().count()


@requires_transaction
def rewrap_some(most: int) -> int:
    """Wrap the keys of so many of them; returns how many there were. Raises UnknownKeyVersion and SealBroken."""
    found = list(_behind().select_for_update().order_by("pk")[:most])
    for row in found:
        audit.action(REWRAPPED_VERB, entity=row)
        moved = rewrap(bytes(row.key_wrapped or b""), keyring=keyring())
        ReportFile.objects.filter(pk=row.pk).update(key_wrapped=moved)
    return len(found)


def _behind() -> ReportFileQuerySet:
    version = Func(
        "key_wrapped",
        Value(_VERSION_STARTS),
        Value(_VERSION_BYTES),
        function="substr",
        output_field=BinaryField(),
    )
    current = keyring().newest.to_bytes(_VERSION_BYTES)
    return ReportFile.objects.there().alias(version=version).exclude(version=current)


def _sealed(run: ReportRun, name: str, content: bytes, now: datetime) -> tuple[ReportFile, bytes]:
    row = ReportFile(
        id=uuid7(), run=run, format=name, size=len(content), sha256=sha256(content).hexdigest(), created_at=now
    )
    row.file.name = object_name(row)
    key, row.key_wrapped = sealing.new_key(keyring=keyring())
    sink = io.BytesIO()
    sealer = StreamSealer(sink, key=key, context=row.sealing_context)
    sealer.write(content)
    sealer.close()
    return row, sink.getvalue()


KEYS = WrappedKeys(name="reports", behind=behind, rewrap_some=rewrap_some)
