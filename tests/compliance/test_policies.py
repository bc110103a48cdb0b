"""Versions of policies: what counts when, and who may not say otherwise."""

import threading
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from audit import services as records
from audit.models import AuditRecord
from audit.pruning import prune
from compliance.log import log_retention
from compliance.models import PolicyVersion, RetentionPolicy
from compliance.purging import purge
from compliance.retention import policies
from compliance.retention.in_force import all_in_force, in_force
from customers.models import Interaction
from dsar.requests.retention import shred_expired
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.compliance.rows import ADA, MALLORY, NOW, connect, count, customer, days_ago, interactions

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def decide(days, *, data_class="interactions", now=NOW, who=ADA, **more):
    with who.here(), transaction():
        return policies.upsert_policy(data_class=data_class, retention_days=days, actor=who.actor, now=now, **more)


def take_back(*, data_class="interactions", now=NOW):
    with ADA.here(), transaction():
        return policies.take_back(data_class=data_class, actor=ADA.actor, now=now)


def counts(now=NOW, data_class="interactions"):
    with ADA.here(), transaction():
        return in_force(data_class, now)


def days(now=NOW, data_class="interactions"):
    found = counts(now, data_class)
    return found.days if found else None


def versions():
    with ADA.here(), transaction():
        return list(PolicyVersion.objects.order_by("number"))


def test_without_a_policy_nothing_counts(db):
    assert counts() is None


def test_the_first_policy_of_a_class_and_a_lengthening_count_at_once(db):
    decide(30)
    assert days() == 30
    assert decide(31, now=NOW + HOUR).retention_days == 31
    assert days(NOW + HOUR) == 31
    assert [(v.number, v.retention_days, v.decided_by) for v in versions()] == [
        (1, 30, ADA.actor.id),
        (2, 31, ADA.actor.id),
    ]


def test_a_shortening_counts_after_the_cooling_off_to_the_moment(db):
    decide(365)
    row = decide(30, now=NOW + HOUR, reason="Minutes of 4 May")
    effect = NOW + HOUR + DAY
    assert row.retention_days == 365
    assert counts(NOW + HOUR).until == effect
    assert days(effect - timedelta(microseconds=1)) == 365
    assert days(effect) == 30
    found = counts(effect)
    assert (found.version.number, found.version.reason, found.until) == (2, "Minutes of 4 May", None)


def test_without_a_cooling_off_it_counts_at_once(db, settings):
    settings.RETENTION_COOLING_OFF_HOURS = 0
    decide(365)
    assert decide(30).retention_days == 30
    assert days() == 30


def test_it_waits_longer_when_that_is_asked_for_and_never_shorter(db):
    decide(365)
    decide(30, effective_from=NOW + 9 * DAY)
    assert counts().until == NOW + 9 * DAY
    decide(29, effective_from=NOW + HOUR)
    assert counts().until == NOW + DAY
    decide(400, effective_from=NOW + 3 * DAY)
    assert (days(NOW + 2 * DAY), days(NOW + 3 * DAY)) == (365, 400)


def test_what_waits_can_be_taken_back_once(db):
    decide(365)
    decide(30)
    take_back(now=NOW + HOUR)
    assert (days(NOW + 9 * DAY), counts(NOW + 9 * DAY).version.number) == (365, 3)
    with pytest.raises(policies.NothingWaits):
        take_back(now=NOW + HOUR)
    decide(20, now=NOW + HOUR)
    with pytest.raises(policies.NothingWaits):
        take_back(now=NOW + HOUR + DAY)
    with pytest.raises(policies.UnknownDataClass):
        take_back(data_class="nonsense")


def test_a_newer_shortening_replaces_the_one_that_waits_and_starts_anew(db):
    decide(365)
    decide(30)
    decide(60, now=NOW + 23 * HOUR)
    assert (days(NOW + DAY), days(NOW + 46 * HOUR), days(NOW + 47 * HOUR)) == (365, 365, 60)


def test_asking_again_for_what_waits_does_not_start_anew(db):
    decide(365)
    decide(30)
    decide(30, now=NOW + 23 * HOUR)
    assert days(NOW + DAY) == 30
    assert len(versions()) == 2


@pytest.mark.parametrize("again", [365, 400])
def test_the_days_that_count_or_more_cancel_what_waits(db, again):
    decide(365)
    decide(30)
    decide(again, now=NOW + HOUR)
    assert (days(NOW + HOUR), days(NOW + 9 * DAY)) == (again, again)


def test_a_hold_leaves_what_waits(db):
    decide(365)
    decide(30)
    held = decide(None, legal_hold=True, now=NOW + HOUR)
    assert held.legal_hold
    assert (len(versions()), days(NOW + DAY)) == (2, 30)
    with pytest.raises(policies.NoDays):
        decide(None, data_class="metrics")


def test_a_hold_is_no_policy_and_the_first_one_counts_at_once_after_it(db):
    assert decide(None, legal_hold=True).retention_days == 36500
    assert days() is None
    with ADA.here(), transaction():
        assert "interactions" in policies.classes_without_policy()
    assert decide(30).retention_days == 30
    assert days() == 30


@pytest.mark.parametrize("given", [0, -1, 36501, 10**30, 1.5, "365", True, float("nan")])
def test_it_takes_whole_days_in_range_only(db, given):
    with pytest.raises(policies.DaysOutOfRange):
        decide(given)
    assert count(RetentionPolicy) == 0


def test_nothing_counts_from_the_past(db):
    decide(30)
    with pytest.raises(policies.InThePast):
        decide(365, effective_from=NOW - timedelta(microseconds=1))
    assert days() == 30


def test_a_clock_that_was_moved_back_decides_nothing(db):
    decide(30)
    with pytest.raises(policies.ClockMovedBack):
        decide(365, now=NOW - HOUR)
    assert len(versions()) == 1
    # Of two machines one may be a little behind.
    decide(365, now=NOW - timedelta(seconds=1))
    assert versions()[1].created_at == NOW


def test_a_clock_that_was_moved_back_does_not_bring_back_fewer_days(db):
    decide(30)
    decide(365, now=NOW + DAY)
    assert days(NOW) == 365


def test_of_two_who_decide_at_once_both_count_one_after_the_other(db):
    decide(10)
    barrier = threading.Barrier(2)

    def one(wanted):
        from django.db import connections

        try:
            barrier.wait(5)
            decide(wanted)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=[wanted]) for wanted in (20, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    found = versions()
    assert [v.number for v in found] == [1, 2, 3]
    # Whoever came second was judged by what the first had made of it.
    waits = found[2].effective_from > found[2].created_at
    assert waits == (found[2].retention_days < found[1].retention_days)
    assert found[2].replaces_id == found[1].pk


def test_another_tenant_has_policies_of_its_own(db):
    decide(30)
    decide(365, who=MALLORY)
    with MALLORY.here(), transaction():
        assert {name: c.days for name, c in all_in_force(NOW).items()} == {"interactions": 365}


def test_each_decision_is_in_the_log_under_its_verb(db):
    decide(365)
    decide(30)
    take_back()
    records.drain("acme")
    with ADA.here(), transaction():
        verbs = AuditRecord.objects.order_by("seq").values_list("action", "entity_type")
        found = [pair for pair in verbs if pair[1] in ("PolicyVersion", "RetentionPolicy")]
    assert found.count(("retention_config.decide", "PolicyVersion")) == 3
    assert found.count(("retention_config.upsert", "RetentionPolicy")) == 2
    assert found.count(("retention_config.take_back", "RetentionPolicy")) == 1
    assert len(found) == 6


class TestWhoAsks:
    def test_the_purge_waits_for_the_cooling_off(self, db):
        interactions(customer(), 100)
        decide(365)
        decide(30)
        assert self.purged(NOW + 23 * HOUR) == 0
        assert self.purged(NOW + DAY) == 1
        assert count(Interaction) == 0
        with ADA.here(), transaction():
            assert RetentionPolicy.objects.get().retention_days == 30

    def purged(self, now):
        with ADA.here():
            return purge.purge_expired(now=now, actor=ADA.actor).deleted.get("interactionHistory", 0)

    def test_requests_keep_their_subject_until_it_counts(self, db):
        from dsar.models import DsarRequest
        from dsar.requests.services import create_request

        with ADA.here(), transaction():
            create_request(request_type="export", subject_id="nobody", actor=ADA.actor, now=days_ago(200))
            DsarRequest.objects.update(closed_at=days_ago(100))
        decide(365, data_class="dsar")
        decide(30, data_class="dsar")
        for now, shredded in ((NOW + 23 * HOUR, 0), (NOW + DAY, 1)):
            with ADA.here(), transaction():
                assert shred_expired(now=now) == shredded

    def test_the_log_is_kept_until_it_counts(self, db):
        decide(800, data_class=prune.DATA_CLASS)
        decide(400, data_class=prune.DATA_CLASS)
        for now, kept in ((NOW, 800), (NOW + DAY, 400)):
            with ADA.here(), transaction(), clock.freeze(now):
                assert log_retention().days == kept


def test_rows_follow_what_took_effect(db):
    decide(365)
    decide(30)
    decide(365, data_class="metrics")
    for now, moved in ((NOW, 0), (NOW + DAY, 1), (NOW + DAY, 0)):
        with ADA.here(), transaction():
            assert policies.settle(actor=ADA.actor, now=now) == moved
    with ADA.here(), transaction():
        assert RetentionPolicy.objects.get(data_class="interactions").retention_days == 30


class TestTheDatabase:
    def refuses(self, url, statement, values=()):
        with connect(url) as connection, pytest.raises(psycopg.Error) as refusal:
            connection.execute(statement, values)
        return str(refusal.value)

    def test_a_version_stays_as_it_is(self, role_url):
        decide(30)
        for statement in (
            "UPDATE compliance_policyversion SET retention_days = 1",
            "DELETE FROM compliance_policyversion",
            "TRUNCATE compliance_policyversion",
        ):
            assert any(words in self.refuses(role_url, statement) for words in ("append-only", "permission denied"))

    def test_a_policy_is_not_shortened_past_its_versions(self, role_url):
        decide(365)
        shorten = "UPDATE compliance_retentionpolicy SET retention_days = 30"
        assert "no version" in self.refuses(role_url, shorten)
        # Nor by one that waits and was replaced.
        decide(30)
        decide(60)
        assert "no version" in self.refuses(role_url, shorten)

    INSERT = (
        "INSERT INTO compliance_policyversion (id, tenant_id, policy_id, data_class, number, replaces_id,"
        " retention_days, anchor, mode, reason, decided_by, created_at, effective_from)"
        " SELECT %s, tenant_id, policy_id, data_class, {number}, {replaces}, 5, 'clock', 'normal', '', '', {at}, {at}"
        " FROM compliance_policyversion WHERE number = 1"
    )

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"number": "3"}, "follows"),
            ({"number": "1"}, "follows"),
            ({"at": "created_at - interval '1 s'"}, "follows"),
            ({"replaces": "NULL"}, "replaces"),
        ],
    )
    def test_a_version_follows_the_one_before_it(self, app_url, fields, words):
        decide(30)
        fits = {"number": "2", "replaces": "id", "at": "created_at"}
        assert words in self.refuses(app_url, self.INSERT.format(**{**fits, **fields}), [uuid4()])
        with connect(app_url) as connection:
            connection.execute(self.INSERT.format(**fits), [uuid4()])

    def test_a_decision_waits_for_a_deletion_under_way(self, app_url):
        """The next batch knows of it."""
        decide(30)
        with connect(app_url) as deleting:
            deleting.execute("SELECT public.hold_check('', false)")
            done = threading.Event()

            def lengthen():
                from django.db import connections

                decide(365)
                done.set()
                connections.close_all()

            thread = threading.Thread(target=lengthen)
            thread.start()
            assert not done.wait(0.2)
            deleting.rollback()
            assert done.wait(10)
            thread.join()
