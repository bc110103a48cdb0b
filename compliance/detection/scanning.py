"""One scan of the active tenant's log: what is new since the last one, judged, kept once, and said."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from audit import services as log
from audit.sequencer import LogStandsStill
from compliance.detection import coverage, emitting, reading, rules, thresholds
from compliance.detection.facts import Record
from compliance.detection.intervals import Span, merged
from compliance.detection.rules import COUNTS, Finding, Kind, Severity, Stint, Thresholds
from compliance.models import SecuritySignal
from kaireon.api import metrics
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.models import Tenant

logger = logging.getLogger("kaireon.detection")

RAISED_VERB = "security.signal.raised"
# Records that rules look at, in one slice of a gap.
SLICE = 20_000


class TenantGone(RuntimeError):
    """The tenant was deactivated while its log was scanned: nothing was kept, and nothing counts as scanned."""


@dataclass(kw_only=True)
class Scanned:
    """What a scan of one tenant came to. `raised` counts new signals by kind; `gaps` are spans that were left."""

    raised: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    records: int = 0
    late: int = 0
    gaps: int = 0
    emitted: int = 0
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "raised": dict(sorted(self.raised.items())),
            "pages": self.pages,
            "recordsRead": self.records,
            "lateRecords": self.late,
            "gapsLeft": self.gaps,
            "emitted": self.emitted,
        }


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """What stays the same through one scan. `marks` is how far the logs went when it began."""

    now: datetime
    limits: Thresholds
    present: dict[str, Stint]
    marks: Mapping[str, int]
    budget: Budget
    done: Scanned


@without_transaction
def scan(*, now: datetime, since: datetime | None = None, budget: Budget | None = None) -> Scanned:
    """Scan the last minutes, what came late, and every gap there is, as far as the budget goes.

    Each slice commits its signals together with what it covered: whoever dies in between loses neither, and the same
    fact is never kept twice. Lines are written after the commit, and again by the next scan when that was prevented.
    Raises TenantGone.
    """
    done = Scanned()
    tenant, actor = context.tenant_id(), context.current().actor
    try:
        log.drain(tenant, wholly=True)
    except LogStandsStill:
        # What can be read is judged, but no time counts as scanned: the rest of it is still to come.
        done.errors.append("LogStandsStill")
    with transaction():
        ledger = coverage.read()
        plan = coverage.plan(ledger, now=now, since=since)
        through, present = reading.head(), reading.members()
        late = reading.late(tenant, after=ledger.through_seq, ends=now, planned=plan.spans)
    late_logins, platform = reading.late_logins(
        present, after=ledger.platform_seq, ends=now, planned=plan.spans, actor=actor
    )
    late = merged([*late, *late_logins])
    done.late = len(late)
    this = _Scan(
        now=now,
        limits=thresholds.current(),
        present=present,
        marks={"through_seq": through, "platform_seq": platform},
        budget=budget or Budget(600),
        done=done,
    )
    if late:
        # Before the marks move past them.
        _slice(this, late, covers=None)
    _slice(this, [plan.recent], covers=plan.recent)
    for gap in plan.missed:
        _fill(this, gap)
    done.emitted = emitting.emit_waiting(now=now)
    return done


def _fill(this: _Scan, gap: Span) -> None:
    left = gap
    while left.begins < left.ends:
        if this.budget.spent:
            this.done.gaps += 1
            return
        with transaction():
            part = Span(left.begins, reading.end_of_slice(context.tenant_id(), left, SLICE))
        _slice(this, [part], covers=part)
        left = Span(part.ends, left.ends)


def _slice(this: _Scan, spans: Sequence[Span], *, covers: Span | None) -> None:
    logins = reading.logins(this.present, spans, actor=context.current().actor)
    with transaction():
        # Who scans the same tenant at the same time sees what this one has told and covered.
        coverage.alone()
        tenant = Tenant.objects.get(pk=context.tenant_id())
        if not tenant.is_active:
            raise TenantGone(tenant.pk)
        records = reading.around(tenant.pk, spans)
        found = judge(records, logins, this.limits, this.present, zone=ZoneInfo(tenant.time_zone))
        _keep(found, this.done, now=this.now)
        if covers is not None and not this.done.errors:
            coverage.cover(covers, **this.marks, now=this.now)
    this.done.records += sum(1 for record in (*records, *logins) if record.scanned)


@requires_transaction
def judge(
    records: Sequence[Record],
    logins: Sequence[Record],
    limits: Thresholds,
    present: dict[str, Stint],
    *,
    zone: ZoneInfo,
) -> list[Finding]:
    """All that the rules find."""
    acts = rules.workflows(records)
    found = rules.first_workflows(acts, reading.stints(list(acts), present)) if acts else []
    found += rules.odd_hours(records, limits, zone)
    found += rules.release_then_purge(records, limits)
    looked_at = [*records, *logins]
    if looked_at:
        found += rules.counted(looked_at, limits, _told(since=min(record.at for record in looked_at)))
    return found


def _told(*, since: datetime) -> dict[tuple[Kind, str], list[datetime]]:
    kinds = [rule.kind.value for rule in COUNTS]
    told: dict[tuple[Kind, str], list[datetime]] = {}
    signals = SecuritySignal.objects.filter(kind__in=kinds, occurred_at__gte=since - rules.LONGEST_WINDOW)
    rows = signals.values_list("kind", "member_id", "actor_id", "occurred_at")
    for kind, member, actor, at in rows:
        told.setdefault((Kind(kind), member or actor), []).append(at)
    return told


@requires_transaction
def _keep(found: Sequence[Finding], done: Scanned, *, now: datetime) -> None:
    raised: list[Finding] = []
    for finding in sorted(found, key=lambda f: bool(f.unless_page)):
        if finding.unless_page and _is_page(finding.unless_page):
            continue
        if not _is_kept(finding, done, now) and finding.escalation and finding.severity is Severity.PAGE:
            raised.append(finding)
    for finding in raised:
        # Told as routine before what makes it a page was there to be seen: a record of an earlier time that came later.
        if not _is_page(finding.fingerprint):
            _is_kept(replace(finding, kind=Kind.ESCALATION, fingerprint=finding.escalation), done, now)


def _is_kept(finding: Finding, done: Scanned, now: datetime) -> bool:
    """Keep it, unless it was kept before."""
    signal = _signal(finding, now=now)
    log.action(RAISED_VERB, entity=signal)
    # The database decides who was first.
    SecuritySignal.objects.bulk_create([signal], ignore_conflicts=True)
    if not SecuritySignal.objects.filter(pk=signal.pk).exists():
        return False
    done.raised[finding.kind] += 1
    done.pages += finding.severity is Severity.PAGE
    metrics.SECURITY_SIGNALS.labels(finding.kind.value, finding.severity.value).inc()
    return True


def _is_page(mark: str) -> bool:
    return SecuritySignal.objects.filter(fingerprint=mark, severity=Severity.PAGE).exists()


def _signal(finding: Finding, *, now: datetime) -> SecuritySignal:
    return SecuritySignal(
        kind=finding.kind.value,
        severity=finding.severity.value,
        evidence=sorted(evidence.value for evidence in finding.evidence),
        about=dict(finding.about),
        member_id=finding.member[:64],
        actor_id=finding.record.actor_id[:64],
        record_id=UUID(finding.record.id),
        occurred_at=finding.record.at,
        raised_at=now,
        fingerprint=finding.fingerprint,
    )
