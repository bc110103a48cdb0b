"""An objection to direct marketing takes effect by itself when it is upheld (GDPR Art. 21(3)); another does not."""

from typing import Any

from customers import consents, suppressions
from customers import models as m
from dsar.models import DsarRequest
from dsar.requests import outcomes
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.dsar.conftest import EMAIL, NUMBER, again, client, file
from tests.dsar.mailbox import Box, letters_on, mail_server
from tests.dsar.mailbox import deliver as deliver_letters
from tests.dsar.test_life_command import run
from tests.race import at_once

DSAR = "/api/v1/dsar"
DONE = {"resolution": "Taken off all lists", "directMarketing": True}


def complete(row: DsarRequest, body: dict[str, Any]) -> Any:
    return client().post(f"{DSAR}/{row.pk}/complete", body, format="json")


def grant(jane: m.Customer) -> None:
    with transaction():
        for channel in ("email", "sms"):
            m.ConsentRecord.objects.create(
                customer=jane, channel=channel, purpose="news", status="granted", recorded_at=clock.now()
            )


def is_suppressed(customer: m.Customer) -> bool:
    with transaction():
        return suppressions.is_suppressed(customer, channel="post", now=clock.now())


def test_gdpr_art_21_3_ends_direct_marketing_to_who_objects(jane: m.Customer, settings: Any) -> None:
    with mail_server(settings) as box:
        ended_with_a_letter(jane, box)


def ended_with_a_letter(jane: m.Customer, box: Box) -> None:
    letters_on()
    grant(jane)
    filed = file("objection", EMAIL.upper(), subject_type="email", details="No more catalogues")
    assert not is_suppressed(jane)
    ended = complete(filed.request, DONE)
    assert (ended.status_code, ended.json()["outcome"]) == (200, "completed")
    shown = client().get(f"{DSAR}/{filed.request.pk}").json()
    assert shown["counts"] == {"suppressions": 1, "consentsWithdrawn": 2}
    assert is_suppressed(jane)
    with transaction():
        assert not consents.may_contact(jane, channel="sms", purpose="news", now=clock.now())
        assert m.Suppression.objects.get(customer=jane, channel="any").reason == "objection"
        assert m.ConsentRecord.objects.filter(customer=jane, source="dsar objection").count() == 2
        neighbour = m.Customer.objects.get(customer_id="C-99")
    assert not is_suppressed(neighbour)
    deliver_letters()
    answer = box.texts()[-1]
    assert "We have stopped the processing that you objected to." in answer
    assert "We do not contact you any more.\n\nConsents withdrawn: 2." in answer


def test_who_was_never_a_customer_is_not_contacted_when_they_come(ada: None) -> None:
    filed = file("objection", "new@example.com", subject_type="email", details="None, please")
    assert complete(filed.request, {**DONE, "outcome": "no_data"}).status_code == 200
    assert again(filed).counts == {"tombstones": 1}
    with transaction():
        later = m.Customer.objects.create(customer_id="C-7", email="new@example.com")
    assert is_suppressed(later)


def test_an_objection_to_other_processing_suppresses_nothing(jane: m.Customer) -> None:
    grant(jane)
    filed = file("objection", details="No profiling")
    assert complete(filed.request, {"resolution": "Profiling ended"}).status_code == 200
    assert again(filed).counts == {}
    assert not is_suppressed(jane)
    assert "counts" not in client().get(f"{DSAR}/{filed.request.pk}").json()


def test_a_rejected_objection_suppresses_nothing(jane: m.Customer) -> None:
    filed = file("objection", details="No more catalogues")
    body = {"ground": "compelling_grounds", "reason": "Fraud checks"}
    assert client().post(f"{DSAR}/{filed.request.pk}/reject", body, format="json").status_code == 200
    assert not is_suppressed(jane)


def test_it_is_refused_for_other_kinds_and_for_an_address_of_several(jane: m.Customer) -> None:
    grievance = file("grievance", details="You never answer")
    refused = complete(grievance.request, DONE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_an_objection")
    with transaction():
        m.Customer.objects.create(customer_id="C-18", email=EMAIL)
    shared = file("objection", EMAIL, subject_type="email", details="None, please")
    refused = complete(shared.request, DONE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "ambiguous_subject")
    assert again(shared).status == "queued"
    assert not is_suppressed(jane)


def test_of_two_officers_at_once_one_counts(jane: m.Customer) -> None:
    filed = file("objection", details="None, please")

    def upheld() -> str:
        with ADA.here(), transaction():
            outcomes.complete(request=filed.request, resolution="Done", direct_marketing=True, now=clock.now())
        return "done"

    ended = at_once(upheld, upheld, losing=(outcomes.RequestClosed,))
    assert sorted(type(each).__name__ for each in ended) == ["RequestClosed", "str"]
    with transaction():
        assert m.Suppression.objects.filter(customer=jane, channel="any").count() == 1


def test_the_command_ends_contact_too(jane: m.Customer) -> None:
    filed = file("objection", NUMBER, details="None, please")
    tried = run("complete", filed.request, resolution="Done", direct_marketing=True, dry_run=True)
    assert (tried["state"], is_suppressed(jane)) == ("completed", False)
    run("complete", filed.request, resolution="Done", direct_marketing=True)
    assert is_suppressed(jane)
