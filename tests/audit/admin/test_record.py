"""The page of one record: what changed, what it proves, what is sealed in it."""

import html
import json
import re
from typing import Any

import psycopg
from django.test import Client

from audit.chain import leaf_hash
from audit.tree import checkpoints, merkle, notes, signing
from customers.models import Customer
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.admin.conftest import SignIn
from tests.audit.admin.pages import LOG, rename, shown
from tests.audit.log import records, write
from tests.cast import ACME, ADA, AUD


def test_a_change_shows_old_and_new_side_by_side(client: Client) -> None:
    page = shown(client, rename("<b>Renamed</b>", "req-diff"))
    [row] = re.findall(r'<tr class="k-diff-changed">.*?</tr>', page, re.DOTALL)
    cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
    assert cells[0] == "vi"
    assert "stayed as they were" in page
    assert "<b>Renamed</b>" not in client.get(f"{LOG}?request=req-diff").content.decode()


def test_personal_values_show_as_what_they_are(client: Client) -> None:
    with ADA.here("req-personal"), transaction():
        nils = Customer.objects.create(customer_id="N-1", name="Nils Öberg", email="nils@example.org")
        Customer.objects.filter(pk=nils.pk).update(email="other@example.org")
    created, changed = records(ACME, request_id="req-personal")
    for record in (created, changed):
        page = shown(client, record)
        assert "k-withheld" in page
        for value in ("Nils", "nils@", "other@"):
            assert value not in page
    assert re.search(r'<tr class="k-diff-changed">\s*<th scope="row">email', shown(client, changed))


def test_a_proof_is_drawn_and_checked_from_the_record_to_the_checkpoint(client: Client) -> None:
    write(20, tenant=ACME)
    record = rename("Renamed", "req-proof")
    assert "waits for the next checkpoint" in shown(client, record)
    checkpoints.make(ACME)
    page = shown(client, record)
    newest = _newest()
    assert newest.root_hash in page
    assert f'<span class="k-hash" data-field="leaf">{record.leaf_hash}</span>' in page
    steps = len(re.findall(r'class="k-path-step', page))
    assert steps == (newest.tree_size - 1).bit_length() or steps > 0
    assert f"{steps} steps lead from the leaf to the root" in page
    assert "Does not hold" not in page


def test_a_record_that_was_changed_does_not_lead_to_the_root(client: Client, superuser_url: str) -> None:
    record = rename("Renamed", "req-forged")
    checkpoints.make(ACME)
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE audit_record SET user_name = 'Nobody' WHERE id = %s", [record.pk])
    page = shown(client, record)
    assert len(re.findall("Does not hold", page)) == 2
    # A forged leaf beside it does not help.
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE audit_record SET leaf_hash = %s WHERE id = %s", ["0" * 64, record.pk])
    assert len(re.findall("Does not hold", shown(client, record))) == 2


def test_a_forged_checkpoint_is_told(client: Client, superuser_url: str) -> None:
    record = rename("Renamed", "req-note")
    checkpoints.make(ACME)
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE audit_checkpoint SET note = replace(note, E'\\n\\n', E'x\\n\\n') WHERE tenant_id = 'acme'")
    assert "Does not hold: The checkpoint carries a valid signature" in re.sub(r"<[^>]+>", "", shown(client, record))


def _newest() -> Any:
    with ADA.here(), transaction():
        return checkpoints.newest(ACME)


def test_the_proof_is_downloaded_and_checks_without_us(client: Client) -> None:
    write(9, tenant=ACME)
    record = rename("Renamed", "req-download")
    waiting = client.get(f"{LOG}{record.pk}/proof/", follow=True)
    assert "in no checkpoint yet" in waiting.content.decode()
    checkpoints.make(ACME)
    answer = client.get(f"{LOG}{record.pk}/proof/")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="audit-proof-{record.seq}.json"'
    assert "no-store" in answer.headers["Cache-Control"]
    given = json.loads(answer.content)
    note = notes.Note.parse(given["checkpoint"])
    note.check(_key())
    assert given["publicKey"] == str(_key())
    said = notes.Checkpoint.parse(note.text)
    leaf = bytes.fromhex(leaf_hash(given["record"]))
    path = [bytes.fromhex(h) for h in given["proof"]["hashes"]]
    merkle.check_inclusion(leaf, given["proof"]["leafIndex"], said.size, path, said.root)
    assert [r.changes for r in records(ACME, action="audit_log.prove")] == [{"size": said.size}]


def _key() -> notes.PublicKey:
    with ADA.here(), transaction():
        return signing.public_key(signing.keys(ACME)[-1])


def test_neighbours_and_records_of_the_same_request_are_one_click_away(client: Client) -> None:
    with ADA.here("req-together"), transaction():
        for name in ("One", "Two"):
            ApiKey.objects.filter(prefix="vi").update(name=name)
        ApiKey.objects.filter(prefix="ed").update(name="Three")
    one, two, three = records(ACME, request_id="req-together")
    page = shown(client, two)
    near = dict(
        re.findall(r'<a class="k-link" href="/admin/audit/auditrecord/([0-9a-f-]+)/change/">(#\d+ \w+)</a>', page)
    )
    assert {str(one.pk), str(three.pk)} <= near.keys()
    section = page.split("Of the same request")[1]
    assert [f"#{r.seq} update" for r in (one, two, three)] == re.findall(r"#\d+ update", section)
    first = shown(client, records(ACME)[0])
    assert re.search(r"Previous in the log</span>\s*<span>none", first)


def test_an_admin_opens_sealed_values_which_is_recorded_and_an_auditor_may_not(sign_in: SignIn) -> None:
    with ADA.here("req-sealed"), transaction():
        Customer.objects.create(customer_id="N-1", name="Nils Öberg", email="nils@example.org")
    [record] = records(ACME, request_id="req-sealed")
    ada, aud = sign_in(ADA), sign_in(AUD)
    assert "Show sealed values" in shown(ada, record)
    assert "Show sealed values" not in shown(aud, record)
    assert aud.post(f"{LOG}{record.pk}/reveal/").status_code == 403
    assert ada.get(f"{LOG}{record.pk}/reveal/").status_code == 302
    assert records(ACME, action="audit_log.reveal") == []
    answer = ada.post(f"{LOG}{record.pk}/reveal/")
    page = html.unescape(answer.content.decode())
    assert "Nils Öberg" in page
    assert "nils@example.org" in page
    assert "That you looked is recorded" in page
    assert "no-store" in answer.headers["Cache-Control"]
    [seen] = records(ACME, action="audit_log.reveal")
    assert (seen.user_name, seen.entity_id) == ("Ada", str(record.pk))
    # Only this once.
    assert "nils@example.org" not in shown(ada, record)
