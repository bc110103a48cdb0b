"""What refuses a plan before it begins: each is told by its reason, recorded, and deletes nothing."""

from datetime import timedelta

import psycopg
import pytest
from django.conf import settings

from compliance.models import PurgePlan
from compliance.purging import plans, refusals
from compliance.purging.refusals import Reason
from compliance.retention import binding, policies
from customers.models import Interaction
from kaireon.approvals import services as approvals
from kaireon.approvals.models import State
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.compliance.planned import LATER, agree, apply, begin, go_on, items, make, records, refused_for
from tests.compliance.rows import ADA, MALLORY, NOW, count, customer, days_ago, end, hold, interactions, policy
from tests.compliance.test_purge import attach


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def decide(days, *, now):
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="interactions", retention_days=days, actor=ADA.actor, now=now)


def refused(plan, reason, *, who=ADA, **options):
    before = count(Interaction)
    with refused_for(reason):
        begin(plan, who, **options)
    assert count(Interaction) == before
    assert records(refusals.VERB)[-1].changes == {"reason": reason.value}
    assert records(refusals.VERB)[-1].entity_id == str(plan.pk)


def test_a_hold_appeared(old):
    plan = make()
    policy("interactions", 30, hold=True)
    refused(plan, Reason.HOLD_APPEARED)


def test_a_hold_elsewhere_does_not_matter(old):
    plan = make()
    policy("deliveries", 30, hold=True)
    assert apply(plan).rows == 7


def test_a_hold_of_one_person_appeared(old):
    plan = make()
    hold(old)
    refused(plan, Reason.HOLD_APPEARED)


def test_a_hold_of_somebody_else_does_not_matter(db):
    other, who = customer("c-2"), customer()
    interactions(other, 45)
    interactions(who, 40, 50)
    policy("interactions", 30)
    hold(other)
    plan = make()
    assert (plan.rows, items(plan)[0].held_rows) == (2, 1)
    hold(other)
    hold(customer("c-3"))
    assert apply(plan).rows == 2
    assert count(Interaction) == 1


def test_another_hold_of_as_many_others(db):
    other, who = customer("c-2"), customer()
    interactions(other, 44, 45)
    interactions(who, 40, 50)
    policy("interactions", 30)
    first = hold(other)
    plan = make()
    assert (plan.rows, items(plan)[0].held_rows) == (2, 2)
    end(first)
    hold(who)
    refused(plan, Reason.HOLD_APPEARED)


def test_the_set_grew(old):
    plan = make()
    interactions(old, 45)
    refused(plan, Reason.SET_GREW)


def test_other_rows_of_the_same_number(old, superuser_url):
    plan = make()
    interactions(old, 45)
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        # In the place of one that was planned, and with an id as if it had been there before.
        (first,) = root.execute("SELECT min(id::text) FROM customers_interaction").fetchone()
        moved = first[:-4] + "0000"
        root.execute("DELETE FROM customers_interaction WHERE id = %s", [first])
        root.execute(
            "UPDATE customers_interaction SET id = %s WHERE id = (SELECT max(id::text)::uuid FROM"
            " customers_interaction)",
            [moved],
        )
    assert count(Interaction) == 6
    refused(plan, Reason.SET_GREW)


def test_fewer_rows_and_a_new_one_among_them(old):
    plan = make()
    with ADA.here(), transaction():
        Interaction.objects.filter(occurred_at__lt=days_ago(65)).delete()
    interactions(old, 45)
    refused(plan, Reason.SET_GREW)


def test_fewer_rows_alone_are_no_reason(old):
    plan = make()
    with ADA.here(), transaction():
        Interaction.objects.filter(occurred_at__lt=days_ago(65)).delete()
    assert apply(plan).rows == 5


def test_it_is_older_than_a_day(old):
    plan = make()
    refused(plan, Reason.PLAN_STALE, now=NOW + timedelta(days=1, microseconds=1))
    assert begin(plan, now=NOW + timedelta(days=1), dry_run=True).plan.pk == plan.pk


def test_it_was_applied_already(old):
    plan = make()
    apply(plan)
    refused(plan, Reason.PLAN_ALREADY_APPLIED)


def test_the_clock_moved_back(old):
    plan = make()
    refused(plan, Reason.CLOCK_MOVED_BACK, now=NOW - timedelta(seconds=1))


def test_the_clock_moved_back_while_it_was_being_applied(old):
    plan = make()
    begin(plan)
    refused(plan, Reason.CLOCK_MOVED_BACK, now=NOW)


def test_a_policy_keeps_longer_now(old):
    plan = make()
    policy("interactions", 31)
    refused(plan, Reason.POLICY_CHANGED)


def test_a_law_keeps_longer_now(db):
    attach(400)
    policy("attachments", 30)
    plan = make()
    assert plan.rows == 1
    with ADA.here(), transaction():
        binding.switch(name="tax-6-years", on=True, actor=ADA.actor, now=NOW)
    refused(plan, Reason.POLICY_CHANGED)


def test_a_shorter_policy_does_not_matter(db):
    interactions(customer(), 40, 29, 1)
    decide(30, now=days_ago(90))
    # Its cooling-off ends between plan and application.
    decide(20, now=NOW - timedelta(hours=settings.RETENTION_COOLING_OFF_HOURS) + timedelta(minutes=2))
    plan = make()
    assert apply(plan).rows == 1
    assert make(now=LATER).rows == 1


def test_nobody_agreed(two_people, old, bea):
    plan = make()
    assert plan.approval_id
    refused(plan, Reason.PLAN_NOT_APPROVED)
    assert agree(plan, bea).state == State.APPROVED
    assert apply(plan).rows == 7


def test_a_second_person_was_demanded_meanwhile(old):
    plan = make()
    with ADA.here(), transaction():
        approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)
    refused(plan, Reason.PLAN_NOT_APPROVED)


def test_it_does_not_say_what_it_said(old, superuser_url):
    plan = make()
    with psycopg.connect(superuser_url) as root:
        root.execute("UPDATE compliance_purgeplanitem SET before = before + interval '29 days', rows = 6")
    refused(plan, Reason.PLAN_CHANGED)


def test_its_author_agreed(old, superuser_url):
    plan = make()
    with psycopg.connect(superuser_url) as root:
        with pytest.raises(psycopg.errors.CheckViolation), root.transaction():
            root.execute("UPDATE compliance_purgeplan SET state = 'approved', approved_by = made_by")
        root.execute("ALTER TABLE compliance_purgeplan DROP CONSTRAINT purge_plan_by_two")
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE compliance_purgeplan SET state = 'approved', approved_by = made_by")
    refused(plan, Reason.PLAN_APPROVED_BY_AUTHOR)


def test_it_is_another_tenants(old):
    plan = make()
    with pytest.raises(PurgePlan.DoesNotExist):
        begin(plan, MALLORY)
    with pytest.raises(PurgePlan.DoesNotExist):
        go_on(plan, MALLORY)


def test_each_reason_has_its_advice_and_stands_in_the_docs():
    page = (settings.BASE_DIR / "docs" / "retention.md").read_text()
    for reason in Reason:
        assert refusals.ADVICE[reason].endswith(".")
        assert f"| `{reason.value}` |" in page
