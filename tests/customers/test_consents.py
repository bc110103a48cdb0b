"""Opt-outs outlive the person; grants of before an erasure do not come back."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from customers import consents, returns, subjects, suppressions
from customers.models import ConsentRecord, Customer, Suppression, SuppressionTombstone
from kaireon.tenancy.context import transaction
from tests.cast import ADA, MALLORY
from tests.customers.conftest import NOW, bring, consent, customer

EMAIL = "ann@example.com"


def erase(found: Customer) -> None:
    """What erasure does to these entities, without the rest of it."""
    with transaction():
        consents.reduce_to_evidence(found)
        suppressions.leave_tombstones(found, now=NOW)
        Suppression.objects.filter(customer=found).delete()
        Customer.objects.filter(pk=found.pk).delete()


def may(found: Customer, channel: str = "email") -> bool:
    with transaction():
        return consents.may_contact(found, channel=channel, purpose="marketing", now=NOW)


def test_contact_needs_a_grant_that_was_not_withdrawn(ada):
    found = customer()
    assert not may(found)
    bring("consents", consent())
    assert may(found)
    bring("consents", consent("withdrawn", recordedAt="2026-01-02"))
    assert not may(found)
    bring("consents", consent("granted", recordedAt="2026-01-03"))
    assert may(found)


def test_of_a_grant_and_a_withdrawal_at_once_the_withdrawal_counts(ada):
    found = customer()
    with transaction():
        for status in ("withdrawn", "granted"):
            ConsentRecord.objects.create(
                subject_key=subjects.number_key("c-1"),
                channel="email",
                purpose="marketing",
                status=status,
                recorded_at=NOW,
            )
    assert not may(found)


@pytest.mark.parametrize(("channel", "forbidden"), [("email", True), ("any", True), ("sms", False)])
def test_a_suppression_beats_a_grant_on_its_channel(ada, channel, forbidden):
    found = customer()
    bring("consents", consent())
    with transaction():
        suppressions.suppress(found, channel=channel, now=NOW, expires_at=NOW + timedelta(seconds=1))
        suppressions.suppress(found, channel="email", now=NOW, expires_at=NOW)
    assert may(found) is not forbidden


def test_after_erasure_the_evidence_names_nobody(ada):
    found = customer(email=EMAIL, name="Ann")
    bring("consents", consent(source="Ann's call"))
    erase(found)
    with transaction():
        left = ConsentRecord.objects.evidence().values().get()
    assert (left["customer_id"], left["source"]) == (None, "")
    assert left["subject_key"].startswith("v1:")
    # An id may read like anything, "…c-1…" too.
    left.pop("id")
    assert "c-1" not in str(left)
    assert EMAIL not in str(left)


def came_back(**who):
    with transaction():
        returns.let_in(reason="A new contract.", actor=ADA.actor, now=NOW, **who)


def test_sending_everything_again_after_an_erasure_brings_no_consent_back(ada):
    found = customer(email=EMAIL)
    statements = [consent(), consent("withdrawn", recordedAt="2026-01-02")]
    bring("consents", *statements)
    erase(found)
    outcome = bring("consents", *statements)
    assert [e.field for e in outcome.errors] == ["customerId", "customerId"]
    came_back(customer_id="c-1", email=EMAIL)
    again = customer(email=EMAIL)
    outcome = bring("consents", *statements)
    assert (outcome.created, outcome.unchanged) == (0, 2)
    assert not may(again)


def test_an_older_grant_under_a_new_number_does_not_undo_the_opt_out_of_that_address(ada):
    found = customer(email=EMAIL)
    bring("consents", consent("withdrawn", recordedAt="2026-01-02"))
    erase(found)
    came_back(email=EMAIL)
    other = customer("c-2", email=EMAIL.upper())
    bring("consents", consent(customer="c-2", recordedAt="2026-01-01"))
    assert not may(other)
    bring("consents", consent(customer="c-2", recordedAt="2026-01-05"))
    assert may(other)


def test_an_opt_out_that_a_hold_keeps_with_its_emptied_customer_has_effect_too(ada):
    found = customer(email=EMAIL)
    bring("consents", consent("withdrawn", recordedAt="2026-01-02"))
    with transaction():
        ConsentRecord.objects.update(subject_key=subjects.number_key("c-1"), email_key=subjects.email_key(EMAIL))
        Customer.objects.filter(pk=found.pk).update(customer_id="erased", email="")
    again = customer("c-1")
    outcome = bring("consents", consent("withdrawn", recordedAt="2026-01-02"), consent())
    assert (outcome.created, outcome.unchanged) == (1, 1)
    assert not may(again)


@pytest.mark.parametrize("number", ["c-1", "c-2"])
def test_a_suppression_outlives_the_person_by_number_and_by_address(ada, number):
    found = customer(email=EMAIL)
    with transaction():
        suppressions.suppress(found, channel="email", now=NOW)
    erase(found)
    came_back(customer_id=number, email=EMAIL)
    again = customer(number, email=EMAIL)
    bring("consents", consent(customer=number))
    assert not may(again)
    with transaction():
        assert not suppressions.is_suppressed(again, channel="sms", now=NOW)
        assert suppressions.is_suppressed(again, channel="email", now=NOW + timedelta(days=36_500))


def test_a_tombstone_lasts_as_long_as_the_longest_suppression(ada):
    for days in (10, 30, 20):
        if days != 10:
            came_back(customer_id="c-1")
        found = customer()
        with transaction():
            suppressions.suppress(found, channel="sms", now=NOW, expires_at=NOW + timedelta(days=days))
            suppressions.suppress(found, channel="sms", now=NOW, expires_at=NOW - timedelta(days=1))
        erase(found)
    with transaction():
        assert SuppressionTombstone.objects.get().expires_at == NOW + timedelta(days=30)


def test_keys_of_two_tenants_cannot_be_joined(db):
    with ADA.here():
        ours = subjects.number_key("c-1")
    with MALLORY.here():
        assert subjects.number_key("c-1") != ours


def test_the_database_refuses_a_statement_about_nobody(ada):
    with pytest.raises(IntegrityError), transaction():
        ConsentRecord.objects.create(channel="email", purpose="marketing", status="granted", recorded_at=NOW)
