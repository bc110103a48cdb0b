"""Requests over HTTP, refusals first."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from customers import models as m
from dsar.erasing import rows
from dsar.models import DsarRequest
from dsar.requests import api
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file

DSAR = "/api/v1/dsar"
ERASURE = "/api/v1/gdpr/erasure"


def _work() -> None:
    """What a worker does with everything that is queued."""
    from kaireon.jobs import runner

    with transaction():
        open_jobs = [job.pk for job in Job.objects.open()]
    for job_id in open_jobs:
        runner.run(job_id=job_id)


def _post(body: Any, path: str = DSAR, nick: str = "ada", **headers: str) -> Any:
    return client(nick).post(path, body, format="json", headers=headers)


def _get(path: str, nick: str = "ada") -> Any:
    return client(nick).get(path)


def test_an_export_from_filing_to_package(jane: m.Customer) -> None:
    filed = _post({"requestType": "export", "subjectId": NUMBER})
    assert filed.status_code == 202
    assert filed.json() == {"requestId": filed.json()["requestId"], "status": "queued"}
    path = f"{DSAR}/{filed.json()['requestId']}"
    assert _get(path).json()["status"] == "queued"
    assert _get(f"{path}/download").status_code == 409
    _work()
    shown = _get(path).json()
    assert (shown["status"], shown["subjectId"], shown["tenantId"]) == ("completed", NUMBER, "acme")
    assert shown["exportedData"]["counts"]["interactions"] == 3
    assert shown["exportedData"]["encrypted"] is False
    [listed] = _get(f"{DSAR}?status=completed&limit=5").json()["requests"]
    assert listed["exportedData"] == shown["exportedData"]
    download = _get(f"{path}/download?format=json")
    assert download.status_code == 200
    assert json.loads(download.content) == shown["exportedData"]
    day = clock.now().date().isoformat()
    assert download["Content-Disposition"] == f'attachment; filename="dsar-export-{NUMBER}-{day}.json"'
    logs = _get("/api/v1/audit-logs?action=dsar.export.downloaded").json()
    assert logs["total"] == 3


@pytest.mark.parametrize("in_query", [True, False])
def test_an_encrypted_export_opens_with_the_command(jane: m.Customer, tmp_path: Path, in_query: bool) -> None:
    body = {"requestType": "export", "subjectId": NUMBER} | ({} if in_query else {"encrypt": True})
    filed = _post(body, f"{DSAR}?encrypt=true" if in_query else DSAR).json()
    _work()
    download = _get(f"{DSAR}/{filed['requestId']}/download")
    envelope = json.loads(download.content)
    assert envelope["encrypted"] is True
    assert envelope["data"]["format"] == "encrypted-aes-256-gcm"
    assert envelope["data"]["keyVersion"] == 1
    assert EMAIL not in download.content.decode()
    assert _get(f"{DSAR}/{filed['requestId']}").json()["exportedData"] == envelope
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_bytes(download.content)
    call_command("dsar_decrypt", str(source), out=out)
    assert json.loads(out.read_text())["data"]["profile"]["email"] == EMAIL
    assert out.stat().st_mode & 0o077 == 0
    with pytest.raises(CommandError, match="not overwritten"):
        call_command("dsar_decrypt", str(source), out=out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not an encrypted dossier"),
        ('{"encrypted": true, "data": {"format": "rot13"}}', "not an encrypted dossier"),
        ('{"encrypted": true, "data": {"format": "encrypted-aes-256-gcm"}}', "lacks"),
        (
            '{"encrypted": true, "data": {"format": "encrypted-aes-256-gcm", "ciphertext": "%", "context": "x"}}',
            "base64",
        ),
        (
            '{"encrypted": true, "data": {"format": "encrypted-aes-256-gcm", "ciphertext": "AA", "context": "x"}}',
            "base64",
        ),
        (
            '{"encrypted": true, "data": {"format": "encrypted-aes-256-gcm", "ciphertext": "AAAA", "context": "x"}}',
            "not a",
        ),
    ],
)
def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path, text: str, message: str) -> None:
    source = tmp_path / "in.json"
    source.write_text(text)
    with pytest.raises(CommandError, match=message):
        call_command("dsar_decrypt", str(source))
    with pytest.raises(CommandError, match="No such file"):
        call_command("dsar_decrypt", str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "requestType"),
        ({"requestType": "amnesia", "subjectId": "x"}, "requestType"),
        ({"requestType": "export"}, "subjectId"),
        ({"requestType": "export", "subjectId": ""}, "subjectId"),
        ({"requestType": "export", "subjectId": ["x"]}, "subjectId"),
        ({"requestType": "export", "subjectId": "x" * 255}, "subjectId"),
        ({"requestType": "export", "subjectId": "x\u0000"}, "subjectId"),
        ({"requestType": "export", "subjectId": "x\ny"}, "subjectId"),
        ({"requestType": "export", "subjectId": "nobody", "subjectType": "email"}, "subjectId"),
        ({"requestType": "export", "subjectId": "x", "subjectType": "phone"}, "subjectType"),
        ({"requestType": "export", "subjectId": "x", "regulation": "lex"}, "regulation"),
        ({"requestType": "export", "subjectId": "x", "receivedAt": "2999-01-01T00:00:00Z"}, "receivedAt"),
        ({"requestType": "export", "subjectId": "x", "receivedAt": "0001-01-01T00:00:00Z"}, "receivedAt"),
        ({"requestType": "export", "subjectId": "x", "receivedAt": "yesterday"}, "receivedAt"),
        ({"requestType": "export", "subjectId": "x", "encrypt": "perhaps"}, "encrypt"),
        ({"requestType": "export", "subjectId": "x", "tenantId": "globex"}, "tenantId"),
        ([], ""),
        ("export", ""),
    ],
)
def test_a_malformed_request_is_refused_by_the_name_of_its_field(ada: None, body: Any, named: str) -> None:
    refused = _post(body)
    assert refused.status_code == 400, refused.content
    assert named in refused.json()["error"]["message"]
    with transaction():
        assert not DsarRequest.objects.exists()


@pytest.mark.parametrize("query", ["status=open", "limit=0", "limit=x", "limit=-1"])
def test_a_malformed_list_query_is_refused(ada: None, query: str) -> None:
    assert _get(f"{DSAR}?{query}").status_code == 400


def test_the_limit_is_clamped(ada: None) -> None:
    for _ in range(3):
        file()
    assert len(_get(f"{DSAR}?limit=2").json()["requests"]) == 2
    answered = _get(f"{DSAR}?limit=100000").json()
    assert (answered["count"], answered["total"]) == (3, 3)


@pytest.mark.parametrize("nick", ["ed", "aud", "vi"])
def test_only_admins_may(jane: m.Customer, nick: str) -> None:
    row = answer(file())
    assert _post({"requestType": "export", "subjectId": NUMBER}, nick=nick).status_code == 403
    assert _post({"customerId": NUMBER}, ERASURE, nick=nick).status_code == 403
    for path in (DSAR, f"{DSAR}/{row.pk}", f"{DSAR}/{row.pk}/clock", f"{DSAR}/{row.pk}/download"):
        assert _get(path, nick).status_code == 403
        assert APIClient().get(path).status_code == 401


def test_another_tenant_finds_nothing(jane: m.Customer) -> None:
    row = answer(file())
    for path in (f"{DSAR}/{row.pk}", f"{DSAR}/{row.pk}/clock", f"{DSAR}/{row.pk}/download"):
        assert _get(path, "mallory").status_code == 404
    assert _get(DSAR, "mallory").json()["requests"] == []
    assert _post({"customerId": NUMBER}, ERASURE, nick="mallory").status_code == 404


def test_more_than_ten_requests_a_minute_are_too_many(ada: None) -> None:
    body = {"requestType": "export", "subjectId": "x"}
    assert [_post(body).status_code for _ in range(10)] == [202] * 10
    refused = _post(body)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0


def test_an_idempotency_key_files_once(ada: None) -> None:
    body = {"requestType": "export", "subjectId": "x"}
    first, second = (_post(body, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == second.json()
    assert _post({**body, "subjectId": "y"}, **{"Idempotency-Key": "k"}).status_code == 422
    with transaction():
        assert DsarRequest.objects.count() == Job.objects.count() == 1


def test_an_expired_package_is_gone(jane: m.Customer) -> None:
    row = answer(file())
    with clock.freeze(clock.now() + timedelta(days=31)):
        assert _get(f"{DSAR}/{row.pk}/download").status_code == 410
        assert "exportedData" not in _get(f"{DSAR}/{row.pk}").json()
    assert _get(f"{DSAR}/{row.pk}/download?format=xml").status_code == 400


def test_only_exports_have_a_package(jane: m.Customer) -> None:
    row = answer(file("delete"))
    assert _get(f"{DSAR}/{row.pk}/download").status_code == 409


def test_a_large_package_is_linked(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "INLINE_BYTES", 100)
    row = answer(file())
    shown = _get(f"{DSAR}/{row.pk}").json()
    assert "exportedData" not in shown
    assert _get(shown["downloadUrl"]).status_code == 200


@pytest.mark.parametrize("subject", ['a"b; filename=x', "../../etc/passwd", "名前", ".", "x" * 200])
def test_the_file_name_is_safe_whatever_the_subject_is_called(ada: None, subject: str) -> None:
    row = answer(file(subject_id=subject))
    name = api.file_name(row)
    assert not set(name) & set("/\\\"';\r\n")
    assert name.startswith("dsar-export-")
    assert len(name) < 130
    assert _get(f"{DSAR}/{row.pk}/download").status_code == 200


def test_the_clock_cites_its_articles(ada: None) -> None:
    filed = _post({"requestType": "export", "subjectId": "x", "receivedAt": "2026-01-31T09:00:00Z"}).json()
    times = _get(f"{DSAR}/{filed['requestId']}/clock").json()
    assert times["dueAt"] == "2026-02-28T23:59:59+00:00"
    assert any("12(3)" in rule["article"] for rule in times["rules"])
    assert _get(f"{DSAR}/{filed['requestId']}").json()["dueAt"] == times["dueAt"]
    ccpa = _post({"requestType": "export", "subjectId": "x", "regulation": "ccpa"}).json()
    assert "acknowledgeBy" in _get(f"{DSAR}/{ccpa['requestId']}/clock").json()


def test_the_erasure_call_answers_what_it_did(jane: m.Customer) -> None:
    done = _post({"customerId": NUMBER}, ERASURE)
    assert done.status_code == 200, done.content
    body = done.json()
    assert (body["success"], body["customerId"], body["retained"]) == (True, NUMBER, [])
    assert body["deletedCounts"]["interactionHistory"] == 3
    assert body["totalDeleted"] == sum(body["deletedCounts"].values())
    shown = _get(f"{DSAR}/{body['requestId']}").json()
    assert (shown["status"], shown["outcome"]) == ("completed", "completed")
    assert shown["subjectId"].startswith("erased-")
    assert shown["deletedCounts"] == body["deletedCounts"]
    assert _post({"customerId": NUMBER}, ERASURE).status_code == 404


def test_the_erasure_call_is_replayed_by_its_key(jane: m.Customer) -> None:
    first, second = (_post({"customerId": NUMBER}, ERASURE, **{"Idempotency-Key": "e"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    with transaction():
        assert DsarRequest.objects.count() == 1


@pytest.mark.parametrize("body", [{}, {"customerId": ""}, {"customerId": "x\ny"}, {"customerId": 1.5}, {"id": "x"}, []])
def test_a_malformed_erasure_is_refused(jane: m.Customer, body: Any) -> None:
    assert _post(body, ERASURE).status_code in (400, 404)
    assert _post({"customerId": "nobody"}, ERASURE).status_code == 404
    with transaction():
        assert not DsarRequest.objects.exists()


def test_an_erasure_that_fails_answers_500_and_erased_nothing_then_or_later(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rows._PREPARE, "customer", lambda work: 1 / 0)
    refused = _post({"customerId": NUMBER}, ERASURE)
    assert refused.status_code == 500
    assert refused.json()["error"]["code"] == "erasure_failed"
    monkeypatch.undo()
    _work()
    with transaction():
        assert m.Interaction.objects.filter(customer=jane).count() == 3
        request = DsarRequest.objects.get()
    assert (request.status, request.error) == ("failed", "zero_division_error")
    assert _get("/api/v1/audit-logs?action=dsar.erasure.failed").json()["total"] == 1


def test_the_command_lists_files_and_processes(jane: m.Customer, capsys: pytest.CaptureFixture[str]) -> None:
    import contextvars

    def run(*argv: str, **options: Any) -> Any:
        # A command opens its own scope, as it does in a process of its own.
        contextvars.Context().run(call_command, "dsar", *argv, tenant="acme", json=True, **options)
        return json.loads(capsys.readouterr().out)

    [filed] = run("create", subject_id=EMAIL, subject_type="email")
    assert filed["status"] == "queued"
    assert EMAIL not in json.dumps(filed)
    [done] = run("process")
    assert (done["id"], done["status"]) == (filed["id"], "completed")
    assert run("list", status="completed")[0]["id"] == filed["id"]
    assert run("show", filed["id"])[0]["counts"]["interactions"] == 3
    with pytest.raises(CommandError, match="only a failed request"):
        run("retry", filed["id"])
    with pytest.raises(CommandError, match="no active tenant"):
        call_command("dsar", "list", tenant="nobody")
