"""The drill, first part: somebody asks what is held of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management import call_command

from tests.audit.kills.child import dying
from tests.caller import error_of
from tests.dsar.fire_drill.conftest import EMAIL, NEIGHBOUR, NUMBER, Officer, days_ago

Work = Callable[[], None]
SECTIONS = (
    *("profile", "interactions", "summaries", "variantAssignments", "deliveries", "auditLogs", "consentRecords"),
    *("dsarRequests", "decisionTraces", "suppressions", "attributionResults", "identityLinks", "journeyEnrollments"),
    *("dynamicSchemaRows", "attachments"),
)


def test_01_an_answer_is_portable_json_unless_asked_for_otherwise(officer: Officer, shop: Any, worker: Work) -> None:
    request = officer.asks()
    assert officer.shown(request)["status"] == "queued"
    worker()
    shown = officer.shown(request)
    assert (shown["status"], shown["subjectId"], shown["requestType"]) == ("completed", NUMBER, "export")
    package = officer.package(request)
    assert package == shown["exportedData"]
    assert (package["customerId"], package["encrypted"]) == (NUMBER, False)
    assert tuple(package["data"]) == tuple(package["counts"]) == SECTIONS
    assert (package["data"]["profile"]["email"], package["counts"]["interactions"]) == (EMAIL, 2)
    assert NEIGHBOUR not in json.dumps(package["data"])


def test_02_an_envelope_is_opted_in_and_opens_with_the_same_key_version(
    officer: Officer, shop: Any, worker: Work, tmp_path: Path
) -> None:
    request = officer.asks(encrypt=True)
    worker()
    envelope = officer.package(request)
    assert (envelope["encrypted"], envelope["data"]["format"]) == (True, "encrypted-aes-256-gcm")
    assert envelope["data"]["keyVersion"] == 1
    assert EMAIL not in json.dumps(envelope)
    source, out = tmp_path / "envelope.json", tmp_path / "dossier.json"
    source.write_text(json.dumps(envelope))
    call_command("dsar_decrypt", str(source), out=out)
    assert json.loads(out.read_text())["data"]["profile"]["email"] == EMAIL


def test_03_what_was_allowed_and_forbidden_is_in_it(officer: Officer, shop: Any, worker: Work) -> None:
    request = officer.asks()
    worker()
    stated = {
        (row["channel"], row["purpose"], row["status"]) for row in officer.package(request)["data"]["consentRecords"]
    }
    assert stated == {("email", "news", "withdrawn"), ("sms", "orders", "granted")}


def test_04_a_large_package_is_a_link_and_comes_whole(officer: Officer, shop: Any, worker: Work) -> None:
    for turn in range(4):
        rows = [
            {"customerId": NUMBER, "externalId": f"long-{turn}-{n}", "kind": "visit", "occurredAt": days_ago(5)}
            for n in range(75)
        ]
        shop("/interactions", interactions=[{**row, "context": {"page": "x" * 4_000}} for row in rows])
    request = officer.asks()
    worker()
    shown = officer.shown(request)
    assert "exportedData" not in shown
    answer = officer.call.get(shown["downloadUrl"])
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert len(body) == int(answer["Content-Length"]) > 1_000_000
    assert json.loads(body)["counts"] == shown["counts"]
    assert shown["counts"]["interactions"] == 2 + 300


def test_05_an_expired_package_is_gone_and_says_so(officer: Officer, shop: Any, worker: Work, settings: Any) -> None:
    settings.DSAR_PACKAGE_DAYS = 0
    request = officer.asks()
    worker()
    refused = officer.call.get(f"/dsar/{request}/download?format=json")
    assert (refused.status_code, error_of(refused)["code"]) == (410, "package_gone")
    assert "exportedData" not in officer.shown(request)
    assert officer.call.get("/dsar/00000000-0000-7000-8000-000000000000/download").status_code == 404


def test_06_the_same_request_sent_twice_is_one(officer: Officer, shop: Any, worker: Work) -> None:
    body = {"requestType": "export", "subjectId": NUMBER}
    first = officer.post("/dsar", body, status=202, idempotency_key="letter-7")
    assert officer.post("/dsar", body, status=202, idempotency_key="letter-7") == first
    other = officer.call.post("/dsar", {**body, "subjectId": NEIGHBOUR}, idempotency_key="letter-7")
    assert other.status_code == 422
    worker()
    assert [row["id"] for row in officer.get("/dsar?status=completed")["requests"]] == [first["requestId"]]


def test_07_an_extension_after_the_term_is_refused_with_the_article(officer: Officer, shop: Any) -> None:
    late = officer.asks(receivedAt=days_ago(40), regulation="gdpr")
    refused = officer.call.post(f"/dsar/{late}/extend", {"reason": "Many requests of the same person."})
    error = error_of(refused)
    assert (refused.status_code, error["code"]) == (409, "extension_refused")
    assert "Art. 12(3)" in error["message"]
    clock_before = officer.get(f"/dsar/{late}/clock")
    assert "extendedDueAt" not in clock_before or clock_before["extendedDueAt"] is None
    in_time = officer.asks(subject=NEIGHBOUR)
    officer.post(f"/dsar/{in_time}/extend", {"reason": "Many requests of the same person."})
    extended = officer.get(f"/dsar/{in_time}/clock")
    assert extended["extendedDueAt"] > extended["dueAt"]
    assert all(rule["article"] for rule in extended["rules"])


def test_08_nobody_by_that_name_is_a_truthful_answer(officer: Officer, shop: Any, worker: Work) -> None:
    request = officer.asks(subject="nobody@example.org", subjectType="email")
    worker()
    shown = officer.shown(request)
    assert (shown["status"], shown["outcome"], shown["error"]) == ("completed", "no_data", None)
    package = officer.package(request)
    held = {section: count for section, count in package["counts"].items() if count}
    assert set(held) <= {"dsarRequests", "auditLogs"}
    assert package["data"]["profile"] is None


def test_09_an_address_is_found_in_any_case_and_in_any_script(officer: Officer, shop: Any, worker: Work) -> None:
    shop("/customers", customers=[{"customerId": "S-300", "email": "Jörg.Straße@Müller.Example"}])
    asked = [
        officer.asks(subject="GRACE.Hopper@EXAMPLE.com", subjectType="email"),
        officer.asks(subject="jörg.straße@müller.example", subjectType="email"),
    ]
    worker()
    assert [officer.package(request)["customerId"] for request in asked] == [NUMBER, "S-300"]


def test_10_a_worker_that_is_killed_is_followed_by_one_that_finishes_once(
    officer: Officer, shop: Any, worker: Work
) -> None:
    request = officer.asks()
    deaths = sum(dying(worker, at_statement=point) for point in (12, 24, 36))
    assert deaths == 3
    worker()
    assert officer.shown(request)["status"] == "completed"
    assert officer.package(request)["counts"]["interactions"] == 2
    told = officer.get("/audit-logs?action=dsar.export.completed")
    assert told["total"] == 1
