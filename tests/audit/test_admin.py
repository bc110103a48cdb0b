"""The log in the admin: who finds what, page by page, and what one record's page shows and proves."""

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

import audit
from audit import search, sequencer, services
from audit.chain import leaf_hash
from audit.models import AuditRecord
from audit.tree import checkpoints, merkle, notes, signing
from customers.models import Customer
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import ApiKey
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.audit.log import records, write
from tests.cast import ACME, ADA, AUD, ED, GLOBEX, MALLORY, VI, Person

LOG = "/admin/audit/auditrecord/"
_HALF_PAST_FIVE = timedelta(hours=5, minutes=30)


@pytest.fixture
def client(sign_in: SignIn) -> Client:  # noqa: F811
    return sign_in(AUD)


def numbers(client: Client, **asked: str) -> list[int]:
    """The numbers of the records that a search lists."""
    answer = client.get(LOG, asked)
    assert answer.status_code == 200
    return [int(n) for n in re.findall(r"<th scope=\"row\"><a [^>]+>#(\d+)</a>", answer.content.decode())]


def links(client: Client, path: str) -> dict[str, str]:
    page = client.get(path).content.decode()
    found = re.findall(r'<a class="k-button" href="([^"]+)"[^>]*>(Newest|Newer|Older)</a>', page)
    return {name: LOG + html.unescape(address) for address, name in found}


def rename(name: str, request_id: str, prefix: str = "vi") -> AuditRecord:
    """Ada renames a key; gives the record of it."""
    with ADA.here(request_id), transaction():
        ApiKey.objects.filter(prefix=prefix).update(name=name)
    return records(ACME, request_id=request_id)[-1]


def test_it_finds_by_type_id_action_actor_request_and_number(client: Client) -> None:
    record = rename("Renamed", "req-find")
    for asked in (
        {"entity_id": record.entity_id, "action": "update"},
        {"entity_type": "ApiKey", "action": "update"},
        {"entity_type": "ApiKey", "entity_id": record.entity_id, "actor": "Ada"},
        {"actor": record.user_id or "", "entity_id": record.entity_id},
        {"request": "req-find"},
        {"q": "req-find"},
        {"q": f"#{record.seq}"},
        {"q": str(record.seq)},
        {"q": str(record.pk)},
        {"q": " update "},
    ):
        assert numbers(client, **asked) == [record.seq], asked
    assert record.seq in numbers(client, q=record.entity_id)
    assert record.seq in numbers(client, q="ApiKey")
    assert record.seq in numbers(client, q="Ada")
    for asked in ({"q": "Ad"}, {"q": "%"}, {"action": "updat"}, {"entity_type": "ApiKey", "actor": "Mallory"}):
        assert numbers(client, **asked) == [], asked


def test_it_finds_by_time_with_or_without_a_zone(client: Client, superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as root:
        root.execute("SELECT set_config('app.actor_type', 'system', true)")
        root.execute("UPDATE tenancy_tenant SET time_zone = 'Asia/Kolkata' WHERE id = 'acme'")
    with scope(tenant_id=ACME, actor=Actor.job("clock")), clock.freeze(clock.now()), transaction():
        audit.record(action="test.now", entity_type="Test", entity_id="1")
    [record] = records(ACME, action="test.now")
    hour = record.timestamp.replace(minute=0, second=0, microsecond=0)
    local = (hour + _HALF_PAST_FIVE).replace(tzinfo=None).isoformat()
    for since, until, hit in (
        (f"{hour:%Y-%m-%dT%H:%M}Z", "", True),
        (f"{hour:%Y-%m-%dT%H:%M}+00:00", "2999-01-01", True),
        ("", f"{hour:%Y-%m-%dT%H:%M}Z", False),
        (local, "", True),
        ("", local, False),
        ("2999-01-01", "", False),
    ):
        found = numbers(client, **{"from": since, "to": until, "action": "test.now"})
        assert found == ([record.seq] if hit else []), (since, until)
    # The same words in UTC are another moment.
    assert numbers(client, **{"from": local, "zone": "UTC", "action": "test.now"}) == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"from": "yesterday"}, "is no moment"),
        ({"from": "2026-02-30"}, "is no moment"),
        ({"to": "2026-13-01T00:00Z"}, "is no moment"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "ends before it begins"),
        ({"q": "a\x00b"}, "may not hold NUL"),
        ({"from": "0001-01-01T00:00", "to": "9999-12-31T23:59"}, ""),
        ({"q": "9" * 30}, "Nothing matches"),
        ({"before": "x", "after": "-1"}, ""),
        ({"before": "9" * 40}, ""),
        ({"zone": "Mars/Olympus"}, ""),
        ({"q": "'; DROP TABLE audit_record; --"}, "Nothing matches"),
        ({"subject": "\U0001f600" * 100}, "Nothing matches"),
    ],
)
def test_odd_searches_are_answered_in_words(client: Client, asked: dict[str, str], words: str) -> None:
    write(1, tenant=ACME)
    answer = client.get(LOG, asked)
    assert answer.status_code == 200
    assert words in html.unescape(answer.content.decode())


def test_it_finds_what_happened_to_a_person_by_number_address_and_id(client: Client) -> None:
    with ADA.here(), transaction():
        nils = Customer.objects.create(customer_id="N-1", name="Nils", email="nils@example.org")
        Customer.objects.create(customer_id="N-2", name="Nora", email="nora@example.org")
    [record] = records(ACME, entity_id=str(nils.pk), action="create")
    for named in ("N-1", "Nils@Example.org", str(nils.pk)):
        assert numbers(client, subject=named) == [record.seq], named
    assert numbers(client, subject="N-3") == []
    # The search itself is recorded, and not whom it was for.
    read = records(ACME, action="audit_log.read")
    assert {"searchedBy": ["subject"]} in [r.changes for r in read]
    assert "N-1" not in str([(r.changes, r.entity_id) for r in read])
    key = str(nils.pk)
    with ADA.here(), transaction():
        nils.delete()
    assert len(numbers(client, subject=key)) == 2


def test_pages_go_to_the_end_and_back_without_a_gap(client: Client) -> None:
    write(130, tenant=ACME)
    last = records(ACME)[-1].seq
    for asked in ("q=test.event", "action=test.event", "action=test.event&from=2000-01-01"):
        seen, path = [], f"{LOG}?{asked}"
        turned = [path]
        for _ in range(4):
            page = client.get(path).content.decode()
            seen.append([int(n) for n in re.findall(r"<th scope=\"row\"><a [^>]+>#(\d+)</a>", page)])
            if "Older" not in (to := links(client, path)):
                break
            path = to["Older"]
            turned.append(path)
        assert [len(page) for page in seen] == [50, 50, 30]
        flat = [n for page in seen for n in page]
        assert flat == sorted(flat, reverse=True)
        assert flat[0] == last
        assert len(set(flat)) == 130
        back = links(client, turned[-1])["Newer"]
        assert re.findall(r"#(\d+)</a></th>", client.get(back).content.decode()) == [str(n) for n in seen[1]]
        assert asked.partition("=")[2].split("&")[0] in links(client, turned[-1])["Newest"]


def test_an_empty_log_and_an_empty_search_say_so(superuser_url: str, sign_in: SignIn) -> None:  # noqa: F811
    client = sign_in(MALLORY)
    assert "Nothing matches" in client.get(LOG, {"q": "nobody"}).content.decode()


@pytest.mark.parametrize(
    ("person", "status"), [(ADA, 200), (AUD, 200), (ED, 403), (VI, 403)], ids=["admin", "auditor", "editor", "viewer"]
)
def test_only_admins_and_auditors_see_the_log(person: Person, status: int, sign_in: SignIn) -> None:  # noqa: F811
    record = rename("Renamed", "req-role")
    client = sign_in(person)
    for path in (LOG, f"{LOG}{record.pk}/change/", f"{LOG}{record.pk}/proof/", f"{LOG}verify/", f"{LOG}evidence/"):
        answer = client.get(path, follow=True)
        assert answer.status_code == status, path
    assert client.post(f"{LOG}{record.pk}/change/", {"action": "unsaid"}).status_code == 403


def test_another_tenant_finds_nothing_of_it(sign_in: SignIn) -> None:  # noqa: F811
    record = rename("Renamed", "req-mine")
    client = sign_in(MALLORY)
    for asked in ({"q": str(record.pk)}, {"q": "req-mine"}, {"request": "req-mine"}, {"entity_id": record.entity_id}):
        assert numbers(client, **asked) == []
    assert client.get(f"{LOG}{record.pk}/proof/").status_code == 404


# -- one record -------------------------------------------------------------------------------------------------------


def shown(client: Client, record: AuditRecord) -> str:
    answer = client.get(f"{LOG}{record.pk}/change/")
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


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


def test_reading_and_searching_are_records(client: Client) -> None:
    record = rename("Renamed", "req-read")
    client.get(LOG)
    shown(client, record)
    client.get(LOG, {"q": "x", "action": "y"})
    read = records(ACME, action="audit_log.read")
    assert [(r.entity_id, r.changes) for r in read] == [
        (ACME, None),
        (str(record.pk), None),
        (ACME, {"searchedBy": ["word", "action"]}),
    ]


# -- the whole log ----------------------------------------------------------------------------------------------------


def test_the_panel_tells_how_the_log_is_doing(client: Client, superuser_url: str) -> None:
    # Of every tenant, also what making the cast left some time ago.
    while sequencer.sweep():
        pass
    page = client.get(LOG).content.decode()
    assert "Not verified yet" in page
    assert "No checkpoint yet" in page
    assert "The sequencer keeps up" in page
    checkpoints.make(ACME)
    assert "The log is intact" in client.post(f"{LOG}verify/", follow=True).content.decode()
    page = client.get(LOG).content.decode()
    assert "Intact: all" in page
    assert "by Aud" in page
    assert "Not published yet" in page
    services.drain(GLOBEX)
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE audit_checkpoint SET signed_at = signed_at - interval '1 hour'")
        root.execute(
            "INSERT INTO audit_inbox (tenant_id, operation, action, entity_type, entity_id, user_name,"
            " actor_type, \"timestamp\") VALUES ('globex', 'E', 'x', 'X', '1', 'x', 'job', now() - interval '1 hour')"
        )
    page = client.get(LOG).content.decode()
    assert "the next one is overdue" in page
    assert "is a sequencer running?" in page


def test_an_evidence_bundle_of_a_period_is_downloaded_and_recorded(client: Client) -> None:
    write(5, tenant=ACME)
    answer = client.post(f"{LOG}evidence/", {"since": "", "until": ""})
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert content.startswith(b"PK")
    assert answer.headers["Content-Type"] == "application/zip"
    [export] = records(ACME, action="audit_log.export")
    assert "'format': 'bundle'" in str(export.changes)
    for given, words in (
        ({"since": "2026-02-02", "until": "2026-02-01"}, "ends before it begins"),
        ({"since": "2999-01-01"}, "No record lies in this period"),
        ({"since": "soon"}, "valid date"),
    ):
        refused = client.post(f"{LOG}evidence/", given)
        assert refused.status_code == 200
        assert words in refused.content.decode(), given


# -- a large log ------------------------------------------------------------------------------------------------------

# Every index that a search must use, by what is asked; a plan without it reads the whole log.
PLANS: dict[str, tuple[dict[str, Any], str]] = {
    "the newest": ({}, "audit_record_seq"),
    "an action": ({"action": "update"}, "audit_record_action"),
    "a type and id": ({"entity_type": "ApiKey", "entity_id": "x"}, "audit_record_entity"),
    "a request": ({"request_id": "x"}, "audit_record_request"),
    "a time": ({"since": clock.at("12:00"), "until": clock.at("13:00")}, "audit_record_time"),
}


@pytest.mark.parametrize("name", PLANS)
def test_an_index_answers_each_search_under_row_level_security(name: str, db: str) -> None:
    asked, index = PLANS[name]
    plan = _plan(asked)
    assert index in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("alternative", ["user_id", "user_name"])
def test_an_index_answers_each_way_to_name_an_actor(alternative: str, db: str) -> None:
    plan = _plan({"actor": "Ada"}, alternative=["user_id", "user_name"].index(alternative))
    assert f"audit_record_{alternative}" in plan


def _plan(asked: dict[str, Any], alternative: int = 0) -> str:
    """Of a log that is large, as the planner is told."""
    write(600, tenant=ACME)
    services.drain(ACME)
    wanted = search.Search(**asked)
    with ADA.here(), transaction():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
            )
        condition = search._conditions(wanted)[alternative]
        rows = search._beyond(search._narrowed(wanted).filter(condition), wanted, None, upwards=False)
        return str(rows[:51].explain())


def test_a_page_asks_the_same_number_of_questions_whatever_the_log_holds(
    client: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    write(120, tenant=ACME)
    services.drain(ACME)
    with django_assert_max_num_queries(40):
        client.get(LOG)


def test_globex_is_not_searched_for_acme(db: str) -> None:
    write(3, tenant=GLOBEX)
    services.drain(GLOBEX)
    with ADA.here(), transaction():
        assert search.find(search.Search(action="test.event")).rows == []
        assert "test.event" not in search.suggestions("action")


# -- sealed values, long logs and exports ------------------------------------------------------------------------------


def test_an_admin_opens_sealed_values_which_is_recorded_and_an_auditor_may_not(sign_in: SignIn) -> None:  # noqa: F811
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


def test_a_long_log_is_verified_by_a_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.MOST_AT_ONCE", 3)
    write(10, tenant=ACME)
    answer = client.post(f"{LOG}verify/", follow=True)
    assert "A worker reads the whole log" in answer.content.decode()
    with ADA.here():
        with transaction():
            [job] = Job.objects.filter(type="audit_verify")
        done = runner.run(job_id=job.pk)
    assert done is not None
    assert (done.state, done.result and done.result["state"]) == ("done", "intact")
    assert "Intact: all" in client.get(LOG).content.decode()


def test_an_export_is_asked_for_made_and_fetched(client: Client) -> None:
    write(4, tenant=ACME)
    page = "/admin/audit/auditexport/"
    for given, words in (
        ({"format": "pdf"}, "valid choice"),
        ({"format": "csv", "since": "2026-02-02", "until": "2026-02-01"}, "ends before it begins"),
    ):
        assert words in client.post(f"{page}new/", given).content.decode()
    answer = client.post(f"{page}new/", {"format": "ndjson", "action": "test.event"})
    assert answer.status_code == 302
    row = answer.headers["Location"].removesuffix("change/")
    assert "is queued" in client.get(f"{row}download/", follow=True).content.decode().lower()
    with ADA.here():
        with transaction():
            [job] = Job.objects.filter(type="audit_export")
        runner.run(job_id=job.pk)
    assert "100 %" in client.get(f"{row}change/").content.decode()
    fetched = client.get(f"{row}download/")
    lines = b"".join(fetched.streaming_content).splitlines()  # type: ignore[attr-defined]
    assert len([line for line in lines if b'"test.event"' in line]) == 4
    assert len(records(ACME, action="audit_log.download")) == 1
