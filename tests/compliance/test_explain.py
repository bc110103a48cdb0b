"""What keeps a record, until when, and by which path it goes; and that a purge does what was said."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from audit import services
from audit.models import AuditRecord
from audit.pruning import prune
from compliance.explaining import explain
from compliance.explaining.explanation import Way, Why
from compliance.models import Hold, HoldState
from compliance.purging.purge import purge_expired
from compliance.retention import binding, laws, policies
from customers import models as m
from dsar.models import DsarRequest
from dsar.requests import retention as requests
from dsar.requests.services import create_request
from kaireon.lib import clock
from kaireon.lib.clock import freeze
from kaireon.tenancy.context import transaction
from tests.audit.conftest import superuser  # noqa: F401
from tests.audit.pruning.conftest import size  # noqa: F401
from tests.audit.pruning.old_log import POLICY_DAYS
from tests.audit.pruning.old_log import policy as log_policy
from tests.compliance.precedence import cases, worlds
from tests.compliance.rows import (
    ACME,
    ADA,
    AGREED,
    MALLORY,
    NOW,
    customer,
    days_ago,
    end,
    hold,
    interactions,
    policy,
    traces,
)

DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)


def explained(entity, row, *, now=NOW, who=ADA):
    with who.here(), transaction():
        return explain.explain(entity, row.pk, now=now)


def reasons(said):
    return [reason.why for reason in said.reasons]


@dataclass(kw_only=True)
class Maker(cases.Maker):
    """Of worlds that are small: each row is asked about on its own."""

    people_in_it: int = 8
    rows_in_it: int = 160


def test_a_purge_does_what_was_said_of_each_row(db):
    seen, verdicts = set(), Counter()
    for number in range(2):
        maker = Maker(seed=f"explain {number}", now=cases.MOMENTS[number])
        world = maker.make()
        with worlds.tenant_with(world, f"x{number}", packs=maker.packs):
            with transaction():
                said = [explain.explain(row.entity, row.id, now=world.now) for row in world.rows[number::2]]
            for _ in range(2):
                purge_expired(now=world.now, actor=worlds.OFFICER)
                with transaction():
                    requests.shred_expired(now=world.now)
            there = worlds.left()
        for each in said:
            assert (each.id in there) == (each.verdict == "kept"), f"{maker.seed}: {each}"
            assert each.is_due == (not each.reasons), f"{maker.seed}: {each}"
        seen.update(each.entity for each in said)
        verdicts.update(each.verdict for each in said)
    assert seen == set(explain.ENTITIES)
    assert min(verdicts["kept"], verdicts["due"]) > 20, verdicts


class TestReasons:
    """One record for each of the reasons, and until when it keeps it."""

    @pytest.fixture
    def trace(self, db):
        return traces(customer(), 40)[0]

    def test_nobody_said_how_long(self, trace):
        said = explained("decisionTrace", trace)
        assert (said.verdict, reasons(said), said.free_at) == ("kept", [Why.NO_POLICY], None)
        assert (said.first, said.policies) == (None, [])

    def test_its_period_is_not_over(self, trace):
        policy("decisions", 90)
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.first.way, said.first.earliest) == ([Why.PERIOD], Way.CLEANUP, days_ago(-50))
        (version,) = said.policies
        assert (version["version"], version["days"], version["mode"], version["state"]) == (1, 90, "normal", "in_force")
        # At that moment it is still there, behind it no more.
        assert not explained("decisionTrace", trace, now=days_ago(-50)).is_due
        assert explained("decisionTrace", trace, now=days_ago(-50) + MICROSECOND).is_due

    def test_nothing_keeps_it(self, trace):
        policy("decisions", 30)
        said = explained("decisionTrace", trace)
        assert (said.verdict, said.reasons, said.first.earliest) == ("due", [], NOW)
        assert [path.way for path in said.paths] == [Way.CLEANUP, Way.DSAR_PURGE, Way.ERASURE]

    def test_the_shortest_period_of_all_is_what_dsar_purge_goes_by(self, trace, settings):
        policy("decisions", 90)
        policy("metrics", 50)
        assert {p.way: p.earliest for p in explained("decisionTrace", trace).paths}[Way.DSAR_PURGE] == days_ago(-50)
        settings.DSAR_PURGE_MODE = "strictest"
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.first.way, said.first.earliest) == ([Why.PERIOD], Way.DSAR_PURGE, days_ago(-10))
        assert said.paths[0].earliest == days_ago(-50)
        assert "by the policy of metrics" in said.reasons[0].text
        late = days_ago(-10) + MICROSECOND
        said = explained("decisionTrace", trace, now=late)
        assert (said.is_due, said.reasons, "the next dsar-purge takes it" in said.summary) == (True, [], True)
        hold(trace.customer)
        said = explained("decisionTrace", trace, now=late)
        assert (said.is_due, reasons(said), said.first) == (False, [Why.HOLD, Why.PERIOD], None)

    def test_its_class_is_held(self, trace):
        policy("decisions", 30, hold=True)
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.free_at, said.holds[0]["kind"]) == ([Why.CLASS_HOLD], None, "class")
        assert {path.earliest for path in said.paths} == {None}

    def test_holds_for_matters_until_the_last_goes(self, trace):
        policy("decisions", 30)
        first = hold(trace.customer)
        second = hold(entity="decisionTrace", query=[{"field": "decision", "op": "eq", "value": "offer"}])
        hold(entity="decisionTrace", query=[{"field": "decision", "op": "eq", "value": "limit"}])
        hold(data_class="interactions")
        hold(until_at=days_ago(41))
        hold(trace.customer, who=MALLORY)
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.free_at) == ([Why.HOLD, Why.HOLD], None)
        assert {found["id"] for found in said.holds} == {str(first.pk), str(second.pk)}
        assert said.holds[0]["matter"]["name"] == "Case 7"
        ends = days_ago(-1)
        with ADA.here(), transaction():
            Hold.objects.filter(pk=first.pk).update(**AGREED, releases_at=ends)
        end(second)
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.free_at, said.first.earliest) == ([Why.HOLD], ends, ends)
        assert {path.earliest for path in said.paths} == {ends}

    def test_a_hold_that_the_next_purge_ends_first_keeps_nothing_from_it(self, db):
        ann = customer(active=days_ago(100))
        (trace,) = traces(ann, 40)
        policy("profiles", 30)
        policy("decisions", 30)
        hold(ann, state=HoldState.RELEASING, releases_at=NOW)
        before = NOW - MICROSECOND
        assert (explained("decisionTrace", trace, now=before).is_due, explained("decisionTrace", trace).is_due) == (
            0,
            1,
        )
        assert (explained("customer", ann, now=before).is_due, explained("customer", ann).is_due) == (0, 1)
        hold(data_class="decisions")
        assert reasons(explained("decisionTrace", trace)) == [Why.HOLD]
        assert reasons(explained("customer", ann)) == [Why.REFERENCES]

    def test_a_request_of_its_person_is_open(self, trace):
        policy("decisions", 30)
        asked = uuid4()
        hold(trace.customer, kind="request", request_ref=asked)
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.first, said.holds) == ([Why.OPEN_REQUEST], None, [])
        assert said.requests[0]["id"] == str(asked)
        # The erasure that it may ask for is not stopped by it.
        assert {path.way: path.earliest for path in said.paths}[Way.ERASURE] == NOW

    def test_a_request_that_failed_is_still_owed_an_answer(self, trace):
        policy("decisions", 30)
        with ADA.here(), transaction():
            filed = create_request(
                request_type="export", subject_id=trace.customer.customer_id, actor=ADA.actor, now=NOW
            ).request
            DsarRequest.objects.filter(pk=filed.pk).update(status="failed", state="failed")
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.free_at, said.requests[0]["status"]) == ([Why.OPEN_REQUEST], None, "failed")
        assert "still owed an answer" in said.reasons[0].text

    def test_its_period_was_shortened_and_that_cools_off(self, trace):
        policy("decisions", 365)
        policy("decisions", 30)
        said = explained("decisionTrace", trace)
        counts = NOW + policies.cooling_off()
        assert (reasons(said), said.first.earliest) == ([Why.COOLING_OFF], counts)
        assert [(v["days"], v["state"]) for v in said.policies] == [(365, "in_force"), (30, "pending")]
        assert explained("decisionTrace", trace, now=counts).is_due

    def test_a_shortening_that_comes_too_late_for_it_changes_nothing(self, trace):
        policy("decisions", 41)
        policy("decisions", 30)
        said = explained("decisionTrace", trace)
        assert (reasons(said), said.first.earliest) == ([Why.PERIOD], days_ago(-1))

    def test_a_law_keeps_it_longer_than_its_policy(self, trace):
        policy("decisions", 30)
        with ADA.here(), transaction():
            binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
        # It has not started: what is due is due.
        assert explained("decisionTrace", trace).is_due
        later = laws.DPDP_STARTS + DAY
        (young,) = traces(customer("c-2"), (NOW - later).days + 40)
        said = explained("decisionTrace", young, now=later)
        assert reasons(said) == [Why.LAW]
        assert said.first.earliest == young.decided_at + timedelta(days=366)
        assert said.floors[0]["citation"] == "DPDP Rules 2025, rule 8(3)"
        assert said.floors[0]["citation"] in said.reasons[0].text

    def test_what_it_ages_from_has_not_happened(self, db):
        policy("interactions", 30)
        with ADA.here(), transaction():
            row = m.JourneyEnrollment.objects.create(customer=customer(), journey="j")
        said = explained("journeyEnrollment", row)
        assert (reasons(said), said.first) == ([Why.NO_CLOCK], None)

    def test_it_ends_by_itself(self, db):
        policy("consents", 3650)
        with ADA.here(), transaction():
            row = m.SuppressionTombstone.objects.create(subject_key="v1:0", expires_at=days_ago(-9))
        said = explained("suppressionTombstone", row)
        assert (reasons(said), said.first.earliest) == ([Why.OWN_END], days_ago(-9))
        assert [path.way for path in said.paths] == [Way.CLEANUP]

    def test_what_refers_to_a_profile_keeps_it_until_it_goes(self, db):
        ann = customer(active=days_ago(100))
        interactions(ann, 40, 300)
        traces(ann, 200)
        policy("profiles", 30)
        policy("interactions", 60)
        policy("decisions", 90)
        said = explained("customer", ann)
        assert (reasons(said), said.first.earliest) == ([Why.REFERENCES], days_ago(-20))
        assert [(r["entity"], r["rows"]) for r in said.references] == [("interactionHistory", 1)]
        # By then all of it goes in one purge.
        assert explained("customer", ann, now=days_ago(-20) + MICROSECOND).is_due

    def test_a_profile_that_held_rows_refer_to_has_no_date(self, db):
        ann = customer(active=days_ago(100))
        interactions(ann, 300)
        policy("profiles", 30)
        policy("interactions", 60)
        hold(entity="interactionHistory")
        said = explained("customer", ann)
        assert (reasons(said), said.first) == ([Why.REFERENCES], None)

    def test_nothing_of_its_person_is_left(self, db):
        policy("dsar", 30)
        with ADA.here(), transaction():
            row = DsarRequest.objects.create(
                request_type="export",
                regulation="gdpr",
                pseudonym="expired",
                received_at=days_ago(99),
                requested_at=days_ago(99),
                due_on=NOW.date(),
                closed_at=days_ago(90),
                state="completed",
                status="completed",
            )
        said = explained("dsarRequest", row)
        assert (said.verdict, reasons(said)) == ("kept", [Why.EMPTY])


class TestLog:
    """Records of the audit log go by sealed prefix."""

    def record(self, seq):
        services.drain(ACME)
        with ADA.here(), transaction():
            return AuditRecord.objects.get(seq=seq)

    def explained(self, seq):
        return explained("auditRecord", self.record(seq), now=clock.now())

    def test_a_record_says_when_its_prefix_may_go(self, size):  # noqa: F811
        old, young, last = self.explained(1), self.explained(size + 1), self.explained(size + 23)
        assert (old.verdict, old.reasons, old.first.way) == ("due", [], Way.PRUNE)
        assert reasons(young) == [Why.PERIOD]
        assert young.first.earliest - clock.now() == pytest.approx((POLICY_DAYS - 10) * DAY, abs=DAY)
        assert (reasons(last), last.first) == ([Why.NOT_SEALED], None)

    def test_what_the_plan_would_take_is_what_is_due(self, size):  # noqa: F811
        services.drain(ACME)
        with ADA.here(), transaction():
            taken = prune.make_plan(now=clock.now()).last_seq
        assert (self.explained(taken).is_due, self.explained(taken + 1).is_due) == (True, False)

    def test_a_law_keeps_it_longer_than_its_policy(self, size):  # noqa: F811
        log_policy(30)
        with freeze(clock.now() + policies.cooling_off() + DAY):
            young = self.explained(size + 1)
        assert (reasons(young), young.floors[0]["days"]) == ([Why.LAW], prune.FLOOR_DAYS)

    def test_holds_keep_it(self, size):  # noqa: F811
        hold(customer(), data_class="audit")
        assert reasons(self.explained(1)) == [Why.HOLD]
        log_policy(hold=True)
        assert reasons(self.explained(1)) == [Why.CLASS_HOLD, Why.HOLD]

    def test_without_a_policy_it_stays(self, db):
        policy("decisions", 30)
        assert reasons(self.explained(1)) == [Why.NO_POLICY]
