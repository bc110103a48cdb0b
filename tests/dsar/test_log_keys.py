"""What an erasure makes of the person's values in the audit log, and an access request shows of them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError

from audit import services as audit_log
from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from audit.sealing.sealed import ERASED
from audit.verification.verify import verify
from cron import runner as cron
from cron.models import Trigger
from customers import models as m
from dsar.dossiers import dossier
from dsar.erasing import erasure, log_keys
from dsar.models import Dossier, DsarRequest
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.test_bundle import checked
from tests.caller import with_key
from tests.cast import ACME, ADA
from tests.compliance.rows import policy
from tests.dsar.conftest import EMAIL, NUMBER, answer, file, make_customer
from tests.dsar.test_erasure import _hold, _release


def is_alive(customer: m.Customer) -> bool:
    audit_log.drain(ACME)
    with transaction():
        return bool(subject_keys.alive([str(customer.pk)]))


def key_of(superuser_url: str, customer: m.Customer) -> Any:
    with psycopg.connect(superuser_url) as root:
        return root.execute(
            "SELECT key_wrapped IS NULL, destroyed_at IS NULL FROM audit_subjectkey WHERE subject_id = %s",
            [str(customer.pk)],
        ).fetchone()


def log(**wanted: Any) -> list[AuditRecord]:
    audit_log.drain(ACME)
    with transaction():
        assert verify().intact
        return list(AuditRecord.objects.filter(**wanted).order_by("seq"))


def package(request: DsarRequest) -> Any:
    with transaction():
        return json.loads(dossier.opened(Dossier.objects.get(request=request)))


def test_an_erasure_destroys_the_key_and_says_so_last(jane: m.Customer, superuser_url: str) -> None:
    assert is_alive(jane)
    request = answer(file("delete"))
    assert (request.outcome, request.retained) == ("completed", [])
    assert key_of(superuser_url, jane) == (True, False)
    records = log()
    destroyed = [r for r in records if r.action == "subject_key.destroy"]
    assert [r.entity_id for r in destroyed] == [str(jane.pk)]
    assert records[-1] == destroyed[0]
    # What the erasure itself recorded of the person was sealed before, or is erased.
    [completed] = [r for r in records if r.action == "dsar.erasure.completed"]
    assert completed.after["pseudonym"] == ERASED


def test_what_was_handed_out_before_still_verifies_and_opens_for_nobody(jane: m.Customer, tmp_path: Path) -> None:
    bundle = b"".join(with_key("aud").get("/audit-logs/bundle").streaming_content)  # type: ignore[attr-defined]
    with zipfile.ZipFile(io.BytesIO(bundle)) as inside:
        handed_out = [json.loads(line) for line in inside.read("records.ndjson").splitlines()]
    [created] = [r for r in handed_out if (r["entityId"], r["action"]) == (str(jane.pk), "create")]
    assert opened(created)["email"] == EMAIL

    answer(file("delete"))

    assert checked(tmp_path, bundle)[0] == 0
    assert log()
    assert [opened(created)[c] for c in ("email", "name", "phone", "customer_id", "attributes")] == [ERASED] * 5


def opened(record: dict[str, Any]) -> dict[str, Any]:
    """What somebody with our database can still make of a record that was handed out."""
    with transaction():
        keys = reveal.keys_of([record["after"]])
        found: dict[str, Any] = reveal.open_contents(record["entityType"], record["after"], keys).value
    return found


def test_the_neighbours_key_stays(jane: m.Customer) -> None:
    with transaction():
        neighbour = m.Customer.objects.numbered("C-99").get()
    answer(file("delete"))
    assert is_alive(neighbour)


@pytest.mark.parametrize("data_class", ["interactions", "profiles", "consents"])
def test_it_stays_while_something_is_retained_and_goes_with_the_next_erasure(jane: m.Customer, data_class: str) -> None:
    _hold(data_class)
    request = answer(file("delete"))
    assert {"entity": "subjectKey", "count": 1, "ground": "tells_of_held_rows", "until": None} in request.retained
    assert is_alive(jane)
    _release(data_class)
    assert answer(file("delete")).retained == []
    assert not is_alive(jane)


def test_a_hold_on_the_log_keeps_what_opens_it(jane: m.Customer, superuser_url: str) -> None:
    _hold("audit")
    request = answer(file("delete"))
    assert request.outcome == "partially_completed"
    assert request.retained == [{"entity": "subjectKey", "count": 1, "ground": "legal_hold", "until": None}]
    assert is_alive(jane)
    # Whatever code does: the database refuses.
    with transaction(), pytest.raises(IntegrityError, match="legal hold"):
        subject_keys.destroy(str(jane.pk), now=clock.now())


def cleanup() -> Any:
    body = cron.run_job("cleanup", trigger=Trigger.COMMAND).body
    return next(e for e in body["perTenant"] if e["tenantId"] == ACME)["shredded"]["subjectKey"]


def test_cleanup_takes_it_when_nothing_of_the_person_is_left(jane: m.Customer, superuser_url: str) -> None:
    _hold("interactions")
    answer(file("delete"))
    assert cleanup() == 0
    _release("interactions")
    # Released, the rows are still there; their key stays with them.
    assert cleanup() == 0
    assert is_alive(jane)
    with transaction():
        for model in (m.Interaction, m.JourneyEnrollment):
            model.objects.filter(customer=jane).delete()
        m.Customer.objects.filter(pk=jane.pk).delete()
    assert cleanup() == 1
    assert not is_alive(jane)
    assert cleanup() == 0


def test_cleanup_takes_it_when_the_log_is_released(jane: m.Customer) -> None:
    _hold("audit")
    answer(file("delete"))
    assert cleanup() == 0
    _release("audit")
    dry = cron.run_job("cleanup", trigger=Trigger.COMMAND, dry_run=True).body
    assert next(e for e in dry["perTenant"] if e["tenantId"] == ACME)["shredded"]["subjectKey"] == 1
    assert is_alive(jane)
    assert cleanup() == 1
    assert not is_alive(jane)


def test_a_request_that_was_held_and_expires_gives_the_key_free(jane: m.Customer) -> None:
    _hold("dsar")
    request = answer(file("delete"))
    assert is_alive(jane)
    _release("dsar")
    policy("dsar", 30)
    with transaction():
        m_requests = DsarRequest.objects.filter(pk=request.pk)
        m_requests.update(closed_at=clock.now().replace(year=2020))
        Dossier.objects.all().delete()
    assert cleanup() == 1
    assert not is_alive(jane)


def test_an_erasure_that_rolls_back_keeps_the_key(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> int:
        log_keys_destroy(*_, **__)
        raise ZeroDivisionError

    log_keys_destroy = log_keys.destroy_of
    monkeypatch.setattr(erasure.log_keys, "destroy_of", breaks)
    filed = file("delete")
    answer(filed)
    assert is_alive(jane)
    monkeypatch.undo()
    with transaction():
        Job.objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    answer(filed)
    assert not is_alive(jane)


def test_it_does_not_end_while_values_wait_in_clear(jane: m.Customer, superuser_url: str) -> None:
    assert is_alive(jane)
    filed = file("delete")
    audit_log.drain(ACME)
    with psycopg.connect(superuser_url, autocommit=True) as root:
        root.execute("SET session_replication_role = replica")
        # The number of the record that comes next is taken: the log stands still.
        forged = root.execute(
            "INSERT INTO audit_record SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),"
            " 'seq', r.seq + 1))).* FROM audit_record r WHERE tenant_id = 'acme' ORDER BY seq DESC LIMIT 1 RETURNING id"
        ).fetchone()
        request = answer(filed)
        assert (request.status, request.state) == ("processing", "finishing")
        with transaction():
            assert Job.objects.get(pk=filed.job.pk).error == "log_stands_still"
            assert subject_keys.alive([str(jane.pk)])
        assert forged is not None
        root.execute("DELETE FROM audit_record WHERE id = %s", forged)
    with transaction():
        Job.objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    assert answer(filed).status == "completed"
    assert not is_alive(jane)
    assert log()


def test_access_shows_the_subjects_own_values_and_nobody_elses(jane: m.Customer) -> None:
    with transaction():
        other = m.Customer.objects.numbered("C-99").get()
        m.IdentityLink.objects.filter(customer=other, kind="device").update(customer=jane)
        m.Customer.objects.filter(pk=jane.pk).update(name="Jane Roe")
    found = package(answer(file()))["data"]["auditLogs"]
    changes = {(r["entityType"], r["action"]): r["changes"] for r in found}
    assert changes["Customer", "create"]["email"] == EMAIL
    assert changes["Customer", "create"]["customer_id"] == NUMBER
    assert changes["Customer", "update"]["name"] == ["Jane Doe", "Jane Roe"]
    assert '"sealed"' not in json.dumps(found)
    moved = [r["changes"]["value"] for r in found if r["entityType"] == "IdentityLink" and r["action"] == "create"]
    assert {"unreadable": True} in moved
    assert "device-4711-C-99" not in json.dumps(found)


def test_after_an_erasure_the_records_of_their_requests_show_erased(jane: m.Customer) -> None:
    answer(file("delete"))
    with ADA.here(), transaction():
        make_customer()
    [created] = [r for r in log(entity_type="Customer", entity_id=str(jane.pk)) if r.action == "create"]
    with transaction():
        keys = reveal.keys_of([created.changes])
        assert reveal.open_contents("Customer", created.changes, keys).value["email"] == ERASED
