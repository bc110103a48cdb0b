"""Being a witness of other installations' logs (C2SP tlog-witness, the submission side).

For each log whose key stands in WITNESS_LOGS we remember the checkpoint that we cosigned last, and cosign another only
when it is proven to go on from there. Remembering and deciding are one row lock: of two submissions that begin at one
size exactly one is cosigned, and nothing is ever taken back, restarts and other replicas included.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from audit.models import WitnessedLog
from audit.tree import merkle, notes
from audit.tree.notes import BadKey, BadNote, PublicKey

# A proof of C2SP tlog-witness is no longer; a line of it is 45 bytes.
MOST_PROOF_LINES = 63
MOST_BYTES = notes.MOST_BYTES + (MOST_PROOF_LINES + 1) * 64

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Refused(Exception):
    """Nothing is cosigned. `status` is the protocol's; `size` the size that we know, where it asks for that."""

    def __init__(self, status: int, message: str, *, size: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.size = size


@dataclass(frozen=True, kw_only=True)
class WitnessSelf:
    """Who we are as a witness, and whose logs we know: keys by origin, several of an origin while it changes keys."""

    name: str
    private: Ed25519PrivateKey
    logs: Mapping[str, tuple[PublicKey, ...]]

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self.private.public_key().public_bytes_raw(), notes.COSIGNS)


def configured() -> WitnessSelf | None:
    """None when this installation is no witness. Raises BadKey, which the system check says before."""
    if not settings.WITNESS_KEY:
        return None
    return _read(settings.WITNESS_NAME, settings.WITNESS_KEY, tuple(settings.WITNESS_LOGS))


@lru_cache(maxsize=8)
def _read(name: str, key: str, logs: tuple[str, ...]) -> WitnessSelf:
    try:
        seed = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError) as e:
        raise BadKey("WITNESS_KEY is not base64") from e
    if len(seed) != notes.HASH_BYTES:
        raise BadKey("WITNESS_KEY is not 32 bytes in base64")
    known: dict[str, tuple[PublicKey, ...]] = {}
    for text in logs:
        public = PublicKey.parse(text.strip())
        known[public.name] = (*known.get(public.name, ()), public)
    found = WitnessSelf(name=name, private=Ed25519PrivateKey.from_private_bytes(seed), logs=known)
    try:
        found.public  # noqa: B018  a name that no key can have is refused here
    except BadNote as e:
        raise BadKey(f"WITNESS_NAME: {e}") from e
    return found


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What an add-checkpoint request says."""

    old: int
    proof: list[bytes]
    note: notes.Note
    checkpoint: notes.Checkpoint

    @classmethod
    def parse(cls, body: bytes) -> "Submission":
        """Raises BadNote, naming what is wrong with it."""
        if len(body) > MOST_BYTES:
            raise BadNote(f"a request has at most {MOST_BYTES} bytes")
        try:
            head, parted, rest = body.decode().partition("\n\n")
        except UnicodeDecodeError as e:
            raise BadNote("the request is not UTF-8") from e
        first, *lines = head.split("\n")
        old = _OLD.fullmatch(first)
        if not parted or old is None:
            raise BadNote("a request is a line `old` and a size, the proof, an empty line and the checkpoint")
        if len(lines) > MOST_PROOF_LINES:
            raise BadNote(f"a proof has at most {MOST_PROOF_LINES} lines")
        note = notes.Note.parse(rest)
        return cls(
            old=int(old[1]),
            proof=[notes.hash_of(line) for line in lines],
            note=note,
            checkpoint=notes.Checkpoint.parse(note.text),
        )


def add_checkpoint(body: bytes, *, us: WitnessSelf, now: datetime) -> notes.Signature:
    """Cosign a checkpoint that goes on from the one we cosigned last. Opens a transaction of its own, durable.

    Raises Refused. Nobody gets as far as the database without the signature of a log that we know.
    """
    try:
        wanted = Submission.parse(body)
    except BadNote as e:
        raise Refused(400, str(e)) from e
    _signed_by_its_log(wanted, us)
    new = wanted.checkpoint
    if wanted.old > new.size:
        raise Refused(400, "the old size is above that of the checkpoint")
    with transaction.atomic(durable=True):
        known = _locked(new.origin, now)
        _goes_on(wanted, known)
        WitnessedLog.objects.filter(pk=known.pk).update(
            tree_size=new.size, root_hash=new.root.hex(), note=str(wanted.note), cosigned_at=now
        )
        return notes.cosign(wanted.note.text, name=us.name, key=us.private, seconds=int(now.timestamp()))


def _signed_by_its_log(wanted: Submission, us: WitnessSelf) -> None:
    keys = us.logs.get(wanted.checkpoint.origin)
    if keys is None:
        raise Refused(404, "this witness does not know the log")
    for key in keys:
        try:
            wanted.note.check(key)
        except notes.NotSigned:
            continue
        return
    raise Refused(403, "no key that this witness trusts for the log signed the checkpoint")


def _locked(origin: str, now: datetime) -> WitnessedLog:
    """The row of the log, made when there is none, held until the end of the transaction."""
    unseen = WitnessedLog(origin=origin, tree_size=0, root_hash=merkle.EMPTY_ROOT.hex(), note="", cosigned_at=now)
    WitnessedLog.objects.bulk_create([unseen], ignore_conflicts=True)
    return WitnessedLog.objects.select_for_update().get(pk=origin)


def _goes_on(wanted: Submission, known: WitnessedLog) -> None:
    """Raises Refused unless the checkpoint is proven to begin with all that we cosigned."""
    new = wanted.checkpoint
    if wanted.old != known.tree_size:
        raise Refused(409, "the old size is not that of the checkpoint cosigned last", size=known.tree_size)
    if new.size == known.tree_size and new.root.hex() != known.root_hash:
        raise Refused(409, "another root of the same size was cosigned", size=known.tree_size)
    try:
        merkle.check_consistency(
            first=wanted.old,
            second=new.size,
            first_root=bytes.fromhex(known.root_hash),
            second_root=new.root,
            proof=wanted.proof,
        )
    except merkle.ProofRefused as e:
        raise Refused(422, str(e)) from e
