"""What leaves the log lies in an archive first: an evidence bundle in the configured storage, read back and checked.

An archive is written once under a name that no other range has. One that a crash left unfinished does not verify, and
is written again.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any, BinaryIO, cast

from django.core.files import File
from django.core.files.storage import default_storage

from audit.exports import bundle
from audit.models import Checkpoint
from audit.offline import kaireon_verify
from audit.tree import signing
from kaireon.tenancy.context import current, transaction, without_transaction

_MIB = 1 << 20
# Kept in memory up to this; a larger one goes to a temporary file without a name.
_IN_MEMORY = 8 * _MIB


class ArchiveRefused(RuntimeError):
    """What lies in storage is not the evidence that was put there. Nothing is removed; the message says what fails."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An object in storage that verifies by itself, and what it is known by."""

    name: str
    sha256: str
    bytes: int


def name_of(tenant_id: str, first: int, last: int) -> str:
    """Sorted by name is sorted by seq."""
    return f"archives/{tenant_id}/{first:018d}-{last:018d}.zip"


@without_transaction
def keep(checkpoint: Checkpoint, first: int, *, moved: Callable[[int], object] = lambda _: None) -> Archive:
    """Put the active log's records, from `first` to the end of the checkpoint's tree, into storage; once.

    Raises ArchiveRefused, and what the storage raises (OSError, botocore's errors); the next call tries again.
    """
    name = name_of(checkpoint.tenant_id, first, checkpoint.tree_size)
    if default_storage.exists(name):
        try:
            return checked(name, checkpoint, first)
        except ArchiveRefused:
            # Whoever wrote it was stopped in the middle: no tombstone names it yet.
            default_storage.delete(name)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        with transaction():
            wanted = bundle.Range(since=None, until=None, first=first, last=checkpoint.tree_size)
            bundle.write(file, wanted, checkpoint=checkpoint, moved=moved)
        file.seek(0)
        saved = default_storage.save(name, File(file))
    if saved != name:
        # Another one was faster; its object is checked now.
        default_storage.delete(saved)
    return checked(name, checkpoint, first)


@without_transaction
def checked(name: str, checkpoint: Checkpoint, first: int) -> Archive:
    """The archive as it lies in storage, when the offline verifier says that it holds exactly these records.

    Raises ArchiveRefused.
    """
    with transaction():
        oldest_key, *_ = signing.keys(checkpoint.tenant_id)
        pinned = kaireon_verify.PinnedKey.parse(str(signing.public_key(oldest_key)), kaireon_verify.SIGNS)
    with default_storage.open(name) as stored, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        # Hashed and checked is one copy, so that storage cannot show two.
        digest, size = _copied(stored, file)
        try:
            verdict = kaireon_verify.check(cast("BinaryIO", file), pinned=pinned)
        except kaireon_verify.Broken as error:
            raise ArchiveRefused(f"{name}: {error.file}: {error.message}") from error
        except kaireon_verify.NothingToSay as error:
            raise ArchiveRefused(f"{name}: {error}") from error
    found = (verdict.tenant, verdict.first, verdict.last, verdict.tree_size, verdict.root)
    size_and_root = (checkpoint.tree_size, checkpoint.tree_size, checkpoint.root_hash)
    if verdict.level != "pinned" or found != (current().tenant_id, first, *size_and_root):
        raise ArchiveRefused(f"{name} is evidence of other records")
    return Archive(name=name, sha256=digest, bytes=size)


def _copied(stored: Any, file: IO[bytes]) -> tuple[str, int]:
    digest, size = sha256(), 0
    while part := stored.read(_MIB):
        digest.update(part)
        file.write(part)
        size += len(part)
    return digest.hexdigest(), size
