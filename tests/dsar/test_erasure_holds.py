"""An erasure under holds with a scope: what they cover is retained and said so, the rest of it goes."""

from datetime import timedelta

import pytest

from audit.sealing import subject_keys
from compliance.models import Hold
from customers import models as m
from dsar.requests import subjects
from kaireon.lib import clock
from kaireon.lib.clock import at
from kaireon.tenancy.context import transaction
from tests.compliance.rows import AGREED, customer, end, hold
from tests.dsar.conftest import NUMBER, answer, file
from tests.dsar.test_erasure import _left


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ({"data_class": "interactions", "until_at": at("2000-01-01T00:00:00Z")}, {"journeyEnrollment"}),
        ({"entity": "attachment"}, {"attachment"}),
        ({"data_class": "consents"}, {"consentRecord", "suppression"}),
    ],
)
def test_what_a_hold_covers_in_part_stays_and_the_rest_of_it_goes(
    jane: m.Customer, scope: dict[str, object], held: set[str]
) -> None:
    """Of the interactions only what has no time yet: a hold whose range is long over finds nothing else."""
    with transaction():
        m.JourneyEnrollment.objects.create(customer=jane, journey="open")
    placed = hold(jane, **scope)
    request = answer(file("delete"))
    assert (request.status, request.outcome) == ("processing", "partially_completed")
    assert {r["entity"] for r in request.retained if r["ground"] == "legal_hold"} == held
    assert set(_left(jane)) == {*held, "customer", "dsarRequest"}
    if "journeyEnrollment" in held:
        with transaction():
            assert set(m.JourneyEnrollment.objects.values_list("ended_at", flat=True)) == {None}
    end(placed)
    assert answer(file("delete")).retained == []


def test_a_hold_of_another_person_or_for_a_request_keeps_nothing(jane: m.Customer) -> None:
    hold(customer("other"))
    hold(jane, kind="request")
    assert answer(file("delete")).retained == []


@pytest.mark.parametrize(("left", "ground"), [(timedelta(hours=1), {"legal_hold"}), (timedelta(hours=-1), set())])
def test_a_hold_keeps_to_the_end_of_its_cooling_off_and_no_longer(
    jane: m.Customer, left: timedelta, ground: set[str]
) -> None:
    placed = hold(jane, entity="attachment")
    with transaction():
        Hold.objects.filter(pk=placed.pk).update(**AGREED, releases_at=clock.now() + left)
    assert {r["ground"] for r in answer(file("delete")).retained} & {"legal_hold"} == ground


def test_a_person_who_is_held_keeps_everything_and_the_key_to_the_log(jane: m.Customer) -> None:
    before = _left(jane)
    placed = hold(jane)
    request = answer(file("delete"))
    assert request.subject_id == NUMBER
    left = _left(jane)
    assert {name: left.get(name) for name in before if name != "dsarRequest"} == {
        name: count for name, count in before.items() if name != "dsarRequest"
    }
    with transaction():
        assert not subjects.is_remnant(m.Customer.objects.get(pk=jane.pk))
        assert subject_keys.alive([str(jane.pk)])
    end(placed)
    assert answer(file("delete")).retained == []
