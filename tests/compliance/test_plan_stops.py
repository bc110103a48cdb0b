"""What appears between two batches stops a plan there, for good; whoever is killed is followed by the next one."""

import psycopg
import pytest

from compliance.models import Disposition
from compliance.purging import batches, plans
from compliance.purging.refusals import Reason
from customers.models import Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.kills.child import dying
from tests.cast import ACME
from tests.compliance.planned import again, apply, begin, go_on, make, records, refused_for
from tests.compliance.rows import ADA, NOW, count, customer, hold, interactions, policy
from tests.servers import SUITE


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


def stopped_by(monkeypatch, plan, change, reason):
    plain = batches.one_batch

    def then(*args, **kwargs):
        done = plain(*args, **kwargs)
        afterwards.append(change)
        return done

    afterwards = []
    monkeypatch.setattr(batches, "one_batch", then)
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
