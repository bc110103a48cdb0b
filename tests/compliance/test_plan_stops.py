"""What appears between two batches stops a plan there, for good; whoever is killed is followed by the next one."""

import psycopg
import pytest
from django.core.files.storage import default_storage

from compliance.models import Disposition
from compliance.purging import batches, plans
from compliance.purging.refusals import Reason
from customers import removals
from customers.models import Attachment, Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.kills.child import dying
from tests.cast import ACME
from tests.compliance.planned import again, agree, apply, begin, go_on, make, records, refused_for
from tests.compliance.rows import ADA, NOW, count, customer, end, hold, interactions, policy
from tests.compliance.test_purge import attach
from tests.servers import SUITE


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def stopped_by(monkeypatch, plan, change, reason):
    plain = batches.Batches.one

    def then(*args, **kwargs):
        done = plain(*args, **kwargs)
        afterwards.append(change)
        return done

    afterwards = []
    monkeypatch.setattr(batches.Batches, "one", then)
    begin(plan)
    with refused_for(reason):
        go_on(plan, size=2, told=lambda *_: [afterwards.pop()() for _ in list(afterwards)])
    after = again(plan)
    assert (after.state, after.error) == ("stopped", reason.value)
    assert count(Interaction) == 4
    with ADA.here(), transaction():
        assert sum(d.rows for d in Disposition.objects.all()) == 2
    (record,) = records(plans.VERB)
    assert (record.changes["total"], record.changes["errors"]) == (2, [reason.value])
    with refused_for(Reason.PLAN_ALREADY_APPLIED):
        begin(plan)


def test_a_hold(old, monkeypatch):
    stopped_by(monkeypatch, make(), lambda: policy("interactions", 30, hold=True), Reason.HOLD_APPEARED)


def test_a_hold_of_one_person(old, monkeypatch):
    stopped_by(monkeypatch, make(), lambda: hold(old), Reason.HOLD_APPEARED)


def test_a_longer_policy(old, monkeypatch):
    stopped_by(monkeypatch, make(), lambda: policy("interactions", 60), Reason.POLICY_CHANGED)


def test_a_row_that_came_meanwhile_is_left_for_the_next_plan(old, monkeypatch):
    plan = make()
    begin(plan)
    came = []

    def arrive(*_):
        if not came:
            came.append(interactions(old, 45))

    assert go_on(plan, size=2, told=arrive).rows == 7
    assert count(Interaction) == 2
    assert make().rows == 1


def test_what_stopped_it_may_be_over_and_it_still_goes_no_further(old, monkeypatch):
    """As when the job behind it is tried again by itself."""
    plan, placed = make(), []
    begin(plan)
    with refused_for(Reason.HOLD_APPEARED):
        go_on(plan, size=2, told=lambda *_: placed.append(hold(old)))
    for each in placed:
        end(each)
    with refused_for(Reason.PLAN_ALREADY_APPLIED):
        go_on(plan, size=2)
    assert (count(Interaction), again(plan).error) == (4, "hold_appeared")
    assert len(records(plans.VERB)) == 1


def test_of_two_who_apply_it_the_second_stops_with_the_first(old):
    plan = make()
    begin(plan)

    def the_other_is_stopped(done, _):
        if done == 2:
            placed = hold(old)
            with refused_for(Reason.HOLD_APPEARED):
                go_on(plan, size=2)
            end(placed)

    with refused_for(Reason.PLAN_ALREADY_APPLIED):
        go_on(plan, size=2, told=the_other_is_stopped)
    assert (count(Interaction), again(plan).state) == (4, "stopped")


def test_one_that_nobody_began_is_not_applied_whoever_agreed(two_people, old, bea):
    plan = make()
    for _ in range(2):
        with refused_for(Reason.PLAN_NOT_BEGUN):
            go_on(plan)
        agree(plan, bea)
        assert (again(plan).state, count(Interaction)) == ("approved", 6)
        plan = make()


def test_objects_that_storage_does_not_let_go_are_told_and_tried_again(db, monkeypatch):
    (name,) = attach(400)
    policy("attachments", 30)
    plan = make()

    def away(_name):
        raise OSError("storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(removals, "remove_object", away)
        assert apply(plan).rows == 1
    assert (again(plan).state, count(Attachment), default_storage.exists(name)) == ("applied", 0, True)
    (record,) = records(plans.VERB)
    assert record.changes["errors"] == ["1 stored objects could not be removed"]
    assert (record.changes["blobsAttempted"], record.changes["blobsDeleted"]) == (1, 0)
    apply(make())
    assert not default_storage.exists(name)
    assert records(plans.VERB)[-1].changes["blobsDeleted"] == 1


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
