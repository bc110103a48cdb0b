"""The rules by themselves: every age, every threshold from both sides."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from compliance.detection import facts, rules, thresholds
from compliance.detection.facts import Evidence, Record, Workflow
from compliance.detection.intervals import Span, among, gaps, merged
from compliance.detection.rules import Kind, Severity, Stint, Thresholds
from kaireon.lib.clock import at

JOINED = at("12:00")
NEW = {"ada": [Stint(joined=JOINED)]}
SECOND = timedelta(seconds=1)
MICRO = timedelta(microseconds=1)


def record(moment: datetime, **more: Any) -> Record:
    number = more.pop("seq", int((moment - JOINED) / MICRO))
    given = {"entity_type": "FlowRun", "action": "create", "created": True, "actor_id": "ada", "member": "ada"}
    return Record(id=more.pop("id", f"r{number}"), seq=number, at=moment, **{**given, **more})


def first(*records: Record, stints: Any = None) -> list[rules.Finding]:
    return rules.first_workflows(rules.workflows(records), stints or NEW)


AGES = [timedelta(seconds=s) for s in range(0, 16 * 60 + 1, 15)]


@pytest.mark.parametrize("age", [*AGES, timedelta(minutes=15) - MICRO, timedelta(minutes=15) + MICRO], ids=str)
def test_a_first_workflow_counts_until_just_before_fifteen_minutes(age):
    found = first(record(JOINED + age))
    assert [f.kind for f in found] == ([Kind.FIRST_WORKFLOW] if age < timedelta(minutes=15) else [])


def test_only_the_first_counts_and_its_fingerprint_is_the_members():
    early, later = record(JOINED + SECOND), record(JOINED + 2 * SECOND)
    (found,) = first(early, later)
    assert (found.record, found.about["ageSeconds"]) == (early, 1)
    assert first(early)[0].fingerprint == found.fingerprint
    other = first(record(JOINED, member="bo"), stints={"bo": NEW["ada"]})[0]
    assert other.fingerprint != found.fingerprint


KINDS: dict[str, tuple[dict[str, Any], Workflow | None]] = {
    "run": ({}, Workflow.FLOW_RUN),
    "run goes on": ({"created": False}, None),
    "export request": ({"entity_type": "DsarRequest", "facts": {"requestType": "export"}}, Workflow.DSAR_REQUEST),
    "key": ({"entity_type": "ApiKey", "facts": {"role": "viewer"}}, Workflow.API_KEY),
    "key revoked": ({"entity_type": "ApiKey", "created": False}, None),
    "bulk export": ({"entity_type": "AuditExport"}, Workflow.BULK_EXPORT),
    "export at once": (
        {"entity_type": "AuditLog", "created": False, "action": "audit_log.export"},
        Workflow.BULK_EXPORT,
    ),
    "log read": ({"entity_type": "AuditLog", "created": False, "action": "audit_log.read"}, None),
    "hold": ({"entity_type": "LegalHold", "facts": {"kind": "matter", "state": "active"}}, Workflow.HOLD_CHANGE),
    "pause of a request": ({"entity_type": "LegalHold", "facts": {"kind": "request"}}, None),
    "policy": ({"entity_type": "RetentionPolicy"}, Workflow.RETENTION_CHANGE),
    "admin": ({"entity_type": "Membership", "facts": {"role": "admin"}}, Workflow.ADMIN_GRANT),
    "promoted": (
        {"entity_type": "Membership", "created": False, "facts": {"role": "admin", "roleBefore": "viewer"}},
        Workflow.ADMIN_GRANT,
    ),
    "viewer": ({"entity_type": "Membership", "facts": {"role": "viewer"}}, None),
    "still admin": (
        {"entity_type": "Membership", "created": False, "facts": {"role": "admin", "roleBefore": "admin"}},
        None,
    ),
    "customer": ({"entity_type": "Customer"}, None),
}


@pytest.mark.parametrize(("given", "workflow"), KINDS.values(), ids=KINDS)
def test_what_a_workflow_is(given, workflow):
    assert facts.workflow_of(record(JOINED, **given)) is workflow


SHOWN: dict[str, tuple[dict[str, Any], set[Evidence]]] = {
    "nothing": ({}, set()),
    "null trigger": ({"facts": {"trigger": None}}, set()),
    "by hand": ({"facts": {"trigger": "admin"}}, set()),
    "over the API": ({"facts": {"trigger": "api"}}, set()),
    "by schedule": ({"facts": {"trigger": "schedule"}}, {Evidence.AUTOMATED_TRIGGER}),
    "with a key": ({"actor_type": "api_key"}, {Evidence.API_KEY_USED}),
    "erasure": ({"entity_type": "DsarRequest", "facts": {"requestType": "delete"}}, {Evidence.DESTRUCTIVE}),
    "bulk": ({"entity_type": "AuditExport"}, {Evidence.BULK}),
    "admin's key": ({"entity_type": "ApiKey", "facts": {"role": "admin"}}, {Evidence.PRIVILEGE_GRANT}),
    "admin": ({"entity_type": "Membership", "facts": {"role": "admin"}}, {Evidence.PRIVILEGE_GRANT}),
    "hold released": (
        {"entity_type": "LegalHold", "created": False, "facts": {"stateBefore": "active", "state": "releasing"}},
        {Evidence.DESTRUCTIVE},
    ),
    "hold taken back": (
        {"entity_type": "LegalHold", "created": False, "facts": {"stateBefore": "releasing", "state": "active"}},
        set(),
    ),
    "class released": (
        {"entity_type": "RetentionPolicy", "created": False, "facts": {"heldBefore": True, "held": False}},
        {Evidence.DESTRUCTIVE},
    ),
    "shorter": (
        {"entity_type": "RetentionPolicy", "created": False, "facts": {"daysBefore": 30, "days": 29}},
        {Evidence.DESTRUCTIVE},
    ),
    "as long": ({"entity_type": "RetentionPolicy", "created": False, "facts": {"daysBefore": 30, "days": 30}}, set()),
}


@pytest.mark.parametrize(("given", "evidence"), SHOWN.values(), ids=SHOWN)
def test_evidence_makes_it_a_page_and_none_leaves_it_routine(given, evidence):
    (found,) = first(record(JOINED, **given))
    assert found.evidence == evidence
    assert found.severity is (Severity.PAGE if evidence else Severity.ROUTINE)


@pytest.mark.parametrize(("count", "evidence"), [(5, set()), (6, {Evidence.BURST}), (7, {Evidence.BURST})])
def test_six_in_one_look_back_are_a_burst_and_five_are_not(count, evidence):
    found = first(*(record(JOINED + n * SECOND) for n in range(count)))
    assert found[0].evidence == evidence


@pytest.mark.parametrize(("last", "evidence"), [(timedelta(minutes=10), 1), (timedelta(minutes=10) + MICRO, 0)])
def test_a_burst_is_no_longer_than_the_look_back(last, evidence):
    found = first(*(record(JOINED + n * SECOND) for n in range(5)), record(JOINED + last))
    assert len(found[0].evidence) == evidence


@pytest.mark.parametrize(("count", "pages"), [(5, 0), (6, 6)])
def test_six_new_accounts_at_once_are_a_burst_too(count, pages):
    names = [f"m{n}" for n in range(count)]
    records = [record(JOINED + n * SECOND, member=name, id=name) for n, name in enumerate(names)]
    found = first(*records, stints={name: [Stint(joined=JOINED)] for name in names})
    assert [f.severity for f in found].count(Severity.PAGE) == pages
    assert len(found) == count


def test_accounts_far_apart_are_no_wave_however_many():
    steps = [n * timedelta(minutes=2) + SECOND * n for n in range(40)]
    stints = {f"m{n}": [Stint(joined=JOINED + step)] for n, step in enumerate(steps)}
    found = first(*(record(JOINED + step, member=f"m{n}", id=f"m{n}") for n, step in enumerate(steps)), stints=stints)
    assert {f.severity for f in found} == {Severity.ROUTINE}


def test_a_policys_decision_and_its_row_are_one_act():
    said = {"request_id": "req-1", "facts": {"dataClass": "metrics"}}
    acts = rules.workflows(
        [
            record(JOINED, entity_type="RetentionPolicy", id="a", **said),
            record(JOINED, entity_type="PolicyVersion", id="b", **said),
            record(JOINED, entity_type="RetentionPolicy", id="c", request_id="req-1", facts={"dataClass": "audit"}),
        ]
    )
    assert len(acts["ada"]) == 2


def test_an_event_dated_before_joining_is_its_own_kind_once():
    early = [record(JOINED - timedelta(minutes=2)), record(JOINED - timedelta(minutes=1))]
    found = first(*early, record(JOINED + SECOND))
    assert [f.kind for f in found] == [Kind.BEFORE_JOINING, Kind.FIRST_WORKFLOW]
    assert found[0].record == early[0]


def test_what_somebody_did_in_an_earlier_membership_is_not_before_joining():
    past = Stint(joined=JOINED - timedelta(days=9), left=JOINED - timedelta(minutes=1))
    assert first(record(JOINED - timedelta(minutes=2)), stints={"ada": [past, *NEW["ada"]]}) == []


def test_who_left_again_is_judged_by_the_membership_there_was():
    short = Stint(joined=JOINED, left=JOINED + timedelta(minutes=3))
    assert [f.kind for f in first(record(JOINED + SECOND), stints={"ada": [short]})] == [Kind.FIRST_WORKFLOW]


def test_a_routine_first_workflow_is_followed_by_a_page_when_evidence_comes():
    found = first(record(JOINED), record(JOINED + SECOND, actor_type="api_key"))
    assert [(f.kind, f.severity) for f in found] == [
        (Kind.FIRST_WORKFLOW, Severity.ROUTINE),
        (Kind.ESCALATION, Severity.PAGE),
    ]
    assert found[1].unless_page == found[0].fingerprint
    late = timedelta(minutes=15)
    assert len(first(record(JOINED), record(JOINED + late, actor_type="api_key"))) == 1
    assert len(first(record(JOINED, actor_type="api_key"), record(JOINED + SECOND, actor_type="api_key"))) == 1


def test_the_sixth_workflow_escalates_and_the_fifth_does_not():
    def escalated(count):
        return [
            f.record.seq for f in first(*(record(JOINED + n * SECOND, seq=n) for n in range(count))) if f.unless_page
        ]

    assert (escalated(5), escalated(6), escalated(9)) == ([], [5], [5])


@pytest.mark.parametrize(("last", "kinds"), [(timedelta(minutes=24), [Kind.ESCALATION]), (timedelta(minutes=25), [])])
def test_a_burst_that_begins_while_new_and_ends_after_is_told_whenever_it_is_scanned(last, kinds):
    """The first is told as routine by one scan, and its burst is whole only when it is no longer new."""
    after = [record(JOINED + timedelta(minutes=m)) for m in (16, 17, 18, 19)]
    found = first(record(JOINED + timedelta(minutes=14), scanned=False), *after, record(JOINED + last))
    assert [f.kind for f in found] == kinds


def test_what_is_only_there_to_count_with_is_not_told():
    assert first(record(JOINED, scanned=False), record(JOINED + SECOND)) == []


# -- thresholds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "zone", "is_odd"),
    [
        ("21:59:59", "UTC", False),
        ("22:00:00", "UTC", True),
        ("05:59:59", "UTC", True),
        ("06:00:00", "UTC", False),
        ("21:00:00", "Europe/Berlin", True),
        ("20:59:59", "Europe/Berlin", False),
        ("12:00:00", "America/Los_Angeles", True),
    ],
)
def test_hours_are_odd_where_the_tenant_is(moment, zone, is_odd):
    exported = record(at(moment), entity_type="AuditExport")
    assert bool(rules.odd_hours([exported], Thresholds(), ZoneInfo(zone))) is is_odd


def test_hours_follow_the_clocks_of_the_zone():
    """05:30 UTC is odd in Berlin in winter, 06:30, no more; 04:30 UTC in summer is 06:30 too."""
    for text, odd in (("2026-01-15T04:30", True), ("2026-01-15T05:30", False), ("2026-07-15T04:30", False)):
        exported = record(at(text), entity_type="AuditExport")
        assert bool(rules.odd_hours([exported], Thresholds(), ZoneInfo("Europe/Berlin"))) is odd


@pytest.mark.parametrize(("hours", "odd"), [((0, 6), {0, 5}), ((22, 6), {22, 23, 0, 5}), ((22, 24), {22, 23})])
def test_odd_hours_may_go_over_midnight(hours, odd):
    assert {hour for hour in (0, 5, 6, 21, 22, 23) if rules.is_odd(hour, hours)} == odd


def test_jobs_may_export_at_night():
    exported = record(at("23:00"), entity_type="AuditExport", actor_type="job")
    assert rules.odd_hours([exported], Thresholds(), ZoneInfo("UTC")) == []


RELEASE: dict[str, Any] = {
    "entity_type": "LegalHold",
    "created": False,
    "facts": {"stateBefore": "active", "state": "releasing"},
}
PURGE: dict[str, Any] = {"entity_type": "Retention", "created": False, "action": "retention.purge", "actor_type": "job"}


@pytest.mark.parametrize(
    ("later", "total", "told"),
    [
        (timedelta(0), 1, 1),
        (timedelta(minutes=60), 1, 1),
        (timedelta(minutes=60) + MICRO, 1, 0),
        (-MICRO, 1, 0),
        (SECOND, 0, 0),
    ],
)
def test_a_purge_within_an_hour_of_a_release_is_told(later, total, told):
    records = [record(JOINED, **RELEASE), record(JOINED + later, id="p", facts={"total": total}, **PURGE)]
    assert len(rules.release_then_purge(records, Thresholds())) == told


def test_a_release_that_a_job_finished_after_its_cooling_off_is_not():
    records = [record(JOINED, **{**RELEASE, "actor_type": "job"}), record(JOINED + SECOND, **PURGE)]
    assert rules.release_then_purge(records, Thresholds()) == []


COUNTED: dict[Kind, tuple[int, timedelta, dict[str, Any]]] = {
    Kind.MASS_ERASURE: (20, timedelta(hours=1), {"entity_type": "DsarRequest", "facts": {"requestType": "delete"}}),
    Kind.AUDIT_VIEWS: (100, timedelta(minutes=10), {"entity_type": "AuditLog", "action": "audit_log.read"}),
    Kind.PROBING: (10, timedelta(minutes=10), {"entity_type": "Permission", "action": "access.refused"}),
    Kind.STUFFING: (5, timedelta(hours=1), {"entity_type": "User", "action": "auth.login_failed"}),
}


def several(kind: Kind, count: int, span: timedelta) -> list[Record]:
    """So many, the last one just so long after the first."""
    _, _, given = COUNTED[kind]
    moments = [JOINED + span * n / (count - 1) for n in range(count)] if count > 1 else [JOINED]
    return [
        record(moment, seq=n, **{**given, "facts": {**given.get("facts", {}), "source": f"s{n}"}})
        for n, moment in enumerate(moments)
    ]


def told(records: list[Record], kind: Kind, **known: Any) -> list[rules.Finding]:
    return [f for f in rules.counted(records, Thresholds(), known.get("known", {})) if f.kind is kind]


@pytest.mark.parametrize("kind", COUNTED)
def test_a_count_is_told_at_its_threshold_and_not_below(kind):
    threshold, window, _ = COUNTED[kind]
    just = window - MICRO
    assert told(several(kind, threshold - 1, just), kind) == []
    (found,) = told(several(kind, threshold, just), kind)
    assert (found.about["count"], found.record.seq, found.severity) == (threshold, threshold - 1, Severity.PAGE)
    # Spread over its whole window they are one too few at any moment.
    assert told(several(kind, threshold, window), kind) == []


@pytest.mark.parametrize("kind", COUNTED)
def test_what_goes_on_is_told_once_and_again_after_its_window(kind):
    threshold, window, _ = COUNTED[kind]
    on_and_on = several(kind, threshold * 40, window * 10 - MICRO)
    moments = [f.record.at for f in told(on_and_on, kind)]
    assert 1 < len(moments) <= 10
    assert all(b - a >= window for a, b in pairwise(moments))


@pytest.mark.parametrize("kind", COUNTED)
def test_what_was_told_by_an_earlier_scan_is_not_told_again(kind):
    threshold, window, _ = COUNTED[kind]
    records = several(kind, threshold, window / 2)
    known = {(kind, "ada"): [records[-1].at - window + MICRO]}
    assert told(records, kind, known=known) == []
    assert told(records, kind, known={(kind, "ada"): [records[-1].at - window]})
    assert told(records, kind, known={(kind, "bo"): [records[-1].at]})


def test_two_actors_are_counted_apart():
    records = several(Kind.PROBING, 9, SECOND)
    other = [
        record(r.at, seq=r.seq + 100, entity_type="x", action="access.refused", actor_id="k", member="k")
        for r in records
    ]
    assert told([*records, *other], Kind.PROBING) == []


def test_many_tries_from_one_address_are_no_stuffing():
    one = [
        record(JOINED + n * SECOND, action="auth.login_failed", entity_type="User", facts={"source": "s"})
        for n in range(50)
    ]
    assert told(one, Kind.STUFFING) == []


def test_thresholds_are_settings(settings):
    settings.DETECTION_ODD_HOURS, settings.DETECTION_REFUSALS = " 20 - 7 ", 3
    settings.DETECTION_RELEASE_PURGE_MINUTES = 5
    now = thresholds.current()
    assert (now.odd_hours, now.refusals, now.release_purge) == ((20, 7), 3, timedelta(minutes=5))


@pytest.mark.parametrize("text", ["", "22", "22-", "a-b", "22-22", "25-6", "-1-6", "22-6-7"])
def test_what_are_no_hours_is_refused_and_checked(settings, text):
    from compliance.checks import detection_has_its_thresholds

    settings.DETECTION_ODD_HOURS = text
    with pytest.raises(thresholds.NotHours):
        thresholds.hours(text)
    assert [fault.id for fault in detection_has_its_thresholds(None)] == ["kaireon.E065"]
    settings.DETECTION_ODD_HOURS, settings.DETECTION_RELEASE_PURGE_MINUTES = "22-6", 61
    assert [fault.id for fault in detection_has_its_thresholds(None)] == ["kaireon.E064"]


# -- spans ------------------------------------------------------------------------------------------------------------


def span(first_minute: int, last_minute: int) -> Span:
    return Span(JOINED + timedelta(minutes=first_minute), JOINED + timedelta(minutes=last_minute))


def test_spans_that_touch_become_one_and_empty_ones_go():
    assert merged([span(5, 7), span(0, 3), span(3, 5), span(9, 9), span(10, 12)]) == [span(0, 7), span(10, 12)]


@pytest.mark.parametrize(
    ("covered", "left"),
    [
        ([], [span(0, 10)]),
        ([span(0, 10)], []),
        ([span(-5, 20)], []),
        ([span(2, 4), span(6, 7)], [span(0, 2), span(4, 6), span(7, 10)]),
        ([span(-9, 1), span(9, 30)], [span(1, 9)]),
        ([span(10, 12), span(-3, 0)], [span(0, 10)]),
    ],
)
def test_gaps_are_what_nothing_covers(covered, left):
    assert gaps(covered, span(0, 10)) == left


def test_a_moment_is_among_spans_from_their_beginning_to_before_their_end():
    is_there = among([span(5, 7), span(0, 3), span(2, 4)])
    assert [n for n in range(-1, 9) if is_there(span(n, n).begins)] == [0, 1, 2, 3, 5, 6]
    assert not among([])(JOINED)
