"""Plans of a purge: to the row, agreed to, applied once, and refused when anything is not as it was planned."""

from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connection

from audit import services as log
from audit.models import AuditRecord
from compliance.models import Disposition, PlanState, PurgePlan, PurgePlanItem
from compliance.purging import applying, batches, plans
from compliance.retention import policies
from customers.models import Customer, DecisionTrace, IdentityLink, Interaction
from kaireon.approvals import services as approvals
from kaireon.approvals.models import State
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.roles import Role
from tests.audit.kills.child import dying
from tests.cast import ACME, SETUP
from tests.compliance.rows import ADA, MALLORY, NOW, count, customer, days_ago, end, hold, interactions, policy, traces
from tests.servers import SUITE

LATER = NOW + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def make(who=ADA, *, now=NOW, **options):
    with who.here(), transaction():
        return plans.make(actor=who.actor, now=now, **options)


def decide(days, *, now):
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="interactions", retention_days=days, actor=ADA.actor, now=now)


def begin(plan, who=ADA, *, now=LATER, **options):
    with who.here():
        return applying.begin(plan_id=plan.pk, actor=who.actor, now=now, **options)


def go_on(plan, who=ADA, *, now=LATER, seconds=60, **options):
    with who.here():
        return applying.go_on(plan_id=plan.pk, now=now, budget=Budget(seconds), **options)


def apply(plan, who=ADA, *, now=LATER, **options):
    begin(plan, who, now=now)
    return go_on(plan, who, now=now, **options)


def items(plan):
    with ADA.here(), transaction():
        return list(plans.items_of(plan))


def again(plan):
    with ADA.here(), transaction():
        return PurgePlan.objects.get(pk=plan.pk)


def records(action):
    log.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action=action).order_by("seq"))


@pytest.fixture
def old(db):
    """Five interactions and two traces past their time, and one of each that is not."""
    who = customer()
    interactions(who, 40, 50, 60, 70, 80, 1)
    traces(who, 100, 200, 1)
    policy("interactions", 30)
    policy("decisions", 90)
    policy("metrics", 30, hold=True)
    return who


@pytest.fixture
def bea(db):
    """A second person, as an actor."""
    user = tenants.create_user(email="bea@acme.example", name="Bea", password="", actor=SETUP)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        tenants.add_member(user=user, role=Role.ADMIN)
    return Actor(id=str(user.pk), name="Bea", type="user")


@pytest.fixture
def two_people(db, bea):
    with ADA.here(), transaction():
        approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)


def agree(plan, actor):
    with scope(tenant_id=ACME, actor=actor), transaction():
        return approvals.decide(request_id=plan.approval_id, answer="approve", actor=actor, now=NOW)


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
    plan = make(classes={"decisions"})
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


class TestRefusals:
    """All of them are told by their own exception, recorded, and delete nothing."""

    def refused(self, plan, error, *, who=ADA, **options):
        before = count(Interaction)
        with pytest.raises(error):
            begin(plan, who, **options)
        assert count(Interaction) == before
        assert records(applying.REFUSED_VERB)[-1].changes == {"reason": error.code}
        assert records(applying.REFUSED_VERB)[-1].entity_id == str(plan.pk)

    def test_a_hold_appeared(self, old):
        plan = make()
        policy("interactions", 30, hold=True)
        self.refused(plan, applying.HoldAppeared)

    def test_a_hold_elsewhere_does_not_matter(self, old):
        plan = make()
        policy("deliveries", 30, hold=True)
        assert apply(plan).rows == 7

    def test_a_hold_of_one_person_appeared(self, old):
        plan = make()
        hold(old)
        self.refused(plan, applying.HoldAppeared)

    def test_a_hold_of_somebody_else_does_not_matter(self, db):
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

    def test_another_hold_of_as_many_others(self, db):
        other, who = customer("c-2"), customer()
        interactions(other, 44, 45)
        interactions(who, 40, 50)
        policy("interactions", 30)
        first = hold(other)
        plan = make()
        assert (plan.rows, items(plan)[0].held_rows) == (2, 2)
        end(first)
        hold(who)
        self.refused(plan, applying.HoldAppeared)

    def test_the_set_grew(self, old):
        plan = make()
        interactions(old, 45)
        self.refused(plan, applying.SetGrew)

    def test_other_rows_of_the_same_number(self, old, superuser_url):
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
        self.refused(plan, applying.SetGrew)

    def test_fewer_rows_and_a_new_one_among_them(self, old):
        plan = make()
        with ADA.here(), transaction():
            Interaction.objects.filter(occurred_at__lt=days_ago(65)).delete()
        interactions(old, 45)
        self.refused(plan, applying.SetGrew)

    def test_fewer_rows_alone_are_no_reason(self, old):
        plan = make()
        with ADA.here(), transaction():
            Interaction.objects.filter(occurred_at__lt=days_ago(65)).delete()
        assert apply(plan).rows == 5

    def test_it_is_older_than_a_day(self, old):
        plan = make()
        self.refused(plan, applying.PlanStale, now=NOW + timedelta(days=1, microseconds=1))
        assert begin(plan, now=NOW + timedelta(days=1), dry_run=True).plan.pk == plan.pk

    def test_it_was_applied_already(self, old):
        plan = make()
        apply(plan)
        self.refused(plan, applying.PlanAlreadyApplied)

    def test_the_clock_moved_back(self, old):
        plan = make()
        self.refused(plan, applying.ClockMovedBack, now=NOW - timedelta(seconds=1))

    def test_the_clock_moved_back_while_it_was_being_applied(self, old):
        plan = make()
        begin(plan)
        self.refused(plan, applying.ClockMovedBack, now=NOW)

    def test_a_policy_keeps_longer_now(self, old):
        plan = make()
        policy("interactions", 31)
        self.refused(plan, applying.PolicyChanged)

    def test_a_shorter_policy_does_not_matter(self, db):
        interactions(customer(), 40, 29, 1)
        decide(30, now=days_ago(90))
        # Its cooling-off ends between plan and application.
        decide(20, now=NOW - timedelta(hours=settings.RETENTION_COOLING_OFF_HOURS) + timedelta(minutes=2))
        plan = make()
        assert apply(plan).rows == 1
        assert make(now=LATER).rows == 1

    def test_nobody_agreed(self, two_people, old, bea):
        plan = make()
        assert plan.approval_id
        self.refused(plan, applying.PlanNotApproved)
        assert agree(plan, bea).state == State.APPROVED
        assert apply(plan).rows == 7

    def test_a_second_person_was_demanded_meanwhile(self, old):
        plan = make()
        with ADA.here(), transaction():
            approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)
        self.refused(plan, applying.PlanNotApproved)

    def test_it_does_not_say_what_it_said(self, old, superuser_url):
        plan = make()
        with psycopg.connect(superuser_url) as root:
            root.execute("UPDATE compliance_purgeplanitem SET before = before + interval '29 days', rows = 6")
        self.refused(plan, applying.PlanChanged)

    def test_its_author_agreed(self, old, superuser_url):
        plan = make()
        with psycopg.connect(superuser_url) as root:
            with pytest.raises(psycopg.errors.CheckViolation), root.transaction():
                root.execute("UPDATE compliance_purgeplan SET state = 'approved', approved_by = made_by")
            root.execute("ALTER TABLE compliance_purgeplan DROP CONSTRAINT purge_plan_by_two")
            root.execute("SET session_replication_role = replica")
            root.execute("UPDATE compliance_purgeplan SET state = 'approved', approved_by = made_by")
        self.refused(plan, applying.PlanApprovedByAuthor)

    def test_it_is_another_tenants(self, old):
        plan = make()
        with pytest.raises(PurgePlan.DoesNotExist):
            begin(plan, MALLORY)
        with pytest.raises(PurgePlan.DoesNotExist):
            go_on(plan, MALLORY)


class TestApproval:
    def test_the_disposition_names_who_agreed(self, two_people, old, bea):
        plan = make()
        agree(plan, bea)
        assert again(plan).state == "approved"
        apply(plan)
        with ADA.here(), transaction():
            assert {(d.approved_by, d.approved_by_name, d.done_by_name) for d in Disposition.objects.all()} == {
                (bea.id, "Bea", "Ada")
            }

    def test_a_governed_class_asks_for_a_second_person_by_itself(self, old, bea, superuser_url):
        with psycopg.connect(superuser_url) as root:
            root.execute("SET session_replication_role = replica")
            root.execute("UPDATE compliance_policyversion SET mode = 'governance' WHERE data_class = 'decisions'")
        assert make(classes={"interactions"}).approval_id is None
        plan = make()
        with pytest.raises(applying.PlanNotApproved):
            begin(plan)
        agree(plan, bea)
        assert apply(plan).rows == 7

    def test_the_author_may_not(self, two_people, old):
        with pytest.raises(approvals.OwnRequest):
            agree(make(), ADA.actor)

    def test_a_plan_that_was_changed_is_not_agreed_to(self, two_people, old, bea, superuser_url):
        plan = make()
        with psycopg.connect(superuser_url) as root:
            root.execute("UPDATE compliance_purgeplanitem SET rows = 6")
        assert (agree(plan, bea).error, again(plan).state) == ("plan_changed", "planned")

    def test_a_stale_plan_is_not_agreed_to(self, two_people, old, bea, superuser_url):
        plan = make()
        with clock.freeze(NOW + timedelta(days=1, seconds=1)):
            assert agree(plan, bea).error == "plan_stale"

    def test_a_job_asks_nobody(self, two_people, old):
        robot = Actor.system("command:retention_plan")
        with scope(tenant_id=ACME, actor=robot), transaction():
            with pytest.raises(plans.AskerNeeded):
                plans.make(actor=robot, now=NOW)
            assert plans.make(actor=robot, now=NOW, asker=ADA.actor).made_for == ADA.actor.id


class TestOnTheWay:
    """What appears between two batches stops the plan there, for good."""

    def stopped_by(self, monkeypatch, plan, change, error):
        plain = batches.one_batch

        def then(*args, **kwargs):
            done = plain(*args, **kwargs)
            afterwards.append(change)
            return done

        afterwards = []
        monkeypatch.setattr(batches, "one_batch", then)
        begin(plan)
        with pytest.raises(error):
            go_on(plan, size=2, told=lambda *_: [afterwards.pop()() for _ in list(afterwards)])
        after = again(plan)
        assert (after.state, after.error) == ("stopped", error.code)
        assert count(Interaction) == 4
        with ADA.here(), transaction():
            assert sum(d.rows for d in Disposition.objects.all()) == 2
        (record,) = records(plans.VERB)
        assert (record.changes["total"], record.changes["errors"]) == (2, [error.code])
        with pytest.raises(applying.PlanAlreadyApplied):
            begin(plan)

    def test_a_hold(self, old, monkeypatch):
        self.stopped_by(monkeypatch, make(), lambda: policy("interactions", 30, hold=True), applying.HoldAppeared)

    def test_a_hold_of_one_person(self, old, monkeypatch):
        self.stopped_by(monkeypatch, make(), lambda: hold(old), applying.HoldAppeared)

    def test_a_longer_policy(self, old, monkeypatch):
        self.stopped_by(monkeypatch, make(), lambda: policy("interactions", 60), applying.PolicyChanged)

    def test_a_row_that_came_meanwhile_is_left_for_the_next_plan(self, old, monkeypatch):
        plan = make()
        begin(plan)
        came = []

        def arrive(*_):
            if not came:
                came.append(interactions(old, 45))

        assert go_on(plan, size=2, told=arrive).rows == 7
        assert count(Interaction) == 2
        assert make().rows == 1


def test_a_plan_that_is_killed_anywhere_goes_on_exactly(db):
    """SIGKILL before statements and around commits of applying it, until one lives."""
    interactions(customer(), *[40] * 9, *[50] * 4, 1)
    policy("interactions", 30)
    plan = make()
    assert plan.rows == 13
    point, killed = 12, 0
    while dying(lambda: apply(plan, size=2), at_statement=point):
        killed += 1
        assert_true_to_the_row(db, plan, before=14)
        point += 5
    assert_true_to_the_row(db, plan, before=14)
    assert killed > 2
    assert (again(plan).state, count(Interaction)) == ("applied", 1)
    assert len(records(plans.VERB)) == 1


def assert_true_to_the_row(db, plan, *, before):
    """In SQL, past all that is under test: what is gone, what the plan says is gone, and the disposition are one."""
    with psycopg.connect(SUITE.superuser_url(db)) as root:
        left, gone, said = root.execute(
            "SELECT (SELECT count(*) FROM customers_interaction WHERE tenant_id = %(t)s),"
            " (SELECT coalesce(sum(rows), 0) FROM compliance_disposition WHERE plan = %(p)s),"
            " (SELECT sum(deleted) FROM compliance_purgeplanitem WHERE plan_id = %(p)s)",
            {"t": ACME, "p": plan.pk},
        ).fetchone()
    assert before - left == gone == said


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
        seen, decided = applying.differences(again(plan), now=LATER)
    assert (seen["rows"], seen["rowsNow"], seen["heldNow"], seen["policyChanged"]) == (5, 6, False, False)
    assert (decided["rows"], decided["rowsNow"], decided["heldNow"]) == (2, 0, True)
    assert again(plan).state == PlanState.PLANNED
