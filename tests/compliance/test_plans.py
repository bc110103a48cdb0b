"""Plans of a purge: to the row, applied once, and never changed."""

import pytest
from django.db import DatabaseError, connection

from compliance.models import Disposition, PlanState, PurgePlanItem
from compliance.purging import applying, comparing, plans
from customers.models import Customer, DecisionTrace, IdentityLink, Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.compliance.planned import LATER, again, apply, begin, go_on, items, make, records
from tests.compliance.rows import ADA, NOW, count, customer, days_ago, interactions, policy


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def test_it_says_what_would_go_and_takes_nothing(old):
    plan = make()
    assert (plan.state, plan.rows, plan.held) == ("planned", 7, ["metrics"])
    assert "profiles" in plan.without_policy
    seen, decided = items(plan)
    assert (seen.entity, seen.rows, seen.retention_days, seen.policy_version) == ("interactionHistory", 5, 30, 1)
    assert (seen.before, seen.clock_from, seen.clock_until) == (days_ago(30), days_ago(80), days_ago(40))
    assert (decided.entity, decided.rows) == ("decisionTrace", 2)
    assert plan.digest == plans.digest(plan, [seen, decided])
    assert (count(Interaction), count(DecisionTrace)) == (6, 3)
    (made,) = records(plans.MADE_VERB)
    assert (made.entity_type, made.after["digest"]) == ("PurgePlan", plan.digest)


def test_applied_it_deletes_that_and_writes_it_down(old):
    plan = make()
    heard = []
    done = apply(plan, size=2, told=lambda *said: heard.append(said))
    assert (done.rows, done.planned, done.finished) == (7, 7, True)
    assert heard[-1] == (7, 7)
    assert [said for said, _ in heard] == sorted(said for said, _ in heard)
    assert (count(Interaction), count(DecisionTrace)) == (1, 1)
    after = again(plan)
    assert (after.state, after.applied_by_name, after.finished_at) == ("applied", "Ada", LATER)
    with ADA.here(), transaction():
        found = {d.entity: d for d in Disposition.objects.all()}
    assert {name: d.rows for name, d in found.items()} == {"interactionHistory": 5, "decisionTrace": 2}
    assert {(d.run, d.plan) for d in found.values()} == {(plan.pk, plan.pk)}
    (record,) = records(plans.VERB)
    assert (record.changes["total"], record.changes["digest"]) == (7, plan.digest)
    assert len(records(applying.APPLY_VERB)) == len(records(applying.APPLIED_VERB)) == 1


def test_only_the_classes_that_were_asked_for(old):
    plan = make(classes=["decisions", "decisions"])
    assert (plan.rows, plan.classes) == (2, ["decisions"])
    apply(plan)
    assert (count(Interaction), count(DecisionTrace)) == (6, 1)


def test_a_plan_of_nothing_is_applied_too(db):
    plan = make()
    assert (plan.rows, apply(plan).rows, again(plan).state) == (0, 0, "applied")


def test_out_of_time_it_goes_on_where_it_stood(old):
    plan = make()
    begin(plan)
    first = go_on(plan, seconds=0, size=2)
    assert (first.rows, first.finished, again(plan).state) == (2, False, "applying")
    assert count(Interaction) == 4
    begin(plan)
    assert go_on(plan, size=2).finished
    assert again(plan).state == "applied"


def test_a_dry_run_goes_the_same_way_and_does_nothing(old):
    plan = make()
    begin(plan, dry_run=True)
    done = go_on(plan, dry_run=True, size=2)
    assert (done.rows, done.finished) == (7, True)
    assert (count(Interaction), count(DecisionTrace), again(plan).state) == (6, 3, "planned")
    with ADA.here(), transaction():
        assert not Disposition.objects.exists()
        assert not PurgePlanItem.objects.filter(deleted__gt=0).exists()


def test_profiles_go_first_so_that_the_plan_frees_no_others(db):
    gone, kept = customer("gone", active=days_ago(400)), customer("kept", active=days_ago(400))
    interactions(kept, 40)
    with ADA.here(), transaction():
        IdentityLink.objects.create(customer=kept, kind="device", value="d-1", last_seen_at=days_ago(400))
    policy("profiles", 365)
    policy("interactions", 30)
    plan = make()
    assert items(plan)[0].entity == "customer"
    assert apply(plan).rows == plan.rows == 3
    with ADA.here(), transaction():
        assert Customer.objects.get().pk == kept.pk
        assert gone.pk != kept.pk


def test_of_two_who_apply_it_at_once_each_row_is_counted_once(old):
    plan = make()
    begin(plan)

    def interfere(done, total):
        go_on(plan, size=1)

    done = go_on(plan, size=2, told=interfere)
    assert done.finished
    with ADA.here(), transaction():
        assert sum(d.rows for d in Disposition.objects.all()) == 7
    assert len(records(plans.VERB)) == 1


SAID = {
    "compliance_purgeplan": ("digest", "rows", "epoch", "as_of", "made_by", "approval_id"),
    "compliance_purgeplanitem": ("rows", "before", "clock_until", "newest", "fingerprint"),
}


def test_the_application_changes_nothing_that_a_plan_says(old):
    make()
    for table, columns in SAID.items():
        for column in columns:
            with ADA.here(), pytest.raises(DatabaseError, match="permission denied"), transaction():
                change(f"UPDATE {table} SET {column} = {column}")
        with ADA.here(), pytest.raises(DatabaseError, match="permission denied"), transaction():
            change(f"DELETE FROM {table}")


def change(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_beside_now_it_shows_what_has_changed(old):
    plan = make()
    interactions(old, 45)
    policy("decisions", 90, hold=True)
    with ADA.here(), transaction():
        seen, decided = comparing.differences(again(plan), now=LATER)
    assert (seen["rows"], seen["rowsNow"], seen["heldNow"], seen["policyChanged"]) == (5, 6, False, False)
    assert (decided["rows"], decided["rowsNow"], decided["heldNow"]) == (2, 0, True)
    assert again(plan).state == PlanState.PLANNED
