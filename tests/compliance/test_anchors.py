"""Policies that count from something else than the rows' own clock."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from compliance.explaining.explain import explain
from compliance.explaining.explanation import Why
from compliance.models import CLOCK, Disposition, Mode, PolicyVersion
from compliance.purging import applying, plans
from compliance.purging.preview import preview
from compliance.purging.purge import purge_expired
from compliance.retention import binding, governed, laws, policies
from compliance.retention.in_force import in_force
from customers.catalogue import CATALOGUE, DERIVED, anchors
from customers.models import Interaction, JourneyEnrollment
from customers.partitions import ensure_months
from dsar.models import DsarRequest
from dsar.requests.retention import shred_expired
from kaireon.approvals import sealed
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.caller import error_of, with_key
from tests.compliance.rows import ADA, NOW, connect, customer, days_ago, hold

# When it happened and was recorded, in days ago.
AGES_IN_A_LAW = ((400, 400), (400, 300), (300, 400))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def decide(days, anchor="created_at", *, data_class="interactions", now=NOW, **more):
    with ADA.here(), transaction():
        return policies.upsert_policy(
            data_class=data_class, retention_days=days, anchor=anchor, actor=ADA.actor, now=now, **more
        )


def counts(now=NOW, data_class="interactions"):
    with ADA.here(), transaction():
        found = in_force(data_class, now)
        return found.days, found.version.anchor


def did(*moments, of=None):
    """Interactions that happened, and were recorded, so many days ago."""
    who = of or customer(uuid4().hex)
    with ADA.here(), transaction():
        ensure_months("customers_interaction", [days_ago(happened) for happened, _ in moments])
        return Interaction.objects.bulk_create(
            Interaction(
                customer=who,
                kind="visit",
                occurred_at=days_ago(happened),
                created_at=days_ago(recorded),
                external_id=uuid4().hex,
            )
            for happened, recorded in moments
        )


def left():
    with ADA.here(), transaction():
        return set(Interaction.objects.values_list("pk", flat=True))


def purge(now=NOW, **more):
    with ADA.here():
        purged = purge_expired(now=now, actor=ADA.actor, **more)
    assert purged.errors == []
    return purged.deleted


@pytest.mark.parametrize("described", [*CATALOGUE, *DERIVED], ids=lambda e: e.name)
def test_what_may_be_counted_from_is_never_empty(described):
    columns = {field.attname: field for field in described.model_class._meta.concrete_fields}
    for name in described.anchors:
        assert columns[name].get_internal_type() == "DateTimeField"
        assert not columns[name].null
        assert name != described.clock
        assert not described.own_expiry


def test_rows_go_by_what_their_policy_counts_from_in_batches(db):
    rows = did((400, 400), (400, 10), (40, 31), (35, 32), (10, 33), (31, 30), (60, 50))
    decide(30)
    assert purge(batch=2)["interactionHistory"] == 5
    assert left() == {rows[1].pk, rows[5].pk}
    with ADA.here(), transaction():
        gone = Disposition.objects.get()
    assert (gone.clock, gone.rows, gone.clock_from, gone.clock_until) == ("created_at", 5, days_ago(400), days_ago(31))


def test_rows_without_the_column_keep_to_their_clock_and_what_has_not_begun_stays(db):
    who = customer()
    old, new = did((60, 5), (5, 60), of=who)
    with ADA.here(), transaction():
        journeys = [
            JourneyEnrollment.objects.create(customer=who, journey=name, entered_at=days_ago(entered), ended_at=ended)
            for name, entered, ended in (("a", 60, None), ("b", 60, days_ago(5)), ("c", 5, days_ago(1)))
        ]
    decide(30, "entered_at")
    deleted = purge()
    assert (deleted["interactionHistory"], deleted["journeyEnrollment"]) == (1, 1)
    with ADA.here(), transaction():
        there = set(JourneyEnrollment.objects.values_list("pk", flat=True))
    assert (left(), there) == ({new.pk}, {journeys[0].pk, journeys[2].pk})
    assert old.pk not in left()


def test_another_anchor_waits_as_a_shortening_also_with_more_days(db):
    decide(30, CLOCK)
    decide(400, now=NOW + HOUR)
    assert (counts(NOW + HOUR), counts(NOW + HOUR + DAY)) == ((30, CLOCK), (400, "created_at"))
    # Without saying so it stays as it is.
    decide(500, None, now=NOW + 3 * DAY)
    assert counts(NOW + 3 * DAY) == (500, "created_at")
    decide(500, CLOCK, now=NOW + 4 * DAY)
    assert (counts(NOW + 4 * DAY)[1], counts(NOW + 5 * DAY)[1]) == ("created_at", CLOCK)
    with ADA.here(), transaction():
        assert not in_force("interactions", NOW + 4 * DAY).by_clock
        assert in_force("interactions", NOW + 5 * DAY).by_clock


def test_what_no_row_of_the_class_has_is_refused(db):
    for data_class, anchor in (("deliveries", "created_at"), ("interactions", "sent_at"), ("audit", "created_at")):
        with pytest.raises(policies.UnknownAnchor, match="known are clock"):
            decide(30, anchor, data_class=data_class)
    with ADA.here(), transaction():
        assert anchors("interactions") == ("created_at", "entered_at")
        assert not PolicyVersion.objects.exists()


def test_in_compliance_mode_it_is_refused_and_in_governance_it_takes_two(db):
    decide(30, CLOCK, mode=Mode.COMPLIANCE)
    with pytest.raises(policies.MayOnlyLengthen):
        decide(400)
    decide(30, CLOCK, data_class="decisions", mode=Mode.GOVERNANCE)
    with pytest.raises(policies.NeedsSecondPerson):
        decide(30, data_class="decisions", reason="why not")
    with ADA.here(), transaction():
        asked = governed.ask(
            data_class="decisions",
            retention_days=30,
            anchor="created_at",
            mode=None,
            reason="why not",
            actor=ADA.actor,
            now=NOW,
        )
        assert asked.verb == governed.VERB
        assert sealed.payload_of(asked)["anchor"] == "created_at"


def test_the_database_refuses_it_too(db, app_url):
    decide(30, CLOCK, mode=Mode.COMPLIANCE)
    connection = connect(app_url)
    with pytest.raises(psycopg.errors.CheckViolation, match="only ever lengthened"):
        connection.execute(
            "INSERT INTO compliance_policyversion (id, tenant_id, policy_id, data_class, number, replaces_id,"
            " retention_days, anchor, mode, reason, decided_by, created_at, effective_from)"
            " SELECT gen_random_uuid(), tenant_id, policy_id, data_class, 2, id, 400, 'created_at', mode, '', '',"
            " created_at, created_at FROM compliance_policyversion"
        )
    connection.close()


def test_a_law_counts_from_the_later_of_both(db):
    """Of policies that are older than it, and ask for less."""
    decide(30)
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
    now = laws.DPDP_STARTS + HOUR
    since = (now - NOW) / DAY
    both, *others = did(*((happened - since, recorded - since) for happened, recorded in AGES_IN_A_LAW))
    with ADA.here(), transaction():
        said = [explain("interactionHistory", row.pk, now=now) for row in (both, *others)]
        plan = plans.make(actor=ADA.actor, now=now)
        assert (plan.rows, plans.items_of(plan).get().floor_before) == (1, now - 366 * DAY)
    assert [(e.is_due, [reason.why for reason in e.reasons]) for e in said] == [(True, []), *[(False, [Why.LAW])] * 2]
    assert [e.free_at for e in said[1:]] == [now + 66 * DAY] * 2
    assert purge(now)["interactionHistory"] == 1
    assert left() == {row.pk for row in others}


def test_a_hold_stays_on_the_rows_own_clock(db):
    held, free = did((100, 400), (300, 400))
    decide(30)
    hold(entity="interactionHistory", from_at=days_ago(150), until_at=days_ago(50))
    assert purge()["interactionHistory"] == 1
    assert left() == {held.pk}
    assert free.pk not in left()


def test_a_plan_counts_from_it_and_stops_when_that_changes(db, settings):
    settings.RETENTION_COOLING_OFF_HOURS = 0
    did((400, 40), (10, 50), (400, 10))
    decide(30)
    with ADA.here():
        with transaction():
            plan = plans.make(actor=ADA.actor, now=NOW)
            (item,) = plans.items_of(plan)
        assert (item.clock, item.rows, item.clock_from) == ("created_at", 2, days_ago(50))
        decide(30, CLOCK, now=NOW + HOUR)
        with pytest.raises(applying.PlanRefused):
            applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW + HOUR)
        decide(30, now=NOW + 2 * HOUR)
        with transaction():
            plan = plans.make(actor=ADA.actor, now=NOW + 2 * HOUR)
        applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW + 2 * HOUR)
        done = applying.go_on(plan_id=plan.pk, now=NOW + 2 * HOUR, budget=Budget(60), size=1)
    assert (done.rows, done.finished, len(left())) == (2, True, 1)


def test_explain_says_what_it_counts_from(db):
    due, kept = did((10, 40), (400, 10))
    decide(30)
    with ADA.here(), transaction():
        said = explain("interactionHistory", kept.pk, now=NOW)
        assert (said.clock, said.clock_at, said.is_due) == ("created_at", days_ago(10), False)
        assert (said.reasons[0].why, said.free_at) == (Why.PERIOD, NOW + 20 * DAY)
        assert explain("interactionHistory", due.pk, now=NOW).is_due
        assert explain("interactionHistory", due.pk, now=NOW).policies[0]["anchor"] == "created_at"


def test_a_preview_counts_from_it(db):
    did((400, 10), (10, 400), (60, 60))
    decide(365, CLOCK)
    with ADA.here(), transaction():
        found = preview(data_class="interactions", retention_days=365, anchor="created_at", now=NOW)
    history = found.losses[0]
    assert (found.shortens, found.counts_from) == (True, NOW + DAY)
    assert (history.clock, history.rows, history.oldest) == ("created_at", 1, days_ago(400))


def test_requests_are_shredded_by_it(db):
    with ADA.here(), transaction():
        for received in (60, 5):
            DsarRequest.objects.create(
                subject_sealed=b"x",
                received_at=days_ago(received),
                due_on=NOW.date(),
                requested_at=days_ago(received),
                requested_by="ada",
                closed_at=days_ago(3),
                state="completed",
                status="completed",
            )
    decide(30, "received_at", data_class="dsar")
    with ADA.here(), transaction():
        assert shred_expired(now=NOW) == 1


def test_it_is_decided_over_http(db):
    ada = with_key("ada")
    url, given = "/admin/retention-configs", {"dataClass": "interactions", "retentionDays": 30}
    with clock.freeze(NOW):
        assert ada.post(url, {**given, "anchor": "created_at"}).json()["anchor"] == "created_at"
        waits = ada.post(url, {**given, "anchor": "clock"}).json()
        assert (waits["anchor"], waits["pendingAnchor"], waits["pendingDays"]) == ("created_at", "clock", 30)
    for path in (url, f"{url}/preview"):
        refused = ada.post(path, {**given, "anchor": "sent_at"})
        assert (refused.status_code, error_of(refused)["message"][:8]) == (400, "anchor: ")
