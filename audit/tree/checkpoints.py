"""Checkpoints: what the log commits to, signed. Made by count and by clock, from the tree that they extend.

The tree grows here, not while sequencing: nothing is proven before a checkpoint commits to it. One maker at a time and
tenant, by advisory lock; the tiles, the checkpoint before and the new one are compared before anything is signed.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper

from audit.models import Checkpoint
from audit.tree import merkle, notes, signing, tiles
from kaireon.lib import clock
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy import serving
from kaireon.tenancy.context import Actor, scope
from kaireon.tenancy.context import transaction as tenant_transaction

logger = logging.getLogger("kaireon.audit.checkpoints")

Answer = TypeVar("Answer")

ALIAS = "sequencer"
# A log that grew gets a checkpoint after this many records or this much time, whichever is first.
EVERY_RECORDS = 1000
EVERY = timedelta(seconds=60)
# A log that is far behind gets there in steps, so that its records are not kept waiting meanwhile.
MOST_RECORDS = 100_000
# Leaves read and hashed at once: a whole number of tiles.
_CHUNK = 64 * tiles.WIDTH

_DUE = """
SELECT h.tenant_id FROM public.audit_head h
  LEFT JOIN LATERAL (SELECT c.tree_size, c.signed_at FROM public.audit_checkpoint c
                      WHERE c.tenant_id = h.tenant_id ORDER BY c.tree_size DESC LIMIT 1) c ON true
 WHERE h.seq >= coalesce(c.tree_size, 0) + %s OR (h.seq > coalesce(c.tree_size, 0)
     -- Also one of the future: a clock that went back is no reason to wait until it has caught up.
     AND coalesce(c.signed_at NOT BETWEEN %s AND %s, true))
 ORDER BY h.seq - coalesce(c.tree_size, 0) DESC
"""
_NEWEST = """
SELECT tree_size, root_hash FROM public.audit_checkpoint WHERE tenant_id = %s ORDER BY tree_size DESC LIMIT 1
"""
_LEAVES = """
SELECT decode(leaf_hash, 'hex') FROM public.audit_record WHERE tenant_id = %s AND seq > %s AND seq <= %s ORDER BY seq
"""
_TILES = """
SELECT t.level, t.index, t.hashes FROM unnest(%s::smallint[], %s::bigint[]) wanted (level, index)
  JOIN public.audit_tile t ON (t.tenant_id, t.level, t.index) = (%s, wanted.level, wanted.index)
"""
_PUT_TILE = """
INSERT INTO public.audit_tile (tenant_id, level, index, hashes) VALUES (%s, %s, %s, %s)
ON CONFLICT (tenant_id, level, index) DO UPDATE SET hashes = excluded.hashes
"""
_ADD = """
INSERT INTO public.audit_checkpoint (tenant_id, tree_size, root_hash, key_version, note, signed_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""


class LogContradictsCheckpoint(RuntimeError):
    """The log is not what its last checkpoint committed to, or has gaps: nothing more is signed. Verify it."""


@dataclass(frozen=True)
class Tree:
    """A tenant's tree as its tiles have it, for roots and proofs up to the newest checkpoint's size."""

    tenant_id: str
    alias: str = "default"

    def node(self) -> merkle.Node:
        seen: dict[tuple[int, int], bytes] = {}

        def read(level: int, index: int) -> bytes:
            if (level, index) not in seen:
                with connections[self.alias].cursor() as cursor:
                    seen[level, index] = _tile(cursor, self.tenant_id, level, index)
            return seen[level, index]

        return tiles.node(read)

    def answer(self, question: Callable[[merkle.Node], Answer]) -> Answer:
        """What `question` finds, and all that it looks at is fetched at once: it is asked twice, so it must be pure."""
        wanted = list(tiles.needed(question))
        levels, indexes = [level for level, _ in wanted], [index for _, index in wanted]
        with connections[self.alias].cursor() as cursor:
            cursor.execute(_TILES, [levels, indexes, self.tenant_id])
            found = {(level, index): bytes(hashes) for level, index, hashes in cursor.fetchall()}
        return question(tiles.node(lambda *tile: found.get(tile, b"")))


def newest(tenant_id: str) -> Checkpoint | None:
    return Checkpoint.objects.filter(tenant_id=tenant_id).order_by("-tree_size").first()


def due(now: datetime) -> list[str]:
    """The logs that grew by EVERY_RECORDS, or at all in EVERY; those that grew most come first."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_DUE, [EVERY_RECORDS, now - EVERY, now])
        return [tenant for (tenant,) in cursor.fetchall()]


def make_due() -> int:
    """Make the checkpoints that are due; returns how many. A log that cannot have one is passed by, and logged."""
    return sum(make_each_due())


def make_each_due() -> Iterator[bool]:
    """The same log by log, whether one was made: for who has something else to do in between."""
    for alias in ("default", ALIAS):
        connections[alias].close_if_unusable_or_obsolete()
    if serving.refusal():
        # Nothing is signed of a log that others know more of, before somebody said what is lost.
        return
    for tenant in due(clock.now()):
        try:
            yield make(tenant, wait=False) is not None
        except (LogContradictsCheckpoint, merkle.OutsideTree, DatabaseError, CannotOpen) as error:
            if isinstance(error, DatabaseError) and not connections[ALIAS].is_usable():
                raise
            refused = {"tenant_id": tenant, "error_type": type(error).__name__}
            # Without the trace: its last line may show the row.
            logger.error("checkpoint_refused", extra=refused)  # noqa: TRY400


def make(tenant_id: str, *, wait: bool = True) -> notes.Checkpoint | None:
    """Commit to what the log holds now, MOST_RECORDS further at most; None when the newest checkpoint already does.

    `wait=False` gives None too when another one is at it. Raises LogContradictsCheckpoint, and CannotOpen when the
    signing key's master key is gone; both leave everything as it was.
    """
    with scope(tenant_id=tenant_id, actor=Actor.system("audit-checkpoint")), tenant_transaction():
        signer = signing.signer()
    with transaction.atomic(using=ALIAS, durable=True), connections[ALIAS].cursor() as cursor:
        if not _locked(cursor, tenant_id, wait=wait):
            return None
        cursor.execute(_NEWEST, [tenant_id])
        before, root_before = cursor.fetchone() or (0, merkle.EMPTY_ROOT.hex())
        cursor.execute("SELECT seq FROM public.audit_head WHERE tenant_id = %s", [tenant_id])
        (size,) = cursor.fetchone() or (0,)
        if size < before:
            raise LogContradictsCheckpoint(f"the log ends at {size}, its checkpoint at {before}")
        if size == before:
            return None
        size = min(size, before + MOST_RECORDS)
        _grow(cursor, tenant_id, before, size)
        node = Tree(tenant_id, ALIAS).node()
        if merkle.root(before, node).hex() != root_before:
            raise LogContradictsCheckpoint(f"the first {before} records have another root than was signed")
        checkpoint = notes.Checkpoint(origin=signer.public.name, size=size, root=merkle.root(size, node))
        note = signer.sign(checkpoint.text)
        cursor.execute(_ADD, [tenant_id, size, checkpoint.root.hex(), signer.version, str(note), clock.now()])
    return checkpoint


def _locked(cursor: CursorWrapper, tenant: str, *, wait: bool) -> bool:
    key = "hashtextextended('checkpoint:' || %s, 0)"
    if wait:
        cursor.execute(f"SELECT pg_advisory_xact_lock({key})", [tenant])
        return True
    cursor.execute(f"SELECT pg_try_advisory_xact_lock({key})", [tenant])
    return bool(cursor.fetchone()[0])


def _grow(cursor: CursorWrapper, tenant: str, before: int, size: int) -> None:
    for first, leaves in _leaves(cursor, tenant, before, size):
        # Written as they come: the tiles above read those below.
        for level, index, hashes in tiles.grown(first, leaves, lambda *key: _tile(cursor, tenant, *key)):
            cursor.execute(_PUT_TILE, [tenant, level, index, hashes])


def _leaves(cursor: CursorWrapper, tenant: str, before: int, size: int) -> Iterator[tuple[int, list[bytes]]]:
    for first in range(before, size, _CHUNK):
        last = min(first + _CHUNK, size)
        cursor.execute(_LEAVES, [tenant, first, last])
        leaves = [bytes(leaf) for (leaf,) in cursor.fetchall()]
        if len(leaves) != last - first:
            raise LogContradictsCheckpoint(f"{last - first - len(leaves)} records after {first} are missing")
        yield first, leaves


def _tile(cursor: CursorWrapper, tenant: str, level: int, index: int) -> bytes:
    cursor.execute(
        "SELECT hashes FROM public.audit_tile WHERE tenant_id = %s AND level = %s AND index = %s",
        [tenant, level, index],
    )
    row = cursor.fetchone()
    return bytes(row[0]) if row else b""
