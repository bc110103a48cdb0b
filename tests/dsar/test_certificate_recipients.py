"""Who was told of an erasure (Article 19) stands in its certificate, and the verifier of evidence bundles checks it."""

from pathlib import Path
from typing import Any

from audit.models import AuditRecord
from customers import models as m
from dsar.models import Certificate, DsarRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.caller import error_of, with_key
from tests.dsar.certified import checked, fetched, pinned, said_of, taken
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file
from tests.dsar.test_certificate_attacks import Taken, certificate  # noqa: F401
from tests.dsar.test_recipients import DSAR, shop  # noqa: F401
from tests.outbox.conftest import Receiver, deliver, deliver_until_settled, say


def by_name(request: DsarRequest) -> dict[str, Any]:
    return {each["recipient"]: each for each in fetched(request)["certificate"]["recipients"]}


def test_it_says_who_was_told_and_when_once_they_were(shop: Receiver, tmp_path: Path) -> None:  # noqa: F811
    request = answer(file("delete"))
    early = with_key("ada").get(f"/dsar/{request.pk}/certificate")
    assert (early.status_code, error_of(early)["code"]) == (409, "recipients_waiting")
    with transaction():
        assert not Certificate.objects.exists()
    assert deliver().sent == 2
    told = by_name(request)
    assert list(told) == ["Lab & Co", "The Shop"]
    notice = next(n for n in client().get(f"{DSAR}/{request.pk}/notices").json()["notices"] if "Shop" in n["recipient"])
    with transaction():
        record = AuditRecord.objects.get(action="dsar.recipient.told", entity_id=notice["id"])
    assert told["The Shop"] == {
        "recipient": "The Shop",
        "kind": "erasure",
        "article": "GDPR Art. 19",
        "sections": ["deliveries", "profile"],
        "madeAt": notice["madeAt"],
        "outcome": "told",
        "at": notice["settledAt"],
        "effort": "",
        "recordId": str(record.pk),
    }
    content = taken(request)
    for secret in (NUMBER, EMAIL):
        assert secret not in content.decode()
    code, verdict = checked(tmp_path, content, "--pubkey", pinned())
    assert (code, verdict["level"]) == (0, "pinned")
    page = with_key("ada").get(f"/dsar/{request.pk}/certificate?format=html").content.decode()
    assert "Who was told" in page
    assert "Lab &amp; Co" in page


def test_it_says_who_could_not_be_told_and_who_was_not_for_a_reason(shop: Receiver, tmp_path: Path) -> None:  # noqa: F811
    shop.always = say(410)
    request = answer(file("delete"))
    deliver_until_settled()
    [notice] = [n for n in client().get(f"{DSAR}/{request.pk}/notices").json()["notices"] if n["state"] == "failed"]
    body = {"effort": "impossible", "reason": "It was wound up"}
    path = f"{DSAR}/{request.pk}/notices/{notice['id']}/not-told"
    assert client().post(path, body, format="json").status_code == 200
    told = by_name(request)
    assert (told["The Shop"]["outcome"], told["The Shop"]["effort"]) == ("not_told", "impossible")
    assert told["The Shop"]["at"] > told["The Shop"]["madeAt"]
    assert told["Lab & Co"]["outcome"] == "told"
    # An officer's words are in the log; a certificate is handed to others.
    assert "wound up" not in taken(request).decode()
    code, reason, message = said_of(tmp_path, taken(request), "--pubkey", pinned())
    assert (code, reason) == (0, None), message


def test_one_who_could_not_be_reached_stands_in_it_as_that(shop: Receiver) -> None:  # noqa: F811
    shop.always = say(410)
    request = answer(file("delete"))
    deliver_until_settled()
    failed = by_name(request)["The Shop"]
    assert (failed["outcome"], failed["at"], failed["recordId"] is not None) == ("failed", None, True)


def test_without_recipients_the_list_is_empty(jane: m.Customer) -> None:
    request = answer(file("delete"))
    assert fetched(request)["certificate"]["recipients"] == []
    assert clock.now() > request.closed_at


def test_what_is_said_of_recipients_has_a_form(certificate: Taken) -> None:  # noqa: F811
    whole = {
        "article": "GDPR Art. 19",
        "at": "2026-01-10T10:00:00.000000Z",
        "effort": "",
        "kind": "erasure",
        "madeAt": "2026-01-10T10:00:00.000000Z",
        "outcome": "told",
        "recipient": "The Shop",
        "recordId": None,
        "sections": [],
    }

    def said(**more: Any) -> tuple[int, str | None]:
        def change(doc: dict[str, Any]) -> None:
            doc["certificate"]["recipients"] = [{**whole, **more}]

        return certificate.said(certificate.signed_anew(change))[:2]

    assert said() == (0, None)
    for wrong in ({"outcome": "maybe"}, {"at": "today"}, {"recipient": 7}, {"more": 1}, {"sections": "all"}):
        assert said(**wrong) == (1, "malformed"), wrong


def test_a_certificate_of_the_first_format_still_holds(certificate: Taken) -> None:  # noqa: F811
    def first(doc: dict[str, Any]) -> None:
        doc["format"] = "kaireon-certificate-1"
        doc["certificate"].pop("recipients", None)

    assert certificate.said(certificate.signed_anew(first))[:2] == (0, None)

    def mixed(doc: dict[str, Any]) -> None:
        doc["format"] = "kaireon-certificate-1"

    assert certificate.said(certificate.signed_anew(mixed))[:2] == (1, "malformed")

    def unknown(doc: dict[str, Any]) -> None:
        doc["format"] = "kaireon-certificate-9"

    assert certificate.said(certificate.signed_anew(unknown))[0] == 2
