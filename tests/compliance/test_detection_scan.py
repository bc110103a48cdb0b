"""Scans of real logs: each fact is told exactly when the rule says, once, whatever the phase, the gaps, the rivals."""

import logging
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import IntegrityError, connections

import audit
from audit import services as log
from audit.exports import jobs as export_jobs
from audit.models import AuditRecord
from compliance.detection import coverage, emitting, scanning
from compliance.detection.rules import Kind
from compliance.models import SecuritySignal
from compliance.retention import policies
from dsar.requests import services as requests
from kaireon.flows.models import Pipeline
from kaireon.lib import clock
from kaireon.tenancy import keys, members
from kaireon.tenancy import signals as tenancy_signals
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import Membership, Tenant
from kaireon.tenancy.roles import Role
from tests.caller import with_session
from tests.cast import ACME, ADA, GLOBEX, MALLORY, SETUP
from tests.compliance.detection_log import (
    SYSTEM,
    joined,
    key_of,
    run_flow,
    scan,
    signals,
    since,
    spans,
    write,
)

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
FIRST = Kind.FIRST_WORKFLOW


@pytest.mark.parametrize("phase", range(5))
def test_ages_are_caught_exactly_in_every_phase_of_the_schedule(superuser_url, phase):
    """A member for every half minute of age from 0:00 to 16:00; scans every five minutes, off by the phase."""
    begin = clock.now().replace(second=0, microsecond=0) - timedelta(hours=3)
    ages = [timedelta(seconds=30 * n) for n in range(33)]
    due = set()
    for age in ages:
        # In the middle of two scans, at one, and just before one.
        member = joined("new")
        since(member, begin)
        write(superuser_url, actor=member.id, at=begin + age)
        if age < 15 * MINUTE:
            due.add(member.id)
    told: list[str] = []
    for number in range(-1, 8):
        now = begin + (5 * number + phase) * MINUTE
        before = {row.pk for row in signals(FIRST)}
        assert scan(now).raised[FIRST] == len(signals(FIRST)) - len(before)
        fresh = [row for row in signals(FIRST) if row.pk not in before]
        # Caught by the first scan after it happened.
        assert all(now - 5 * MINUTE <= row.occurred_at < now for row in fresh)
        told += [row.member_id for row in fresh]
    assert sorted(told) == sorted(due)
    assert {row.severity for row in signals(FIRST)} == {"page"}  # So many new accounts at once are a burst.


def test_a_null_trigger_is_routine_and_one_alone_is_told_once(superuser_url):
    member, now = joined("new", 5 * MINUTE), clock.now()
    write(superuser_url, actor=member.id, at=now - MINUTE)
    assert scan(now).as_dict()["raised"] == {FIRST: 1}
    assert scan(now + SECOND).raised == {}
    assert scan(now + 5 * MINUTE).raised == {}
    (row,) = signals()
    assert (row.severity, row.evidence, row.occurred_at) == ("routine", [], now - MINUTE)
    assert (row.member_id, row.about) == (member.id, {"workflow": "flow_run", "ageSeconds": 240})


@pytest.mark.parametrize(("runs", "severity"), [(5, "routine"), (6, "page")])
def test_six_in_a_scan_are_a_burst_and_five_are_not(db, runs, severity):
    member = joined("new")
    for _ in range(runs):
        run_flow(member)
    scan()
    (row,) = signals(FIRST)
    assert (row.severity, row.evidence) == (severity, ["burst"] if severity == "page" else [])


def test_a_burst_that_a_later_scan_sees_is_told_then(db):
    member = joined("new")
    for _ in range(5):
        run_flow(member)
    scan()
    run_flow(member)
    assert scan().raised == {Kind.ESCALATION: 1}
    assert scan().raised == {}
    assert [(row.kind, row.severity) for row in signals()] == [(FIRST, "routine"), (Kind.ESCALATION, "page")]


def test_evidence_of_an_earlier_moment_that_comes_later_wakes_somebody_all_the_same(superuser_url):
    """The first workflow is told as routine, and then one that is older still, and with a key, reaches the log."""
    member, now = joined("new", 5 * MINUTE), clock.now()
    write(superuser_url, actor=member.id, at=now - MINUTE)
    assert scan(now).raised == {FIRST: 1}
    write(superuser_url, actor=key_of(member).id, at=now - 2 * MINUTE, by="api_key")
    assert scan(now + SECOND).raised == {Kind.ESCALATION: 1}
    assert scan(now + 2 * SECOND).raised == {}
    (row,) = signals(Kind.ESCALATION)
    assert (row.severity, row.evidence, row.occurred_at) == ("page", ["api_key_used"], now - 2 * MINUTE)


def test_two_tenants_are_apart(db):
    here, there = joined("new"), joined("new", tenant=GLOBEX)
    run_flow(here)
    run_flow(there, tenant=GLOBEX)
    assert scan().raised == {FIRST: 1}
    assert signals(tenant=GLOBEX) == []
    assert scan(tenant=GLOBEX).raised == {FIRST: 1}
    assert [[row.member_id for row in signals(tenant=t)] for t in (ACME, GLOBEX)] == [[here.id], [there.id]]


def test_a_member_of_both_is_new_in_each_by_itself(db):
    member = joined("new", timedelta(days=3))
    with scope(tenant_id=GLOBEX, actor=SETUP), transaction():
        Membership.objects.create(user_id=member.id, role=Role.ADMIN)
    run_flow(member)
    run_flow(member, tenant=GLOBEX)
    assert (scan().raised, scan(tenant=GLOBEX).raised) == ({}, {FIRST: 1})


def test_what_a_key_does_is_its_makers_and_a_page(db):
    member = joined("new")
    key = key_of(member)
    again = key_of(Actor(id=key.id, name="k", type="api_key"))
    run_flow(again, trigger="api")
    scan()
    (row,) = signals()
    assert (row.member_id, row.actor_id, row.evidence) == (member.id, again.id, ["api_key_used"])


def test_a_run_by_schedule_is_whose_pipeline_it_is(db):
    member = joined("new")
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        pipeline = Pipeline.objects.create(name="nightly", definition={"steps": []}, updated_by=member.id)
    run_flow(Actor.job("flow-scheduler-tick"), trigger="schedule", pipeline=pipeline)
    scan()
    (row,) = signals()
    assert (row.member_id, row.evidence) == (member.id, ["automated_trigger"])


def as_new(member: Actor) -> Any:
    return scope(tenant_id=ACME, actor=member, request_id="req-1")


def test_each_kind_of_workflow_is_found_in_the_log_as_the_product_writes_it(db):
    ways = {
        "dsar_request": lambda who: requests.create_request(
            request_type="delete", subject_id="c-9", actor=who, now=clock.now()
        ),
        "retention_change": lambda who: policies.upsert_policy(
            data_class="metrics", retention_days=30, legal_hold=True, actor=who, now=clock.now()
        ),
        "api_key": lambda who: keys.create_key(name="k", role=Role.VIEWER, actor=who),
        "admin_grant": lambda who: members.grant_role(email="x@new.example", role=Role.ADMIN),
        "bulk_export": lambda who: export_jobs.request(format_="csv", actor=who, now=clock.now()),
    }
    wanted = {}
    for workflow, do in ways.items():
        member = joined(workflow.replace("_", "-"))
        with as_new(member), transaction():
            do(member)
        wanted[member.id] = workflow
    scan()
    found = {row.member_id: (row.about["workflow"], row.evidence) for row in signals(FIRST)}
    assert [(member, said) for member, (said, _) in sorted(found.items())] == sorted(wanted.items())
    assert dict(found.values()) == {
        "dsar_request": ["destructive"],
        "retention_change": [],
        "api_key": [],
        "admin_grant": ["privilege_grant"],
        "bulk_export": ["bulk"],
    }


def test_who_joined_acted_and_left_between_two_scans_is_found(db):
    member = joined("gone")
    run_flow(member)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        Membership.objects.filter(user_id=member.id).delete()
    assert scan().raised == {FIRST: 1}


def test_an_event_before_joining_is_its_own_kind(db):
    member = joined("new")
    run_flow(member)
    since(member, clock.now() + 2 * MINUTE)
    assert scan().raised == {Kind.BEFORE_JOINING: 1}
    assert scan().raised == {}


def test_two_scans_at_once_tell_once(db):
    for _ in range(4):
        run_flow(joined("new"))
    now, found = clock.now() + SECOND, []

    def one() -> None:
        try:
            found.append(scan(now))
        finally:
            connections.close_all()

    rivals = [Thread(target=one) for _ in range(4)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert len(found) == 4
    assert sum(done.raised[FIRST] for done in found) == 4
    assert sum(done.emitted for done in found) == 4
    assert (len(signals()), len(spans())) == (4, 1)


def test_a_tenant_deactivated_between_scan_and_emit_keeps_nothing_half(db, monkeypatch):
    run_flow(joined("new"))
    monkeypatch.setattr(scanning.reading, "late_logins", _then(scanning.reading.late_logins, lambda: active(False)))
    with pytest.raises(scanning.TenantGone):
        scan()
    assert (signals(), spans()) == ([], [])
    monkeypatch.undo()
    active(True)
    assert scan().raised == {FIRST: 1}


def active(is_active: bool) -> None:
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        Tenant.objects.filter(pk=ACME).update(is_active=is_active)


def _then(call: Any, also: Any) -> Any:
    def both(*given: Any, **named: Any) -> Any:
        found = call(*given, **named)
        also()
        return found

    return both


# -- lines ------------------------------------------------------------------------------------------------------------


def lines(caplog: Any) -> list[Any]:
    return [r for r in caplog.records if r.name == "kaireon.security"]


def test_each_signal_is_one_line_of_ids_and_counts(db, caplog):
    member = joined("new")
    run_flow(member)
    scan()
    scan()
    (line,) = lines(caplog)
    (row,) = signals()
    assert (line.getMessage(), line.levelno) == ("security.behavioral.new_account_first_workflow", logging.WARNING)
    assert (line.tenant, line.severity, line.evidence, line.fingerprint) == (ACME, "routine", [], row.fingerprint)
    assert (line.signal, line.record, line.workflow) == (str(row.pk), str(row.record_id), "flow_run")
    assert row.emitted_at is not None
    # Nobody's name or address, and not even our id of the person.
    assert not any(text in str(vars(line)) for text in ("new-", "new.example", member.id))


def test_a_line_that_could_not_be_written_is_written_by_the_next_scan(db, caplog, monkeypatch):
    run_flow(joined("new"))

    def dies(row: Any) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(emitting, "emit", dies)
        with pytest.raises(OSError, match="full"):
            scan()
    assert (len(signals()), lines(caplog)) == (1, [])
    assert (scan().raised, len(lines(caplog))) == ({}, 1)


def test_the_log_itself_says_that_a_signal_was_raised(db):
    run_flow(joined("new"))
    scan()
    (row,) = signals()
    log.drain(ACME)
    with ADA.here(), transaction():
        record = AuditRecord.objects.get(action="security.signal.raised")
    assert (record.entity_id, record.entity_type, record.actor_type) == (str(row.pk), "SecuritySignal", "job")
    assert "note_sealed" not in record.after


def test_the_database_refuses_a_second_one_with_the_same_fingerprint(db):
    run_flow(joined("new"))
    scan()
    (row,) = signals()
    with pytest.raises(IntegrityError, match="signal_once"), ADA.here(), transaction():
        SecuritySignal.objects.create(
            kind=row.kind,
            severity=row.severity,
            record_id=row.record_id,
            occurred_at=row.occurred_at,
            raised_at=row.raised_at,
            fingerprint=row.fingerprint,
        )


# -- the other rules, on what the product writes ----------------------------------------------------------------------


def test_a_class_released_and_purged_is_told(db):
    with ADA.here(), transaction():
        policies.upsert_policy(
            data_class="metrics", retention_days=30, legal_hold=True, actor=ADA.actor, now=clock.now()
        )
    with ADA.here(), transaction():
        policies.upsert_policy(
            data_class="metrics", retention_days=30, legal_hold=False, actor=ADA.actor, now=clock.now()
        )
    scan()
    assert signals(Kind.RELEASE_THEN_PURGE) == []
    with ADA.here(), transaction():
        audit.record(action="retention.purge", entity_type="Retention", entity_id=ACME, changes={"total": 3})
    assert scan().raised == {Kind.RELEASE_THEN_PURGE: 1}
    assert scan().raised == {}


def test_refusals_are_counted_and_a_foreign_tenant_is_one(db, settings):
    settings.DETECTION_REFUSALS = 3
    ada = with_session(ADA.email)
    for _ in range(3):
        assert ada.get("/customers", x_tenant_id=GLOBEX).status_code == 403
    log.drain(ACME)
    assert scan().raised == {Kind.PROBING: 1}
    (row,) = signals()
    assert (row.member_id, row.about["count"]) == (ADA.actor.id, 3)
    assert signals(tenant=GLOBEX) == []


def test_sign_ins_from_many_addresses_are_told_in_every_tenant_of_the_account(db, client):
    for number in range(5):
        client.post(
            "/api/v1/auth/login",
            {"email": ADA.email, "password": "wrong"},
            content_type="application/json",
            REMOTE_ADDR=f"192.0.2.{number}",
        )
        client.post(
            "/api/v1/auth/login",
            {"email": MALLORY.email, "password": "wrong"},
            content_type="application/json",
            REMOTE_ADDR="198.51.100.7",
        )
    log.drain("_platform")
    assert (scan().raised, scan(tenant=GLOBEX).raised) == ({Kind.STUFFING: 1}, {})
    assert scan().raised == {}
    (row,) = signals()
    assert (row.member_id, row.about["count"]) == (ADA.actor.id, 5)


def test_sign_ins_that_were_spooled_are_counted_when_they_arrive(db):
    scan()
    for number in range(5):
        tenancy_signals.login_failed.send(
            sender=None, reason="wrong_password", user=ADA.user, request_id="r", source=f"s{number}"
        )
    log.drain("_platform")
    later = clock.now() + timedelta(hours=2)
    with scope(tenant_id=ACME, actor=SYSTEM), transaction():
        coverage.cover(coverage.Span(clock.now() - MINUTE, later), through_seq=0, platform_seq=0, now=later)
    assert scan(later).raised == {Kind.STUFFING: 1}
