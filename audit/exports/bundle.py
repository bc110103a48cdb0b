"""The evidence bundle: records, what proves them, and the program that checks it. The format is docs/evidence.md."""

import base64
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from django.db import connection

from audit import reading
from audit.chain import record_bytes
from audit.models import Checkpoint, SigningKey
from audit.tree import checkpoints, merkle, signing
from audit.tree.signing import Signer
from audit.witness import witnesses as witness
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.tenancy.context import current, requires_transaction

FORMAT = "kaireon-evidence-1"
_SIGNED = b"kaireon manifest v1\n"
_OFFLINE = Path(__file__).resolve().parent.parent / "offline"
_MARK_BYTES = 2
_EVERY = 1000


class NothingToBundle(ValueError):
    """No record lies between the two moments."""


class NotCovered(ValueError):
    """The newest checkpoint ends before the last record that is wanted: make one first."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """What a bundle is about: what was asked for, and the run of records that is given."""

    since: datetime | None
    until: datetime | None
    first: int
    last: int

    @property
    def records(self) -> int:
        return self.last - self.first + 1


@requires_transaction
def range_of(*, since: datetime | None = None, until: datetime | None = None) -> Range:
    """The run of the active log's records from the first to the last within the moments, both inclusive.

    Raises NothingToBundle.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT min(seq), max(seq) FROM public.audit_record
             WHERE tenant_id = %s AND "timestamp" >= coalesce(%s::timestamptz, '-infinity')
               AND "timestamp" <= coalesce(%s::timestamptz, 'infinity')
            """,
            [current().tenant_id, since, until],
        )
        first, last = cursor.fetchone()
    if first is None:
        raise NothingToBundle("no record lies between these moments")
    return Range(since=since, until=until, first=first, last=last)


@requires_transaction
def write(
    target: IO[bytes],
    wanted: Range,
    *,
    checkpoint: Checkpoint | None = None,
    moved: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Write the bundle to a seekable file; returns its manifest. Memory grows by a few bytes a record only.

    It is held against `checkpoint`, by default the newest that a witness signed, or else the newest. `moved` hears now
    and then how many records are in.

    Raises NotCovered.
    """
    tenant = current().tenant_id
    checkpoint = checkpoint or witness.best(tenant, least=wanted.last)
    if checkpoint is None or checkpoint.tree_size < wanted.last:
        raise NotCovered(f"no checkpoint commits to record {wanted.last} yet")
    keys = signing.keys(tenant)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        hashes, marks = _write_records(bundle, tenant, wanted, moved)
        parts = {
            "proofs.json": _json(_proofs(tenant, checkpoint, wanted, marks)),
            "checkpoint.txt": witness.cosigned(checkpoint).encode(),
            "keys.json": _json(keys_file(keys, checkpoint)),
            "kaireon_verify.py": (_OFFLINE / "kaireon_verify.py").read_bytes(),
            "README.txt": (_OFFLINE / "README.txt").read_bytes(),
        }
        for name, content in parts.items():
            bundle.writestr(name, content)
            hashes[name] = sha256(content).hexdigest()
        manifest = _manifest(tenant, checkpoint, wanted, hashes)
        said = canonical(manifest)
        bundle.writestr("manifest.json", said)
        bundle.writestr("manifest.sig", _signature(_signer_of(keys, checkpoint), said))
    return manifest


def keys_file(keys: list[SigningKey], checkpoint: Checkpoint) -> dict[str, Any]:
    """What stands in keys.json: the log's keys, and the witnesses that signed the checkpoint."""
    return {"format": 1, "keys": [_key(key) for key in keys], "witnesses": _witnesses(checkpoint)}


def _write_records(
    bundle: zipfile.ZipFile, tenant: str, wanted: Range, moved: Callable[[int], object]
) -> tuple[dict[str, str], bytes]:
    digest, marks = sha256(), bytearray()
    with bundle.open("records.ndjson", "w", force_zip64=True) as out:
        for record in reading.records(tenant, after=wanted.first - 1, until=wanted.last):
            # Of the leaf as it was sequenced: a record that was changed since is found by it.
            marks += bytes.fromhex(record.pop("leafHash"))[:_MARK_BYTES]
            line = record_bytes(record) + b"\n"
            out.write(line)
            digest.update(line)
            if record["seq"] % _EVERY == 0:
                moved(record["seq"] - wanted.first + 1)
    return {"records.ndjson": digest.hexdigest()}, bytes(marks)


def _proofs(tenant: str, checkpoint: Checkpoint, wanted: Range, marks: bytes) -> dict[str, Any]:
    node = checkpoints.Tree(tenant).node()
    left, right = merkle.span(wanted.first - 1, wanted.last, checkpoint.tree_size, node)
    return {
        "format": 1,
        "treeSize": checkpoint.tree_size,
        "rootHash": checkpoint.root_hash,
        "firstSeq": wanted.first,
        "lastSeq": wanted.last,
        "left": [h.hex() for h in left],
        "right": [h.hex() for h in right],
        "marks": base64.b64encode(marks).decode(),
    }


def _key(key: SigningKey) -> dict[str, Any]:
    public = signing.public_key(key)
    return {
        "keyId": public.key_id.hex(),
        "name": public.name,
        "version": key.version,
        "publicKey": base64.b64encode(public.raw).decode(),
        "createdAt": clock.rfc3339(key.created_at),
        "retiredAt": clock.rfc3339(key.retired_at) if key.retired_at else None,
        "crossSignatures": key.cross_signatures,
    }


def _witnesses(checkpoint: Checkpoint) -> list[dict[str, str]]:
    return [
        {"keyId": key.key_id.hex(), "name": key.name, "publicKey": base64.b64encode(key.raw).decode()}
        for key in witness.keys_of(checkpoint)
    ]


def _manifest(tenant: str, checkpoint: Checkpoint, wanted: Range, hashes: dict[str, str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "tenantId": tenant,
        "origin": signing.origin(tenant),
        "from": clock.rfc3339(wanted.since) if wanted.since else None,
        "to": clock.rfc3339(wanted.until) if wanted.until else None,
        "firstSeq": wanted.first,
        "lastSeq": wanted.last,
        "records": wanted.records,
        "treeSize": checkpoint.tree_size,
        "rootHash": checkpoint.root_hash,
        "createdAt": clock.rfc3339(clock.now()),
        "files": hashes,
    }


def _signer_of(keys: list[SigningKey], checkpoint: Checkpoint) -> Signer:
    [key] = [key for key in keys if key.version == checkpoint.key_version]
    return signing.opened(key)


def _signature(signer: Signer, manifest: bytes) -> bytes:
    signature = base64.b64encode(signer.private.sign(_SIGNED + manifest)).decode()
    return f"{signer.public.key_id.hex()} {signature}\n".encode()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
