"""The check after a restore, log by log: what is lost, what has to be done again, and doing it.

First everything outside is read and checked, and nothing is changed while any of it does not hold. Then one transaction
takes note: the statement of what is lost, and the journal's entries. From there on it can be stopped anywhere.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

import audit
from audit import services as audit_log
from audit.models import Restore
from audit.restoring import acknowledging, published
from audit.restoring.published import Lost
from audit.tree import checkpoints, notes, publication, signing
from dsar.journal import outside
from dsar.journal.outside import Outside
from dsar.models import ErasureEntry
from dsar.restoring import kept, replay
from dsar.restoring.replay import ACTOR, Replayed
from kaireon.api import written_once
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import PLATFORM, current, requires_transaction, scope, transaction

FORMAT = "kaireon-restore-1"
SIGNED = b"kaireon restore report v1\n"
CHECKED_VERB = "restore.checked"


@dataclass
class Findings:
    """What is to be said of one log, before anything is done."""

    tenant_id: str
    kept_size: int = 0
    lost: Lost | None = None
    entries: list[Outside] = field(default_factory=list)
    # Taken over by a run that was stopped.
    waiting: int = 0
    # Numbers of those, and of the entries, that left something under a hold.
    kept: list[int] = field(default_factory=list)
    # Acknowledged by one that was stopped before it was said outside.
    unsaid: bool = False

    @property
    def is_older(self) -> bool:
        return self.lost is not None or bool(self.entries)

    @property
    def has_work(self) -> bool:
        return self.is_older or self.waiting > 0 or self.unsaid

    def as_wire(self) -> dict[str, Any]:
        lost = self.lost
        return {
            "tenantId": self.tenant_id,
            "older": self.is_older,
            "newestCheckpoint": self.kept_size,
            "lostCheckpoint": {"size": lost.size, "root": lost.root.hex(), "checkpoints": lost.count} if lost else None,
            "forgottenErasures": [
                {"entry": one.number, "requestId": one.said["requestId"], "erasedAt": one.said["erasedAt"]}
                for one in self.entries
            ],
            "begun": self.waiting,
            "keptByHolds": self.kept,
        }


@dataclass
class Done:
    """What was done about one log, and the signed report of it."""

    findings: Findings
    restore: Restore | None = None
    replayed: list[Replayed] = field(default_factory=list)
    report_name: str = ""

    @property
    def is_done(self) -> bool:
        return all(one.is_done for one in self.replayed)

    def as_wire(self) -> dict[str, Any]:
        return {
            **self.findings.as_wire(),
            "restore": self.restore.number if self.restore else None,
            "replayed": [one.as_wire() for one in self.replayed],
            "report": self.report_name or None,
            "done": self.is_done,
        }


def find(tenant: str, *, trusted: list[notes.PublicKey]) -> Findings:
    """Read and check all that is outside of a log. Changes nothing.

    Raises JournalBroken, published.NotTheLogs, and what the storage raises.
    """
    with scope(tenant_id=tenant, actor=ACTOR):
        found = Findings(tenant, lost=published.lost(trusted=trusted))
        with transaction():
            newest = checkpoints.newest(tenant)
            found.kept_size = newest.tree_size if newest else 0
            last = found.lost.name if found.lost else published.last_known()
            number = publication.restores()
        found.unsaid = bool(number) and written_once.read(acknowledging.statement_name(tenant, number)) is None
        if tenant == PLATFORM:
            return found
        found.entries = outside.read()
        place = publication.place_of(last)
        if place is not None:
            outside.check_length(checkpoint=last, tree_size=place[1], read=found.entries)
        with transaction():
            found.waiting = ErasureEntry.objects.to_replay().count()
            found.kept = kept.kept(found.entries)
        return found


def do(found: Findings, *, reason: str, quiet: bool = False) -> Done:
    """Say what is lost, and do the forgotten erasures again. Opens its own transactions; run it again when stopped."""
    done = Done(found)
    tenant = found.tenant_id
    with scope(tenant_id=tenant, actor=ACTOR):
        audit_log.drain(tenant)
        with transaction():
            now = clock.now()
            if found.lost is not None:
                acknowledging.acknowledge(found.lost, reason=reason, now=now)
            if found.has_work:
                done.restore = Restore.objects.filter(tenant_id=tenant).order_by("number").last()
            if found.entries:
                replay.take_over(found.entries, now=now)
        if tenant != PLATFORM:
            done.replayed = replay.replay_all(quiet=quiet)
        with transaction():
            done.report_name, report = _report(done, reason)
            audit.record(
                action=CHECKED_VERB,
                entity_type="AuditLog",
                entity_id=tenant,
                changes={
                    "report": done.report_name,
                    "older": found.is_older,
                    "replayed": len(done.replayed),
                    "done": done.is_done,
                },
                platform=tenant == PLATFORM,
            )
        written_once.put(done.report_name, report)
        audit_log.drain(tenant)
        while checkpoints.make(tenant):
            pass
        # Last: without it a run that was stopped is known for one.
        _state_outside()
    return done


def _state_outside() -> None:
    """Every statement of this log is outside too, also one whose run was stopped before it was."""
    tenant = current().tenant_id
    with transaction():
        rows = list(Restore.objects.filter(tenant_id=tenant).order_by("number"))
    for row in rows:
        written_once.put(acknowledging.statement_name(tenant, row.number), row.note.encode())


@requires_transaction
def _report(done: Done, reason: str) -> tuple[str, bytes]:
    """Its name in storage, and the report: canonical JSON, signed by the log's key."""
    tenant = current().tenant_id
    signer = signing.signer()
    said = {
        "format": FORMAT,
        "origin": signing.origin(tenant),
        "reportedAt": clock.rfc3339(clock.now()),
        "reason": reason,
        "statement": done.restore.note if done.restore else None,
        "result": {name: value for name, value in done.as_wire().items() if name != "report"},
    }
    signature = signer.private.sign(SIGNED + canonical(said))
    signed = {
        **said,
        "signature": {"keyId": signer.public.key_id.hex(), "value": base64.b64encode(signature).decode()},
    }
    return f"restores/{tenant}/report-{uuid7()}.json", canonical(signed)
