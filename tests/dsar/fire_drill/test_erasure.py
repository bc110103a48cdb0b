"""The drill, second part: somebody wants to be forgotten."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.offline import kaireon_verify
from customers import removals
from customers.models import Attachment, Customer
from kaireon.tenancy.context import transaction
from tests.audit.kills.child import dying
from tests.caller import Caller, error_of
from tests.cast import ADA
from tests.dsar.certified import pinned
from tests.dsar.conftest import upload
from tests.dsar.fire_drill.conftest import EMAIL, NEIGHBOUR, NUMBER, Officer, days_ago

Work = Callable[[], None]


def _verified(officer: Officer, request_id: str, folder: Path) -> int:
    """By the program that needs nothing of ours, with the key from elsewhere."""
    got = officer.call.get(f"/dsar/{request_id}/certificate")
    assert got.status_code == 200, got.content
    assert EMAIL not in got.content.decode()
    path = folder / "certificate.json"
    path.write_bytes(got.content)
    return int(kaireon_verify.run(kaireon_verify._options([str(path), "--pubkey", pinned()])).exit)


def test_11_opt_outs_are_left_as_evidence_and_keep_their_effect(officer: Officer, shop: Any) -> None:
    said = officer.post("/gdpr/erasure", {"customerId": NUMBER})
    assert (said["success"], said["customerId"], said["retained"]) == (True, NUMBER, [])
    assert said["deletedCounts"]["interactionHistory"] == 2
    assert said["totalDeleted"] == sum(said["deletedCounts"].values())
    assert officer.call.get(f"/customers/{NUMBER}").status_code == 404
    assert officer.get(f"/customers/{NEIGHBOUR}")["customerId"] == NEIGHBOUR
    evidence = [row for row in officer.get("/consents?limit=100")["consents"] if row["customerId"] is None]
    assert {(row["channel"], row["status"]) for row in evidence} == {("email", "withdrawn"), ("sms", "granted")}
    # Who was erased is not taken in unawares; who comes back by their own will is not written to all the same.
    again = {"customers": [{"customerId": NUMBER, "email": EMAIL}]}
    assert [error["field"] for error in officer.post("/customers", again)["errors"]] == ["customerId"]
    officer.post("/customer-returns", {"customerId": NUMBER, "email": EMAIL, "reason": "Signed up again."})
    assert officer.post("/customers", again)["errors"] == []
    request = officer.asks()
    call_command("dsar", "process", tenant="acme")
    stands = {row["channel"]: row["status"] for row in officer.package(request)["data"]["consentRecords"]}
    assert stands.get("email") in (None, "withdrawn")


def test_12_a_hold_defers_its_rows_and_its_end_finishes_the_erasure(
    officer: Officer, shop: Any, worker: Work, tmp_path: Path
) -> None:
    officer.post("/admin/retention-configs", {"dataClass": "interactions", "retentionDays": 365, "legalHold": True})
    request = officer.asks("delete")
    worker()
    shown = officer.shown(request)
    assert (shown["status"], shown["state"], shown["outcome"]) == ("processing", "deferred", "partially_completed")
    kept = {(row["entity"], row["count"], row["ground"]) for row in shown["retained"]}
    assert ("interactionHistory", 2, "legal_hold") in kept
    assert error_of(officer.call.get(f"/dsar/{request}/certificate"))["code"] == "not_completed"
    officer.post("/admin/retention-configs", {"dataClass": "interactions", "retentionDays": 365, "legalHold": False})
    worker()
    shown = officer.shown(request)
    assert (shown["status"], shown["outcome"], shown["retained"]) == ("completed", "completed", [])
    assert [step["turn"] for step in shown["steps"] if step["name"] == "rows"] == [1, 2]
    assert _verified(officer, request, tmp_path) == 0


def test_13_a_second_person_agrees_or_nothing_goes(
    officer: Officer, shop: Any, worker: Work, colleague: Caller, tmp_path: Path
) -> None:
    call_command("second_person", tenant="acme", demand=["dsar.erase"])
    said = officer.post("/gdpr/erasure", {"customerId": NUMBER}, status=202)
    assert (said["status"], said["state"]) == ("queued", "approval")
    worker()
    assert officer.get(f"/customers/{NUMBER}")["email"] == EMAIL
    agrees = {"action": "approve"}
    own = officer.call.post(f"/approvals/{said['approvalId']}", agrees)
    assert own.status_code in (403, 409), own.content
    assert colleague.post(f"/approvals/{said['approvalId']}", agrees).status_code == 200
    worker()
    assert officer.shown(said["requestId"])["status"] == "completed"
    assert officer.call.get(f"/customers/{NUMBER}").status_code == 404
    assert _verified(officer, said["requestId"], tmp_path) == 0


def test_14_the_certificate_verifies_offline_and_a_changed_one_does_not(
    officer: Officer, shop: Any, worker: Work, tmp_path: Path
) -> None:
    request = officer.asks("delete", EMAIL.upper(), subjectType="email")
    worker()
    assert _verified(officer, request, tmp_path) == 0
    path = tmp_path / "certificate.json"
    path.write_bytes(path.read_bytes().replace(b'"interactionHistory":2', b'"interactionHistory":3'))
    changed = kaireon_verify.run(kaireon_verify._options([str(path), "--pubkey", pinned()]))
    assert changed.exit != 0


def test_15_an_erasure_whose_worker_is_killed_is_done_once(
    officer: Officer, shop: Any, worker: Work, tmp_path: Path
) -> None:
    request = officer.asks("delete")
    deaths = sum(dying(worker, at_statement=point) for point in (20, 90, 60))
    assert deaths >= 2
    worker()
    shown = officer.shown(request)
    assert (shown["status"], shown["deletedCounts"]["interactionHistory"]) == ("completed", 2)
    for verb in ("dsar.erasure.rows_erased", "dsar.erasure.completed", "subject_key.destroy"):
        assert officer.get(f"/audit-logs?action={verb}")["total"] == 1, verb
    assert _verified(officer, request, tmp_path) == 0


def test_16_what_failed_is_tried_again_from_the_step_that_failed(
    officer: Officer, shop: Any, worker: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ADA.here(), transaction():
        upload(Customer.objects.get(customer_id=NUMBER), "letter.pdf", b"dear grace")
    request = officer.asks("delete", receivedAt=days_ago(1))

    def away(name: str) -> bool:
        raise OSError("storage is away")

    with monkeypatch.context() as accident:
        accident.setattr(removals, "remove_object", away)
        for _ in range(4):
            worker()
    shown = officer.shown(request)
    steps = {step["name"]: (step["state"], step["attempts"], step["error"]) for step in shown["steps"]}
    assert (shown["status"], shown["error"]) == ("failed", "objects_left")
    assert (steps["rows"][:2], steps["objects"]) == (("done", 1), ("failed", 4, "objects_left"))
    call_command("dsar", "retry", request, tenant="acme")
    worker()
    shown = officer.shown(request)
    steps = {step["name"]: (step["state"], step["attempts"]) for step in shown["steps"]}
    assert (shown["status"], steps["rows"], steps["objects"]) == ("completed", ("done", 1), ("done", 5))
    with ADA.here(), transaction():
        assert not Attachment.objects.filter(name="letter.pdf").exists()
    assert _verified(officer, request, tmp_path) == 0
