"""Matters and holds: placed at once, released by two people after a cooling-off."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from audit import services as audit_log
from audit.models import AuditRecord
from compliance.holding import matters
from compliance.holding.matters import What
from compliance.models import Hold, HoldSubject, Matter, Notice
from compliance.purging import purge
from customers.models import Interaction
from kaireon.approvals import services as approvals
from kaireon.approvals.models import State
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.cast import ACME, PASSWORD, SETUP, Person
from tests.compliance.rows import ADA, NOW, count, customer, days_ago, interactions, policy
from tests.race import at_once

BEA = Person("bea@acme.example", ACME, Role.ADMIN)


@pytest.fixture
def bea(db):
    """A second admin: nobody releases a hold alone."""
    user = tenants.create_user(email=BEA.email, name="Bea", password=PASSWORD, actor=SETUP)
    with ADA.here(), transaction():
        tenants.add_member(user=user, role=Role.ADMIN)
    return BEA


def opened(**how):
    with ADA.here(), transaction():
        return matters.open_matter(**{"name": "Case 7", "reason": "order", "actor": ADA.actor, "now": NOW, **how})


def placed(what=None, *, matter=None, who=ADA, **how):
    matter = matter or opened()
    with who.here(), transaction():
        return matters.place(matter=matter, what=what or What(), actor=who.actor, now=NOW, **how)


def ask(hold, *, who=ADA, reason="settled"):
    with who.here(), transaction():
        return matters.ask_release(hold=hold, reason=reason, actor=who.actor, now=clock.now())


def agree(request, *, who):
    with who.here(), transaction():
        return approvals.decide(request_id=request.pk, answer="approve", actor=who.actor, now=clock.now())


def finish(*, hours):
    with ADA.here(), transaction():
        return matters.finish_releases(now=clock.now() + timedelta(hours=hours))


def again(hold):
    with ADA.here(), transaction():
        return Hold.objects.get(pk=hold.pk)


def log():
    audit_log.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(entity_type__in=["LegalHold", "Matter"]).order_by("seq"))


def test_a_hold_holds_at_once_and_its_record_says_what(db):
    ann, bo = customer("ann"), customer("bo")
    for who in (ann, bo):
        interactions(who, 40)
    policy("interactions", 30)
    hold = placed(What(data_class="interactions", subjects=[ann.pk, ann.pk]))
    with ADA.here(), transaction():
        assert HoldSubject.objects.get().subject_id == ann.pk
    assert (hold.state, again(hold).placed_by) == ("active", ADA.actor.id)
    with ADA.here():
        purge.purge_expired(now=NOW, actor=ADA.actor)
    assert count(Interaction) == 1
    opening, placing = log()
    assert (opening.action, placing.action) == ("matter.open", "legal_hold.place")
    assert placing.after["data_class"] == "interactions"


@pytest.mark.parametrize(
    ("what", "field"),
    [
        (What(data_class="nonsense"), "dataClass"),
        (What(entity="nonsense"), "entity"),
        (What(entity="subjectKey"), "entity"),
        (What(from_at=NOW, until_at=days_ago(1)), "until"),
        (What(subjects=[]), "subjects"),
        (What(query=[{"field": "kind", "op": "eq", "value": "visit"}]), "query"),
        *(
            (What(entity="interactionHistory", query=query), "query")
            for query in (
                [],
                {},
                "kind",
                [{}],
                [{"field": "kind", "op": "eq", "value": "visit", "or": 1}],
                [{"field": "external_id", "op": "eq", "value": "x"}],
                [{"field": "tenant_id", "op": "eq", "value": "globex"}],
                [{"field": "kind", "op": "like", "value": "x"}],
                [{"field": "kind", "op": "eq", "value": None}],
                [{"field": "kind", "op": "eq", "value": 5}],
                [{"field": "kind", "op": "eq", "value": "x" * 201}],
                [{"field": "kind", "op": "in", "value": "visit"}],
                [{"field": "kind", "op": "in", "value": []}],
                [{"field": "kind", "op": "contains_key", "value": "x"}],
                [{"field": "context", "op": "eq", "value": "x"}],
                [{"field": "quantity", "op": "eq", "value": "1.5"}],
                [{"field": "quantity", "op": "eq", "value": True}],
                [{"field": "amount", "op": "lt", "value": "NaN"}],
                [{"field": "created_at", "op": "lt", "value": "2026-01-01T00:00:00"}],
                [{"field": "created_at", "op": "lt", "value": "yesterday"}],
                [{"field": "kind", "op": "eq", "value": "x"}] * 11,
            )
        ),
    ],
)
def test_a_scope_that_is_none_is_refused_by_field(db, what, field):
    interactions(customer(), 1)
    with pytest.raises(matters.ScopeRefused) as refused:
        placed(what, confirm=True)
    assert refused.value.field == field
    assert count(Hold) == 0


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (What(subjects=[uuid4()]), "nothing"),
        (What(entity="interactionHistory", query=[{"field": "kind", "op": "eq", "value": "x"}]), "nothing"),
        (What(), "everything"),
        (What(from_at=days_ago(5000)), "everything"),
    ],
)
def test_a_scope_that_finds_nothing_or_everything_wants_a_word(db, what, why):
    interactions(customer(), 1)
    with pytest.raises(matters.ScopeSurprising, match=why):
        placed(what)
    assert placed(what, confirm=True).pk


def test_it_says_how_many_rows_of_what_it_finds(db):
    ann, bo = customer("ann"), customer("bo")
    interactions(ann, 1, 40)
    interactions(bo, 1)
    with ADA.here(), transaction():
        assert matters.reach(What(subjects=[ann.pk])) == {"interactionHistory": 2, "customer": 1}
        assert matters.reach(What(entity="interactionHistory", until_at=days_ago(2))) == {"interactionHistory": 1}


def test_values_are_kept_in_one_spelling(db):
    interactions(customer(), 1)
    query = [{"field": "created_at", "op": "lt", "value": "2026-W01-1T00:00:00Z"}]
    hold = placed(What(entity="interactionHistory", query=query), confirm=True)
    assert again(hold).query[0]["value"] == "2025-12-29T00:00:00+00:00"


@pytest.mark.parametrize("field", ["name", "reason"])
def test_a_matter_says_what_it_is(db, field):
    with pytest.raises(matters.ScopeRefused) as refused:
        opened(**{field: "  "})
    assert refused.value.field == field
    assert count(Matter) == 0


def test_a_release_takes_two_people_and_a_day(bea):
    hold = placed(confirm=True)
    request = ask(hold)
    with pytest.raises(matters.ReleaseAskedAlready):
        ask(hold, who=bea)
    # Who placed it and asked has no yes to give.
    with pytest.raises(approvals.OwnRequest):
        agree(request, who=ADA)
    assert again(hold).state == "active"
    assert agree(request, who=bea).state == State.APPROVED
    assert (again(hold).state, again(hold).release_agreed_by) == ("releasing", bea.actor.id)
    assert finish(hours=23) == 0
    assert finish(hours=25) == 1
    assert finish(hours=25) == 0
    assert again(hold).state == "released"
    with pytest.raises(matters.HoldNotActive):
        ask(hold)
    assert [record.action for record in log()] == [
        "matter.open",
        "legal_hold.place",
        "legal_hold.release_agreed",
        "legal_hold.release",
    ]


def test_it_holds_during_the_cooling_off_and_the_next_purge_ends_it(bea):
    interactions(customer(), 40)
    policy("interactions", 30)
    hold = placed(confirm=True)
    agree(ask(hold), who=bea)
    for hours, left in ((0, 1), (25, 0)):
        with ADA.here():
            purge.purge_expired(now=clock.now() + timedelta(hours=hours), actor=ADA.actor)
        assert count(Interaction) == left
    assert again(hold).state == "released"


def test_a_release_is_taken_back(bea):
    hold = placed(confirm=True)
    with pytest.raises(matters.HoldNotReleasing), ADA.here(), transaction():
        matters.take_back(hold=hold)
    agree(ask(hold), who=bea)
    with ADA.here(), transaction():
        matters.take_back(hold=hold)
    assert finish(hours=25) == 0
    assert (again(hold).state, again(hold).releases_at) == ("active", None)
    # A release is asked for anew, and takes another person again.
    agree(ask(hold, who=bea), who=ADA)
    assert again(hold).state == "releasing"


def test_of_many_who_end_or_take_back_one_counts(bea):
    hold = placed(confirm=True)
    agree(ask(hold), who=bea)

    def take_back():
        with bea.here(), transaction():
            matters.take_back(hold=hold)
        return -1

    outcomes = at_once(*[lambda: finish(hours=25)] * 4, take_back, losing=(matters.HoldNotReleasing,))
    numbers = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert abs(sum(numbers)) == 1
    assert again(hold).state == ("released" if sum(numbers) == 1 else "active")


def test_a_matter_closes_with_its_last_hold_and_takes_no_more(bea):
    matter = opened()
    hold = placed(matter=matter, confirm=True)
    with pytest.raises(matters.MatterHolds), ADA.here(), transaction():
        matters.close_matter(matter=matter, now=NOW)
    agree(ask(hold), who=bea)
    finish(hours=25)
    with ADA.here(), transaction():
        matters.close_matter(matter=matter, now=NOW)
    with pytest.raises(matters.MatterClosed):
        placed(matter=matter, confirm=True)


def test_a_matter_does_not_close_under_a_hold_that_is_being_placed(db):
    matter = opened()
    placing, closed = threading.Event(), threading.Event()

    def close():
        placing.wait(60)
        try:
            with ADA.here(), transaction():
                matters.close_matter(matter=matter, now=NOW)
        finally:
            closed.set()

    def place():
        with ADA.here(), transaction(), connection.cursor() as cursor:
            matters.place(matter=matter, what=What(), confirm=True, actor=ADA.actor, now=NOW)
            placing.set()
            waits = False
            while not (waits or closed.is_set()):
                cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                waits = cursor.fetchone()[0]

    refused, _ = at_once(close, place, losing=(matters.MatterHolds,))
    assert isinstance(refused, matters.MatterHolds)


def test_a_custodian_acknowledges_once(bea):
    hold = placed(confirm=True, custodians=[bea.actor.id])
    for first in (True, False):
        with bea.here(), transaction():
            assert matters.acknowledge(hold=hold, actor=bea.actor, now=NOW) is first
    with pytest.raises(Notice.DoesNotExist), ADA.here(), transaction():
        matters.acknowledge(hold=hold, actor=ADA.actor, now=NOW)


def test_of_one_form_that_is_sent_twice_at_once_one_counts(db):
    """Whoever comes second is told so, after the first is done."""
    same = uuid4()

    def open_it():
        return opened(matter_id=same)

    outcomes = at_once(*[open_it] * 4, losing=(matters.AlreadyDone,))
    assert [type(outcome) for outcome in outcomes].count(Matter) == 1
    (matter,) = [outcome for outcome in outcomes if isinstance(outcome, Matter)]

    def place():
        return placed(matter=matter, hold_id=same, confirm=True)

    outcomes = at_once(*[place] * 4, losing=(matters.AlreadyDone,))
    assert [type(outcome) for outcome in outcomes].count(Hold) == 1
    assert (count(Matter), count(Hold)) == (1, 1)
    # Under another id it is another one.
    placed(matter=matter, hold_id=uuid4(), confirm=True)
    assert count(Hold) == 2
