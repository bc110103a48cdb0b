"""The rules: from records of the log to findings. Pure; what they ask of the log is in reading.py."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from compliance.detection import facts
from compliance.detection.facts import Evidence, Record, Workflow
from compliance.detection.intervals import Span, merged

# The contract's own; what else counts is in Thresholds.
YOUNG = timedelta(minutes=15)
LOOK_BACK = timedelta(minutes=10)
BURST = 6

HOUR = timedelta(hours=1)
# Counts look back no further than this.
LONGEST_WINDOW = HOUR


class Kind(StrEnum):
    """What a signal is about; also the last word of its line in the log."""

    FIRST_WORKFLOW = "new_account_first_workflow"
    BEFORE_JOINING = "event_before_joining"
    ESCALATION = "new_account_escalation"
    ODD_HOURS = "bulk_export_odd_hours"
    RELEASE_THEN_PURGE = "hold_release_then_purge"
    MASS_ERASURE = "mass_erasure"
    AUDIT_VIEWS = "audit_view_spike"
    PROBING = "cross_tenant_probing"
    STUFFING = "credential_stuffing"


class Severity(StrEnum):
    PAGE = "page"
    ROUTINE = "routine"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From where on it is too much. `odd_hours`: from this hour to before that one, in the tenant's time zone."""

    odd_hours: tuple[int, int] = (22, 6)
    release_purge: timedelta = HOUR
    erasures: int = 20
    audit_views: int = 100
    refusals: int = 10
    sources: int = 5


@dataclass(frozen=True, kw_only=True)
class Stint:
    """A membership: from joining until leaving, if it is over."""

    joined: datetime
    left: datetime | None = None

    def has(self, moment: datetime) -> bool:
        return self.joined <= moment and (self.left is None or moment <= self.left)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule found. `fingerprint` names the fact: the same fact has the same. `unless_page` is the fingerprint of
    one that says it already when it is a page. `escalation` is under which fingerprint it is told as a page when it had
    been told as routine, because what makes it one was seen later."""

    kind: Kind
    severity: Severity
    record: Record
    fingerprint: str
    evidence: frozenset[Evidence] = frozenset()
    member: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    unless_page: str = ""
    escalation: str = ""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A workflow of a member."""

    record: Record
    workflow: Workflow
    evidence: frozenset[Evidence]

    @property
    def at(self) -> datetime:
        return self.record.at


def workflows(records: Iterable[Record]) -> dict[str, list[Done]]:
    """Each member's workflows, in the order of their time; what nobody stands behind is left out."""
    found: dict[str, dict[tuple[str, ...], Done]] = defaultdict(dict)
    for record in sorted(records, key=lambda r: (r.at, r.seq)):
        workflow = facts.workflow_of(record) if record.member else None
        if workflow is None:
            continue
        done = Done(record=record, workflow=workflow, evidence=facts.evidence_of(record, workflow))
        acts = found[record.member]
        act = facts.act(record, workflow)
        if act in acts:
            done = replace(acts[act], evidence=acts[act].evidence | done.evidence)
        acts[act] = done
    return {member: list(acts.values()) for member, acts in found.items()}


def first_workflows(done: Mapping[str, Sequence[Done]], stints: Mapping[str, Sequence[Stint]]) -> list[Finding]:
    """Per membership: the first workflow, when it came within YOUNG of joining, and the first one after it with
    evidence that it had not; and the earliest that no membership explains.

    `done` is all that a member did since joining, as far as LOOK_BACK after YOUNG.
    """
    found: list[Finding] = []
    for member, acts in done.items():
        theirs = sorted(stints.get(member, ()), key=lambda s: s.joined)
        if not theirs:
            continue
        found += _before_joining(member, acts, theirs)
        for stint in theirs:
            found += _in_stint(member, [d for d in acts if stint.has(d.at)], stint)
    return _with_waves([f for f in found if f.record.scanned or f.kind is Kind.FIRST_WORKFLOW])


def _before_joining(member: str, acts: Sequence[Done], stints: Sequence[Stint]) -> list[Finding]:
    outside = [
        d for d in acts if d.record.scanned and not any(s.has(d.at) for s in stints) and d.at < stints[-1].joined
    ]
    if not outside:
        return []
    first = outside[0]
    return [
        Finding(
            kind=Kind.BEFORE_JOINING,
            severity=Severity.PAGE if first.evidence else Severity.ROUTINE,
            evidence=first.evidence,
            record=first.record,
            member=member,
            about={"workflow": first.workflow.value, "secondsBefore": _seconds(stints[-1].joined - first.at)},
            fingerprint=fingerprint(Kind.BEFORE_JOINING, member, _spelled(stints[-1].joined)),
        )
    ]


def _in_stint(member: str, acts: Sequence[Done], stint: Stint) -> list[Finding]:
    young = [d for d in acts if d.at - stint.joined < YOUNG]
    if not young:
        return []
    first = young[0]
    evidence = first.evidence | _burst(sum(1 for d in acts if d.at - first.at <= LOOK_BACK))
    mark = fingerprint(Kind.FIRST_WORKFLOW, member, _spelled(stint.joined))
    escalation = fingerprint(Kind.ESCALATION, member, _spelled(stint.joined))
    found = [
        Finding(
            kind=Kind.FIRST_WORKFLOW,
            severity=Severity.PAGE if evidence else Severity.ROUTINE,
            evidence=evidence,
            record=first.record,
            member=member,
            about={"workflow": first.workflow.value, "ageSeconds": _seconds(first.at - stint.joined)},
            fingerprint=mark,
            escalation=escalation,
        )
    ]
    for place, later in enumerate(acts[1:], start=2):
        if place <= len(young):
            within = sum(1 for d in acts[:place] if later.at - d.at <= LOOK_BACK)
            more = later.evidence | _burst(within)
        elif later.at - first.at <= LOOK_BACK:
            # No longer new, and still of the burst that the first one began.
            more = _burst(place)
        else:
            break
        if more and not first.evidence:
            found.append(
                Finding(
                    kind=Kind.ESCALATION,
                    severity=Severity.PAGE,
                    evidence=more,
                    record=later.record,
                    member=member,
                    about={"workflow": later.workflow.value, "ageSeconds": _seconds(later.at - stint.joined)},
                    fingerprint=escalation,
                    unless_page=mark,
                )
            )
            break
    return found


def _burst(count: int) -> frozenset[Evidence]:
    return frozenset({Evidence.BURST}) if count >= BURST else frozenset()


def _with_waves(found: list[Finding]) -> list[Finding]:
    """Six new accounts that begin within one look back are no coincidence either. What is only counted goes."""
    firsts = sorted(f.record.at for f in found if f.kind is Kind.FIRST_WORKFLOW)
    sixes = zip(firsts, firsts[BURST - 1 :], strict=False)
    waves = merged(Span(a, b + timedelta.resolution) for a, b in sixes if b - a <= LOOK_BACK)

    def waved(finding: Finding) -> Finding:
        at = finding.record.at
        if finding.kind is not Kind.FIRST_WORKFLOW or not any(wave.begins <= at < wave.ends for wave in waves):
            return finding
        return replace(finding, severity=Severity.PAGE, evidence=finding.evidence | {Evidence.BURST})

    return [waved(finding) for finding in found if finding.record.scanned]


# -- rules over counts ----------------------------------------------------------------------------------------------


def odd_hours(records: Iterable[Record], thresholds: Thresholds, zone: ZoneInfo) -> list[Finding]:
    """Somebody exported in bulk while the tenant sleeps."""
    found = []
    for record in records:
        exported = (record.entity_type == "AuditExport" and record.created) or record.action in facts.EXPORTS
        if record.scanned and exported and record.actor_type in facts.PEOPLE:
            local = record.at.astimezone(zone)
            if is_odd(local.hour, thresholds.odd_hours):
                found.append(
                    Finding(
                        kind=Kind.ODD_HOURS,
                        severity=Severity.PAGE,
                        evidence=frozenset({Evidence.BULK}),
                        record=record,
                        member=record.member,
                        about={"localHour": local.hour},
                        fingerprint=fingerprint(Kind.ODD_HOURS, record.id),
                    )
                )
    return found


def is_odd(hour: int, between: tuple[int, int]) -> bool:
    """Whether an hour is among those from the first to before the second, over midnight when it is later."""
    start, end = between
    return start <= hour < end if start <= end else hour >= start or hour < end


def release_then_purge(records: Sequence[Record], thresholds: Thresholds) -> list[Finding]:
    """A hold was let go of by somebody, and rows went soon after; once for each release."""
    releases = [r for r in records if facts.is_release(r) and r.actor_type in facts.PEOPLE]
    purges = sorted((r for r in records if facts.is_purge(r)), key=lambda r: (r.at, r.seq))
    found = []
    for release in releases:
        after = [p for p in purges if timedelta() <= p.at - release.at <= thresholds.release_purge]
        if after and (after[0].scanned or release.scanned):
            found.append(
                Finding(
                    kind=Kind.RELEASE_THEN_PURGE,
                    severity=Severity.PAGE,
                    evidence=frozenset({Evidence.DESTRUCTIVE}),
                    record=after[0],
                    member=release.member,
                    about={"secondsAfter": _seconds(after[0].at - release.at), "releaseRecord": release.id},
                    fingerprint=fingerprint(Kind.RELEASE_THEN_PURGE, release.id),
                )
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Count:
    """So many within a window by one actor. `of` says what is counted, `distinct` what of it must differ."""

    kind: Kind
    window: timedelta
    threshold: Callable[[Thresholds], int]
    of: Callable[[Record], bool]
    by: Callable[[Record], str] = lambda record: record.by
    distinct: Callable[[Record], str] = lambda record: record.id
    severity: Severity = Severity.PAGE
    evidence: frozenset[Evidence] = frozenset()


COUNTS: tuple[Count, ...] = (
    Count(
        kind=Kind.MASS_ERASURE,
        window=HOUR,
        threshold=lambda t: t.erasures,
        of=facts.is_erasure,
        evidence=frozenset({Evidence.DESTRUCTIVE, Evidence.BULK}),
    ),
    Count(
        kind=Kind.AUDIT_VIEWS,
        window=LOOK_BACK,
        threshold=lambda t: t.audit_views,
        of=lambda record: record.action in facts.VIEWS and record.actor_type in facts.PEOPLE,
    ),
    Count(
        kind=Kind.PROBING,
        window=LOOK_BACK,
        threshold=lambda t: t.refusals,
        of=lambda record: record.action == facts.REFUSED,
    ),
    Count(
        kind=Kind.STUFFING,
        window=HOUR,
        threshold=lambda t: t.sources,
        of=lambda record: record.action == facts.LOGIN_FAILED and bool(record.facts.get("source")),
        by=lambda record: record.member,
        distinct=lambda record: str(record.facts["source"]),
    ),
)


def counted(
    records: Sequence[Record], thresholds: Thresholds, told: Mapping[tuple[Kind, str], Collection[datetime]]
) -> list[Finding]:
    """Where a count reached its threshold; nearer than its window to one that was `told`, it goes on being the same."""
    found = []
    for rule in COUNTS:
        by: dict[str, list[Record]] = defaultdict(list)
        for record in sorted(records, key=lambda r: (r.at, r.seq)):
            if rule.of(record) and rule.by(record):
                by[rule.by(record)].append(record)
        for actor, theirs in by.items():
            known = list(told.get((rule.kind, actor), ()))
            for record, count in _crossings(theirs, rule, rule.threshold(thresholds), known):
                found.append(
                    Finding(
                        kind=rule.kind,
                        severity=rule.severity,
                        evidence=rule.evidence,
                        record=record,
                        member=record.member,
                        about={"count": count, "windowSeconds": _seconds(rule.window)},
                        fingerprint=fingerprint(rule.kind, actor, record.id),
                    )
                )
    return found


def _crossings(
    records: Sequence[Record], rule: Count, threshold: int, told: list[datetime]
) -> Iterable[tuple[Record, int]]:
    start = 0
    within: dict[str, int] = defaultdict(int)
    for record in records:
        within[rule.distinct(record)] += 1
        while record.at - records[start].at >= rule.window:
            key = rule.distinct(records[start])
            within[key] -= 1
            if not within[key]:
                del within[key]
            start += 1
        if len(within) >= threshold and record.scanned and all(abs(record.at - t) >= rule.window for t in told):
            told.append(record.at)
            yield record, len(within)


def fingerprint(*of: str) -> str:
    """The name of a fact, 64 hex digits."""
    return hashlib.sha256("\x00".join(of).encode()).hexdigest()


def _spelled(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
