"""What goes when, in numbers: by the purge's conditions at the end of each month."""

from datetime import date, timedelta

from compliance.purging.purge import purge_expired
from compliance.purging.timeline import timeline
from compliance.purging.timeline_picture import draw
from compliance.retention import binding, policies
from customers.models import Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.compliance.rows import ADA, MALLORY, connect, customer, days_ago, hold, interactions, policy

NOW = clock.at("2026-05-04T12:00:00Z")
DAY = timedelta(days=1)


def lane(data_class="interactions", *, now=NOW, who=ADA):
    with who.here(), transaction():
        return {lane.data_class: lane for lane in timeline(now=now).lanes}[data_class]


def decide(days, *, data_class="interactions", now=NOW, **more):
    with ADA.here(), transaction():
        policies.upsert_policy(data_class=data_class, retention_days=days, actor=ADA.actor, now=now, **more)


def acts(*ages, of=None):
    """Interactions that many days before NOW."""
    shift = (days_ago(0) - NOW) / DAY
    return interactions(of or customer(), *(age + shift for age in ages))


def test_the_months_begin_with_this_one(db):
    with ADA.here(), transaction():
        months = timeline(now=clock.at("2026-12-31T23:00:00Z")).months
    assert (months[0], months[1], months[-1], len(months)) == (
        date(2026, 12, 1),
        date(2027, 1, 1),
        date(2027, 11, 1),
        12,
    )


def test_each_row_falls_due_in_its_month(db):
    # Of 100 days: two are over, one ends on 14 May, one on 3 June, one in a year and a half.
    acts(101, 500, 90, 70, -450)
    decide(100)
    found = lane()
    assert (found.due, found.months[:3], sum(found.months)) == (2, [1, 1, 0], 2)
    assert lane("decisions").days is None
    assert lane(who=MALLORY).due == 0


def test_a_shortening_that_waits_counts_from_its_day(db):
    acts(90, 50, 30)
    decide(365)
    decide(40)
    found = lane()
    # The cooling-off ends tomorrow: two are over then, and one nine days later.
    assert (found.days, found.due, found.months[0], sum(found.months)) == (365, 0, 3, 3)
    assert [change.text for change in found.changes] == ["40 days"]


def test_a_law_to_come_keeps_what_would_have_gone(db):
    decide(100, now=NOW)
    with ADA.here(), transaction():
        binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
    now = clock.at("2027-05-04T12:00:00Z")
    since = (now - NOW) / DAY
    acts(*(age - since for age in (95, 80)))
    found = lane(now=now)
    # The first ends on 9 May, before the law starts on the 13th: at the end of the month it is kept, for a year.
    assert (found.due, sum(found.months[:8]), sum(found.months[8:])) == (0, 0, 2)
    assert found.changes[0].text == "a law changes it"


def test_what_is_held_is_told_apart(db):
    who = customer()
    acts(101, 90, of=who)
    acts(90, of=customer("c-2"))
    decide(100)
    hold(who, entity="interactionHistory")
    found = lane()
    assert (found.due, found.held_due, found.months[0], found.held[0]) == (1, 1, 2, 1)
    decide(None, legal_hold=True)
    found = lane()
    assert (found.held_wholly, found.held_due, found.held[0]) == (True, 1, 2)


def test_a_purge_at_the_end_of_a_month_takes_what_was_told(db):
    acts(101, 90, 70, 20)
    decide(100)
    found = lane()
    with ADA.here():
        first = purge_expired(now=NOW, actor=ADA.actor)
        second = purge_expired(now=clock.at("2026-06-01T00:00:00Z"), actor=ADA.actor)
        third = purge_expired(now=clock.at("2026-07-01T00:00:00Z"), actor=ADA.actor)
    gone = [purged.deleted["interactionHistory"] for purged in (first, second, third)]
    assert gone == [found.due, *found.months[:2]]
    with ADA.here(), transaction():
        assert Interaction.objects.count() == 1


def test_what_cannot_be_counted_while_somebody_waits_is_said(db, owner_url, monkeypatch):
    policy("interactions", 100)
    monkeypatch.setattr("compliance.purging.timeline.SECONDS", 0.1)
    with connect(owner_url) as other:
        other.execute("LOCK TABLE customers_journeyenrollment IN ACCESS EXCLUSIVE MODE")
        assert "Journey enrolment" in lane().uncounted


def test_the_picture_stands_within_its_edges(db):
    acts(101, 90, 70, 20, 10)
    decide(365)
    decide(30)
    policy("decisions", 30)
    with ADA.here(), transaction():
        picture = draw(timeline(now=NOW))
    for row in picture.rows:
        for bar in row.bars:
            assert 0 <= bar.x < picture.width
            assert row.y <= bar.held_y <= bar.y <= bar.y + bar.height == row.base
            assert bar.count > 0
        for mark in row.marks:
            assert picture.first <= mark.x <= picture.width
    assert [row.says for row in picture.rows if row.lane.data_class == "security"] == ["no policy: kept"]
    (marked,) = [row for row in picture.rows if row.marks]
    assert (marked.lane.data_class, marked.marks[0].text) == ("interactions", "30 days from 05 May")
