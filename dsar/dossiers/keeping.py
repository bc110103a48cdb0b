"""Where a sealed dossier lies: small ones in their row, large ones as an object in storage. Nothing of it is in clear.

While it is written the sealed chunks wait in a temporary file without a name, which is gone with the process that has
it open; only when the snapshot is over are they stored. The object is announced before, and its row's transaction takes
that back, as with attachments (customers/removals.py): wherever a worker dies, no object is left that is not written
down.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from uuid import UUID

from django.core.files.base import File
from django.core.files.storage import default_storage

from customers import removals
from dsar.dossiers.writing import Tee
from dsar.models import Dossier
from dsar.models.dossier import object_name
from kaireon.api.storage import FAULTS
from kaireon.lib import sealed_stream, sealing
from kaireon.lib.ids import uuid7
from kaireon.lib.sealed_stream import StreamSealer
from kaireon.tenancy.context import requires_transaction, without_transaction
from kaireon.tenancy.keyring import keyring

# A larger one is an object in storage.
MOST_IN_ROW = 1024 * 1024
_PIECE_BYTES = 48 * 1024


class DossierMissing(FileNotFoundError):
    """The object of a dossier is not in storage any more: file a new request."""


class StorageAway(ConnectionError):
    """The object of a dossier cannot be fetched now: try again later."""


@dataclass(kw_only=True)
class Draft:
    """A dossier that is being sealed. Write to `tee`; then `store` it, and `attach` its row or `abandon` it."""

    row: Dossier
    tee: Tee
    sealer: StreamSealer
    sealed: IO[bytes]


@contextmanager
def draft(*, request_id: UUID) -> Iterator[Draft]:
    """Begin a dossier, under a data key of its own. What was not attached to a row is gone at the end of the block."""
    row = Dossier(id=uuid7(), request_id=request_id)
    key, row.key_wrapped = sealing.new_key(keyring=keyring())
    with tempfile.SpooledTemporaryFile(max_size=2 * MOST_IN_ROW) as sealed:
        sealer = StreamSealer(sealed, key=key, context=row.sealing_context)
        yield Draft(row=row, tee=Tee(sealer), sealer=sealer, sealed=sealed)


@without_transaction
def store(made: Draft, *, now: datetime) -> None:
    """Seal the end, and put what is large into storage. Raises what the storage raises."""
    made.sealer.close()
    made.row.sha256, made.row.size = made.tee.sha256, made.tee.size
    made.sealed.seek(0)
    if made.tee.size <= MOST_IN_ROW:
        made.row.sealed = made.sealed.read()
        return
    made.row.sealed = b""
    made.row.file.name = object_name(made.row)
    removals.announce([made.row.file.name], now=now)
    default_storage.save(made.row.file.name, File(made.sealed))


@requires_transaction
def attach(made: Draft) -> None:
    """Write the row of a stored dossier. Raises removals.UploadAbandoned when that comes an hour late."""
    if made.row.file.name:
        removals.claim([made.row.file.name])
    made.row.save(force_insert=True)


@requires_transaction
def abandon(made: Draft, *, now: datetime) -> None:
    """There will be no row: the object goes with the next removals."""
    if made.row.file.name:
        removals.give_up([made.row.file.name], now=now)


def opened(dossier: Dossier) -> Iterator[bytes]:
    """The portable JSON, chunk by chunk. Needs no transaction.

    Raises DossierMissing and StorageAway before the first chunk, and what kaireon.lib.sealing raises, where one was
    altered.
    """
    if dossier.key_wrapped is None:
        # Of an earlier version, sealed in one piece.
        yield sealing.open_sealed(bytes(dossier.sealed), context=dossier.sealing_context, keyring=keyring())
        return
    key = sealing.unwrap_key(bytes(dossier.key_wrapped), keyring=keyring())
    with _body(dossier) as body:
        yield from sealed_stream.opened(body.read, key=key, context=dossier.sealing_context)


def sealed(dossier: Dossier) -> Iterator[bytes]:
    """Key and chunks as they are sealed, in pieces that base64 can be made of one by one. Raises DossierMissing."""
    with _body(dossier) as body:
        piece = bytes(dossier.key_wrapped or b"")
        while more := body.read(_PIECE_BYTES):
            piece += more
            whole = len(piece) // 3 * 3
            yield piece[:whole]
            piece = piece[whole:]
        yield piece


def sealed_size(dossier: Dossier) -> int:
    """Bytes of what is sealed, without the key that stands by itself."""
    if dossier.key_wrapped is None:
        return len(bytes(dossier.sealed))
    return sealed_stream.sealed_size(dossier.size)


@contextmanager
def _body(dossier: Dossier) -> Iterator[IO[bytes]]:
    if not dossier.file:
        yield io.BytesIO(bytes(dossier.sealed))
        return
    try:
        file = default_storage.open(str(dossier.file.name))
        # A bucket's is fetched at the first reading.
        file.read(0)
    except FileNotFoundError as e:
        raise DossierMissing("The object of this dossier is not in storage any more.") from e
    except FAULTS as e:
        raise StorageAway("Storage cannot be asked for this dossier now.") from e
    with file:
        yield file
