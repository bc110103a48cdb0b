"""The certificate of an erasure: what it says is true, it stays as it is, and nobody else gets it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from audit.models import AuditRecord, Checkpoint
from cron import runner as cron
from cron.models import Trigger
from customers import models as m
from customers.catalogue import CATALOGUE, SAID, digest
from dsar.certifying import certificates
from dsar.certifying.articles import ARTICLES
from dsar.deadlines import LAWS
from dsar.models import Certificate, DsarRequest, Outcome, State
from dsar.requests import subjects
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.tenancy.context import transaction
from tests.caller import error_of, with_key
from tests.cast import ADA
from tests.dsar.certified import checked, fetched, pinned, taken
from tests.dsar.conftest import EMAIL, NUMBER, SECRETS, again, answer, file
from tests.dsar.test_erasure import _hold, _release
from tests.dsar.test_erasure_deferral import work_off


def test_it_says_what_was_done_and_names_nobody(jane: m.Customer) -> None:
    request = answer(file("delete"))
    content = taken(request)
    said = fetched(request)["certificate"]
    assert said["counts"] == request.counts
    assert said["counts"]["objects"] == {"deleted": 1, "wereMissing": 0}
    assert (said["retained"], said["outcome"], said["kind"]) == ([], "completed", "erasure")
    assert (said["tenantId"], said["requestId"], said["regulation"]) == ("acme", str(request.pk), "gdpr")
    assert said["subject"] == request.pseudonym == request.subject_id
    assert said["times"] == {
        "closedAt": clock.rfc3339(request.closed_at),
        "dueOn": request.due_on.isoformat(),
        "erasedAt": clock.rfc3339(request.erased_at),
        "receivedAt": clock.rfc3339(request.received_at),
        "requestedAt": clock.rfc3339(request.requested_at),
        "startedAt": clock.rfc3339(request.started_at),
    }
    [key] = said["keysDestroyed"]
    with transaction():
        destroyed = AuditRecord.objects.get(action="subject_key.destroy")
    assert key["keyId"] in json.dumps(destroyed.changes)
    assert {e["entity"] for e in said["scope"]} == {e.name for e in (*CATALOGUE, *SAID)}
    assert set(said["counts"]["deleted"]) <= {e["entity"] for e in said["scope"]}
    assert said["catalogue"] == {"entities": len(CATALOGUE), "sha256": digest()}
    assert {"GDPR Art. 17(1)", "GDPR Art. 12(3)"} <= {each["article"] for each in said["articles"]}
    assert len(said["passes"]) == 1
    for secret in (*SECRETS, NUMBER, EMAIL, str(jane.email)):
        assert secret not in content.decode()


def test_it_is_issued_once_and_stays_the_same_bytes(jane: m.Customer) -> None:
    request = answer(file("delete"))
    first = taken(request)
    # The log goes on, and so does its newest checkpoint.
    answer(file("delete", "C-99"))
    certificates.seal_log()
    assert taken(request) == first
    with transaction():
        row = Certificate.objects.get(request=request)
        assert Checkpoint.objects.order_by("-tree_size")[0].tree_size > row.tree_size
        records = AuditRecord.objects.filter(entity_type="Certificate", entity_id=str(row.pk)).order_by("seq")
        verbs = list(records.values_list("action", flat=True))
    assert verbs[:2] == ["dsar.certificate.issued", "dsar.certificate.read"]
    assert verbs.count("dsar.certificate.issued") == 1


def test_two_who_ask_at_once_get_the_same(jane: m.Customer) -> None:
    request = answer(file("delete"))
    certificates.seal_log()

    def ask(_: int) -> bytes:
        try:
            with ADA.here(), transaction():
                return bytes(certificates.issue(request, now=clock.now()).content)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1
    with transaction():
        assert Certificate.objects.count() == 1


def test_without_a_checkpoint_there_is_none_yet(jane: m.Customer) -> None:
    request = answer(file("delete"))
    with pytest.raises(certificates.NoCertificate) as refusal, transaction():
        certificates.issue(request, now=clock.now())
    assert refusal.value.code == "not_sealed"
    with transaction():
        assert not Certificate.objects.exists()


def test_who_gets_none(jane: m.Customer) -> None:
    done, waiting, export = answer(file("delete")), file("delete", "C-99").request, answer(file("export", "C-99"))
    path = "/dsar/{}/certificate"
    for request, code in ((waiting, "not_completed"), (export, "not_an_erasure")):
        refused = with_key("ada").get(path.format(request.pk))
        assert (refused.status_code, error_of(refused)["code"]) == (409, code)
    for nick, status in (("mallory", 404), ("aud", 403), ("ed", 403), ("vi", 403)):
        assert with_key(nick).get(path.format(done.pk)).status_code == status, nick
    assert with_key("ada").get(path.format(jane.pk)).status_code == 404
    assert with_key("ada").get(path.format(done.pk) + "?format=pdf").status_code == 400
    assert with_key("ada").post(path.format(done.pk), {}).status_code == 405
    with transaction():
        assert not Certificate.objects.exists()
        DsarRequest.objects.filter(pk=done.pk).update(outcome=Outcome.WITHDRAWN)
    refused = with_key("ada").get(path.format(done.pk))
    assert (refused.status_code, error_of(refused)["code"]) == (409, "not_carried_out")
    with transaction():
        DsarRequest.objects.filter(pk=done.pk).update(outcome="", status="failed", state=State.FAILED)
    assert with_key("ada").get(path.format(done.pk)).status_code == 409


def test_what_was_kept_stands_in_it_and_so_does_the_erasure_that_followed(jane: m.Customer, tmp_path: Any) -> None:
    _hold("interactions")
    filed = file("delete")
    kept = answer(filed)
    waiting = with_key("ada").get(f"/dsar/{kept.pk}/certificate")
    assert (waiting.status_code, error_of(waiting)["code"]) == (409, "not_completed")
    _release("interactions")
    work_off()
    done = again(filed)
    said = fetched(done)["certificate"]
    assert (said["outcome"], said["retained"], len(said["keysDestroyed"])) == ("completed", [], 1)
    first, second = said["passes"]
    assert first["at"] < second["at"]
    assert {"interactionHistory", "journeyEnrollment"} <= {entry["entity"] for entry in first["retained"]}
    assert second["retained"] == []
    code, verdict = checked(tmp_path, taken(done), "--pubkey", pinned())
    assert (code, verdict["level"]) == (0, "pinned")


@pytest.mark.parametrize(("kind", "name"), [("customer_id", "nobody"), ("email", "no.body@example.com")])
def test_nobody_found_is_certified_too(ada: None, tmp_path: Any, kind: str, name: str) -> None:
    request = answer(file("delete", name, subject_type=kind))
    said = fetched(request)["certificate"]
    assert (said["outcome"], said["keysDestroyed"], sum(said["counts"]["deleted"].values())) == ("no_data", [], 0)
    with transaction():
        assert said["subject"] == subjects.pseudonym_of(request)
    assert said["subject"].startswith("erased-v1-")
    assert name not in taken(request).decode()
    assert checked(tmp_path, taken(request))[0] == 0


def test_the_page_to_print_shows_it(jane: m.Customer) -> None:
    request = answer(file("delete"))
    page = with_key("ada").get(f"/dsar/{request.pk}/certificate?format=html")
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert page["Content-Disposition"] == f'attachment; filename="erasure-certificate-{request.pk}.html"'
    text = page.content.decode()
    with transaction():
        row = Certificate.objects.get()
    for word in (request.pseudonym, row.sha256, row.key_id, "Customer profile", "GDPR Art. 17(1)", "kaireon.example"):
        assert word in text or word == "kaireon.example", word
    assert "<script" not in text
    assert not any(secret in text for secret in SECRETS)


def test_the_command_hands_out_the_same_bytes(jane: m.Customer, capsys: pytest.CaptureFixture[str]) -> None:
    request, waiting = answer(file("delete")), file("delete", "C-99").request
    call_command("dsar", "certificate", str(request.pk), "--tenant", "acme", "--json")
    assert capsys.readouterr().out.rstrip("\n").encode() == taken(request)
    call_command("dsar", "certificate", str(request.pk), "--tenant", "acme")
    with transaction():
        assert Certificate.objects.get().sha256 in capsys.readouterr().out
    with pytest.raises(CommandError, match="it has a certificate when it is completed"):
        call_command("dsar", "certificate", str(waiting.pk), "--tenant", "acme")
    with pytest.raises(CommandError, match="needs the id"):
        call_command("dsar", "certificate", "--tenant", "acme")
    with pytest.raises(CommandError, match="no such request"):
        call_command("dsar", "certificate", str(request.pk), "--tenant", "globex")


def test_cleanup_issues_what_nobody_asked_for(jane: m.Customer) -> None:
    answer(file("delete"))
    file("delete", "C-99")
    for issued in (1, 0):
        ran = cron.run_job("cleanup", trigger=Trigger.COMMAND)
        [entry] = [each for each in ran.body["perTenant"] if each["tenantId"] == "acme"]
        assert entry["certificatesIssued"] == issued
    with transaction():
        row = Certificate.objects.get()
        assert canonical(json.loads(bytes(row.content))) == bytes(row.content)


def test_each_law_has_its_articles() -> None:
    assert set(ARTICLES) == set(LAWS)
    assert all(each.article and each.says.endswith(".") for said in ARTICLES.values() for each in said)
