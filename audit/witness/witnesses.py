"""Witnesses of our logs (C2SP tlog-witness): each is shown every step that a log makes, and signs that it saw no other.

AUDIT_WITNESSES says which, each with its key. Asked by the job audit-witness, apart from making and publishing
checkpoints, so that a witness that is away holds up nothing. What a witness signed is checked before it is kept.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from django.conf import settings
from django.db import connections, transaction

from audit.models import Checkpoint, Cosignature
from audit.tree import checkpoints, merkle, notes
from audit.tree.notes import BadKey, PublicKey
from audit.witness import client
from audit.witness.client import Answer, WitnessAway
from kaireon.api.breakers import WITNESS, Breaker
from kaireon.tenancy.context import current, requires_transaction
from kaireon.tenancy.context import transaction as tenant_transaction


class WitnessRefused(RuntimeError):
    """The witness answered and did not sign. `code` says what it objects to; see docs/evidence.md."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class WitnessContradicts(WitnessRefused):
    """The witness has seen a log of this name that ours is not: somebody rewrote it, rolled it back, or forked it.

    Verify the log, and compare it with what was published, before anything else.
    """


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A witness that is configured: where it answers (a C2SP submission prefix), and its pinned key."""

    url: str
    key: PublicKey


def configured() -> tuple[Witness, ...]:
    """Raises BadKey; the system check says so before anybody gets here."""
    return _parsed(tuple(settings.AUDIT_WITNESSES))


@lru_cache(maxsize=8)
def _parsed(entries: tuple[str, ...]) -> tuple[Witness, ...]:
    return tuple(parse(entry) for entry in entries)


def parse(entry: str) -> Witness:
    """`URL KEY`, parted by a space. Raises BadKey."""
    url, parted, key = entry.strip().partition(" ")
    if not parted:
        raise BadKey("a witness is its URL, a space and its verifier key")
    return Witness(url=url.rstrip("/"), key=PublicKey.parse(key.strip(), kind=notes.COSIGNS))


def pinned_ids() -> list[str]:
    """The key ids of the configured witnesses."""
    return [witness.key.key_id.hex() for witness in configured()]


def cosigned(checkpoint: Checkpoint) -> str:
    """The checkpoint's note with the lines of all witnesses that signed it."""
    lines = Cosignature.objects.filter(tenant_id=checkpoint.tenant_id, tree_size=checkpoint.tree_size)
    return checkpoint.note + "".join(f"{line}\n" for line in lines.order_by("pk").values_list("line", flat=True))


def keys_of(checkpoint: Checkpoint) -> list[PublicKey]:
    """Of the witnesses that signed it."""
    rows = Cosignature.objects.filter(tenant_id=checkpoint.tenant_id, tree_size=checkpoint.tree_size).order_by("pk")
    return [PublicKey(row.witness, bytes(row.public_key), notes.COSIGNS) for row in rows]


@requires_transaction
def best(tenant_id: str, *, least: int) -> Checkpoint | None:
    """The newest checkpoint of at least so many records that a witness signed; failing that, the newest of all."""
    sizes = Cosignature.objects.filter(tenant_id=tenant_id, tree_size__gte=least).order_by("-tree_size")
    size = sizes.values_list("tree_size", flat=True).first()
    if size is None:
        newest = checkpoints.newest(tenant_id)
        return newest if newest is not None and newest.tree_size >= least else None
    return Checkpoint.objects.get(tenant_id=tenant_id, tree_size=size)


def waiting() -> tuple[Checkpoint | None, list[Witness]]:
    """The active log's newest checkpoint, and the configured witnesses that have not signed it."""
    with tenant_transaction():
        newest = checkpoints.newest(current().tenant_id)
        if newest is None:
            return None, []
        signed = Cosignature.objects.filter(tenant_id=newest.tenant_id, tree_size=newest.tree_size)
        done = set(signed.values_list("key_id", flat=True))
    return newest, [witness for witness in configured() if witness.key.key_id.hex() not in done]


def ask(checkpoint: Checkpoint, witness: Witness) -> None:
    """Have a checkpoint of the active log signed by a witness, and keep what it signed.

    Opens its own transactions. Raises WitnessAway (try again), WitnessRefused, WitnessContradicts, BreakerOpen.
    """
    with tenant_transaction():
        old = _last_seen(checkpoint, witness)
    answer = _submit(checkpoint, witness, old)
    if answer.status == 409:
        known = _known_size(answer)
        if known > checkpoint.tree_size:
            raise _ahead(checkpoint, known)
        if known == old:
            raise WitnessRefused("conflict_without_reason")
        answer = _submit(checkpoint, witness, known)
        if answer.status == 409 and known == checkpoint.tree_size:
            raise WitnessContradicts("another_root")
        if answer.status == 409:
            # Another submission was faster; the next run asks anew.
            raise WitnessAway("changed_meanwhile")
    if answer.status == 422:
        raise WitnessContradicts("inconsistent")
    if answer.status != 200:
        raise _refusal(answer.status)
    _keep(checkpoint, witness, answer)


def _last_seen(checkpoint: Checkpoint, witness: Witness) -> int:
    """The largest tree that we know the witness to have signed; 0 when we know of none."""
    mine = Cosignature.objects.filter(tenant_id=checkpoint.tenant_id, key_id=witness.key.key_id.hex())
    return (
        mine.filter(tree_size__lte=checkpoint.tree_size).order_by("-tree_size").values_list("tree_size", flat=True)
    ).first() or 0


def _submit(checkpoint: Checkpoint, witness: Witness, old: int) -> Answer:
    with tenant_transaction():
        proof = merkle.consistency(old, checkpoint.tree_size, checkpoints.Tree(checkpoint.tenant_id).node())
    return _breaker(witness.url).call(
        client.add_checkpoint,
        witness.url,
        request_body(old=old, proof=proof, note=checkpoint.note),
        allow_private=settings.AUDIT_WITNESS_PRIVATE,
    )


def request_body(*, old: int, proof: Iterable[bytes], note: str) -> bytes:
    """What C2SP tlog-witness has an add-checkpoint request say."""
    lines = "".join(f"{base64.b64encode(part).decode()}\n" for part in proof)
    return f"old {old}\n{lines}\n{note}".encode()


def _ahead(checkpoint: Checkpoint, known: int) -> WitnessContradicts | WitnessAway:
    """The witness signed more records than we showed it now: a later checkpoint of ours, or ours were taken back."""
    with tenant_transaction():
        newest = checkpoints.newest(checkpoint.tenant_id)
    if newest is not None and newest.tree_size >= known:
        return WitnessAway("changed_meanwhile")
    return WitnessContradicts("witness_is_ahead")


def _known_size(answer: Answer) -> int:
    text = answer.body.decode("ascii", "replace").removesuffix("\n")
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise WitnessRefused("conflict_without_size")
    return int(text)


def _refusal(status: int) -> WitnessRefused | WitnessAway:
    if status >= 500 or status == 429:
        return WitnessAway(f"http_{status}")
    known = {403: "key_not_trusted", 404: "log_not_known", 400: "request_refused"}
    return WitnessRefused(known.get(status, f"http_{status}"))


def _keep(checkpoint: Checkpoint, witness: Witness, answer: Answer) -> None:
    """Check the signature by the pinned key, under the text as we signed it, and write its line down."""
    try:
        found = notes.signatures(answer.body.decode())
        said = notes.Note(notes.Note.parse(checkpoint.note).text, found)
        seconds = said.cosigned_at(witness.key)
        at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as e:
        raise WitnessRefused("signature_invalid") from e
    [line] = [str(s) for s in found if s.name == witness.key.name and s.key_id == witness.key.key_id]
    with transaction.atomic(using=checkpoints.ALIAS), connections[checkpoints.ALIAS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO public.audit_cosignature"
            " (tenant_id, tree_size, witness, key_id, public_key, line, cosigned_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                checkpoint.tenant_id,
                checkpoint.tree_size,
                witness.key.name,
                witness.key.key_id.hex(),
                witness.key.raw,
                line,
                at,
            ],
        )


@lru_cache(maxsize=64)
def _breaker(url: str) -> Breaker:
    return Breaker(WITNESS, instance=url)
