"""Custodians are told, reminded until they acknowledge, and asked when review is due."""

from datetime import timedelta

import pytest
from django.conf import settings as product

from compliance.checks import periods_are_times
from compliance.holding import matters, notices
from compliance.holding.matters import What
from compliance.models import Matter, Notice
from cron import runner
from cron.models import Trigger
from kaireon.lib import clock
from kaireon.outbox import destinations, payloads
from kaireon.outbox.models import Message
from kaireon.tenancy import members
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from tests.cast import ACME, ADA, AUD, ED, MALLORY, VI
from tests.compliance.rows import NOW, count, customer, end

WEEK = timedelta(days=product.HOLD_REMINDER_DAYS)


@pytest.fixture(autouse=True)
def _noon(db):
    with clock.freeze(NOW):
        yield


@pytest.fixture
def mail(db):
    """Acme has a destination for mail."""
    with ADA.here(), transaction():
        destinations.save(name="letters", kind="email", given={}, now=NOW)


def told(*who, what=None, review_on=None, by=ADA):
    """A hold of Ada's of which these members are custodians."""
    with by.here(), transaction():
        matter = matters.open_matter(
            name="Jane Doe's case", reason="Jane Doe sues", review_on=review_on, actor=by.actor, now=NOW
        )
        return matters.place(
            matter=matter,
            what=what or What(data_class="decisions"),
            custodians=[person.actor.id for person in who],
            confirm=True,
            actor=by.actor,
            now=NOW,
        )


def letters():
    """What was published: to whom, and what."""
    with ADA.here(), transaction():
        read = [payloads.read(message.pk) for message in Message.objects.order_by("created_at")]
    return sorted((payload["to"], payload["subject"], payload["text"]) for payload in read if payload)


def remind(after, *, who=ADA):
    with who.here(), transaction():
        return notices.remind(now=NOW + after)


def review(after):
    with ADA.here(), transaction():
        return notices.ask_reviews(now=NOW + after)


def test_custodians_are_told_each_by_a_mail_of_their_own(mail):
    hold = told(ED, VI, ED)
    (to_ed, subject, text), (to_vi, _, _) = letters()
    assert (to_ed, to_vi) == ([ED.email], [VI.email])
    assert "legal hold" in subject
    assert str(hold.pk) in text
    assert "decisions" in text
    assert count(Notice) == 2


def test_a_mail_says_nothing_that_somebody_typed_and_names_no_customer(mail):
    ann = customer("c-4711")
    query = [{"field": "kind", "op": "eq", "value": "jane"}]
    told(ED, what=What(entity="interactionHistory", subjects=[ann.pk], query=query, until_at=NOW), review_on=NOW.date())
    remind(WEEK)
    review(WEEK)
    written = " ".join(subject + text for _, subject, text in letters())
    assert len(letters()) == 4
    assert "certain customers" in written
    for named in ("Jane", "jane", "c-4711", str(ann.pk), "Somebody"):
        assert named not in written


def test_without_a_destination_for_mail_they_wait_in_the_list(db):
    told(ED)
    assert count(Message) == 0
    with ED.here(), transaction():
        assert notices.waiting_for(ED.actor.id).count() == 1
    assert remind(WEEK) == notices.Told(notices=1, mails=0)


def test_who_is_no_member_cannot_be_told(db):
    with pytest.raises(matters.ScopeRefused) as refused:
        told(ED, MALLORY)
    assert refused.value.field == "custodians"
    assert count(Notice) == 0


def test_they_are_reminded_until_they_acknowledge(mail):
    hold = told(ED, VI)
    assert remind(WEEK - timedelta(seconds=1)).notices == 0
    assert remind(WEEK) == notices.Told(notices=2, mails=2)
    assert remind(WEEK + timedelta(days=1)).notices == 0
    with ED.here(), transaction():
        matters.acknowledge(hold=hold, actor=ED.actor, now=NOW)
    assert remind(2 * WEEK).notices == 1
    with ADA.here(), transaction():
        reminders = dict(Notice.objects.values_list("member_id", "reminders"))
    assert reminders == {ED.actor.id: 1, VI.actor.id: 2}


def test_nobody_is_reminded_of_what_is_released_or_after_they_left(mail):
    released = told(ED)
    end(released)
    told(VI)
    with ADA.here(), transaction():
        members.remove_member(membership_id=Membership.objects.get(user=VI.user).pk)
    assert remind(WEEK).notices == 0


def test_the_rhythm_is_the_operators(mail, settings):
    settings.HOLD_REMINDER_DAYS = 2
    told(ED)
    assert remind(timedelta(days=2)).notices == 1


def test_a_review_is_asked_for_on_its_day_and_again_until_it_is_set(mail):
    hold = told(ED, review_on=(NOW + timedelta(days=30)).date())
    assert review(timedelta(days=29)).notices == 0
    # Ada opened it, Ed is its custodian.
    assert review(timedelta(days=30)) == notices.Told(notices=1, mails=2)
    assert review(timedelta(days=31)).notices == 0
    assert review(timedelta(days=30) + WEEK).notices == 1
    with ADA.here(), transaction():
        matter = Matter.objects.get(pk=hold.matter_id)
        matters.set_review(matter=matter, review_on=(NOW + timedelta(days=90)).date(), now=NOW)
    assert review(timedelta(days=60)).notices == 0
    assert review(timedelta(days=90)).notices == 1


def test_where_none_of_them_may_end_it_everybody_who_may_is_asked(mail):
    told(ED, review_on=NOW.date(), by=AUD)
    assert review(timedelta()) == notices.Told(notices=1, mails=3)
    assert [to for to, subject, _ in letters() if "still needed" in subject] == [[ADA.email], [AUD.email], [ED.email]]


def test_the_job_tells_every_tenant_once(mail):
    told(ED, review_on=NOW.date())
    told(MALLORY, by=MALLORY)
    with clock.freeze(NOW + WEEK):
        for body, expected in (
            (runner.run_job("hold-reminders", trigger=Trigger.COMMAND, dry_run=True).body, (1, 1, 0)),
            (runner.run_job("hold-reminders", trigger=Trigger.COMMAND).body, (1, 1, 3)),
            (runner.run_job("hold-reminders", trigger=Trigger.COMMAND).body, (0, 0, 0)),
        ):
            [acme] = [entry for entry in body["perTenant"] if entry["tenantId"] == ACME]
            assert (acme["reminded"], acme["reviewsAsked"], acme["mails"]) == expected
    assert remind(WEEK, who=MALLORY).notices == 0


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [("HOLD_COOLING_OFF_HOURS", -1, 0), ("RETENTION_COOLING_OFF_HOURS", -1, 0), ("HOLD_REMINDER_DAYS", 0, 1)],
)
def test_periods_that_are_none_are_told(settings, name, bad, good):
    setattr(settings, name, bad)
    [fault] = periods_are_times(None)
    assert name in fault.msg
    assert name in fault.hint
    setattr(settings, name, good)
    assert periods_are_times(None) == []
