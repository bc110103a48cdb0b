"""One story through the API alone, by processes of the product: in, asked for, held, purged, erased, proved."""

import http.client
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from customers.catalogue import CATALOGUE, Erasure, shown_in
from tests.cast import ACME
from tests.dsar.conftest import SECRETS
from tests.live import Web, Worker, wait_until
from tests.story.conftest import Person, days_ago

pytestmark = pytest.mark.slow

INTERACTIONS = [
    {"customerId": "C-17", "externalId": f"shop-{n}", "kind": "purchase", "occurredAt": days_ago(n), "amount": "9.99"}
    for n in (1, 100, 200)
]
CRON = {"Authorization": "Bearer test-cron-secret"}


def rows_about(root: psycopg.Connection[Any], customer: object) -> dict[str, int]:
    """How many rows of each entity are about the customer, as SQL counts them."""
    found = {}
    for entity in CATALOGUE:
        count = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s").format(
            sql.Identifier(entity.table), sql.Identifier(entity.subject)
        )
        row = root.execute(count, [customer]).fetchone()
        found[entity.name] = row[0] if row else 0
    return found


def tables_that_hold(root: psycopg.Connection[Any], text: str) -> list[str]:
    """Every table in which some row, in whatever column, shows the text."""
    names = root.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    ).fetchall()
    holds = sql.SQL("SELECT EXISTS (SELECT FROM {} t WHERE strpos(t::text, %s) > 0)")
    return [n for (n,) in names if root.execute(holds.format(sql.Identifier(n)), [text]).fetchone() == (True,)]


def test_the_whole_loop(
    web: Web, worker: Worker, jane: str, ada: Person, ed: Person, mallory: Person, superuser_url: str
) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as root, worker:
        # What the shop sends comes in, once however often it is sent.
        for created in (3, 0):
            answer = ed.post("/interactions", {"interactions": INTERACTIONS})
            assert answer.status == 200, answer.body
            assert (answer.json()["created"], answer.json()["errors"]) == (created, [])
        consent = {
            "customerId": jane,
            "channel": "sms",
            "purpose": "news",
            "status": "granted",
            "recordedAt": days_ago(2),
        }
        assert ed.post("/consents", {"consents": [consent]}).json()["created"] == 1
        [(customer,)] = root.execute("SELECT id FROM customers_customer WHERE customer_id = %s", [jane]).fetchall()

        # Jane asks what there is about her.
        filed = ada.post("/dsar", {"requestType": "export", "subjectId": jane})
        assert filed.status == 202
        export = filed.json()["requestId"]
        completed(ada, export, worker)
        package = ada.get(f"/dsar/{export}/download?format=json").json()
        counted = rows_about(root, customer)
        sections = {
            section: sum(counted[entity.name] for entity in shown_in(section))
            for section in {entity.section for entity in CATALOGUE if entity.section}
        }
        assert {section: package["counts"][section] for section in sections} == sections
        assert all(package["data"][section] for section in package["data"])
        assert package["counts"]["interactions"] == 6
        assert {len(rows) for rows in package["data"].values() if isinstance(rows, list)} >= {6}
        # Her own values in the log are readable to her.
        [created] = [
            r for r in package["data"]["auditLogs"] if r["entityId"] == str(customer) and r["action"] == "create"
        ]
        assert created["changes"]["customer_id"] == jane

        # A lawyer calls: interactions stay, whatever their policy says. Decisions are past theirs.
        for body in (
            {"dataClass": "interactions", "retentionDays": 30, "legalHold": True, "holdReason": "litigation"},
            {"dataClass": "decisions", "retentionDays": 30},
        ):
            assert ada.post("/admin/retention-configs", body).status == 200
        cleaned = web.post("/cron/cleanup", headers=CRON)
        assert cleaned.status == 200, cleaned.body
        assert cleaned.json()["ok"] is True
        left = rows_about(root, customer)
        assert left["interactionHistory"] == 6
        assert left["decisionTrace"] == 0

        # Jane wants to be forgotten. What is held stays, and is named.
        answer = ada.post("/gdpr/erasure", {"customerId": jane})
        assert answer.status == 200, answer.body
        first = answer.json()
        assert first["success"] is True
        assert {r["entity"] for r in first["retained"]} >= {"interactionHistory"}
        assert rows_about(root, customer)["interactionHistory"] == 6

        # The hold ends, and the same request takes the rest.
        released = {"dataClass": "interactions", "retentionDays": 30, "legalHold": False}
        assert ada.post("/admin/retention-configs", released).status == 200
        rest = ada.post("/gdpr/erasure", {"customerId": jane})
        assert rest.status == 200, rest.body
        assert rest.json()["deletedCounts"]["interactionHistory"] == 6
        assert rest.json()["retained"] == []

        # Nothing is left of her: no row, no value, no file. The neighbour has all of it still.
        gone = rows_about(root, customer)
        kept = {entity.name for entity in CATALOGUE if entity.erasure in (Erasure.SHRED, Erasure.NONE)}
        assert {name: n for name, n in gone.items() if n and name not in kept} == {}
        for secret in SECRETS:
            holding = tables_that_hold(root, secret)
            if secret in ("Jane Doe", "letter.pdf", "vip-row", "+44 20 7946 0000"):
                # The neighbour has the same.
                holding = [t for t in holding if t not in NEIGHBOURS]
            if secret == "device-4711":
                holding = [t for t in holding if t != "customers_identitylink"]
            assert holding == [], secret
        place = Path(settings.STORAGES["default"]["OPTIONS"]["location"])
        objects = [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()]
        # His attachment; the journal of erasures names nobody, and the secrets above are not in it.
        assert [name.partition("/")[0] for name in objects if not name.startswith("erasures/")] == ["attachments"]
        journal = [(place / name).read_text() for name in objects if name.startswith("erasures/")]
        assert len(journal) == 2
        assert not [secret for secret in SECRETS for entry in journal if secret in entry]
        [(neighbour,)] = root.execute("SELECT id FROM customers_customer WHERE customer_id = 'C-99'").fetchall()
        theirs = rows_about(root, neighbour)
        assert (theirs["customer"], theirs["interactionHistory"], theirs["attachment"]) == (1, 3, 1)

        # All of it is in the log, which is whole.
        verdict = ada.get("/audit-logs/verify").json()
        assert verdict["intact"] is True
        assert verdict["verified"] == verdict["total"]
        actions = [str(record["action"]) for record in ada.all_logs()]
        for expected in (
            "dsar.create",
            "dsar.export.completed",
            "retention_config.legal_hold",
            "dsar.erasure.rows_erased",
            "dsar.erasure.completed",
            "subject_key.destroy",
        ):
            assert expected in actions
        # And what it knew of her nobody can open any more.
        key = "SELECT key_wrapped FROM audit_subjectkey WHERE subject_id = %s"
        assert root.execute(key, [str(customer)]).fetchall() == [(None,)]
        assert root.execute(key, [str(neighbour)]).fetchall() != [(None,)]
        assert "C-17" not in str(ada.all_logs())

        # Next door nobody has noticed anything.
        assert mallory.get("/customers").json()["customers"] == []
        assert mallory.get("/interactions").json()["interactions"] == []
        assert mallory.get("/dsar").json()["requests"] == []
        assert mallory.get(f"/dsar/{export}").status == 404
        assert {record["tenantId"] for record in mallory.all_logs()} == {"globex"}
        assert mallory.get("/admin/retention-configs").json() == []


NEIGHBOURS = {"customers_customer", "customers_attachment", "customers_dynamicrow"}


def completed(ada: Person, request_id: str, worker: Worker) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        answer: dict[str, Any] = ada.get(f"/dsar/{request_id}").json()
        assert answer["status"] != "failed", answer
        return answer if answer["status"] == "completed" else None

    found: dict[str, Any] = wait_until(look, or_show=worker.log)
    return found


def stopped_at(root: psycopg.Connection[Any]) -> object:
    """Whether somebody waits for the lock the test holds."""
    return root.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()


def half_a_minute_later(root: psycopg.Connection[Any]) -> None:
    """The lease of the one that died runs out."""
    root.execute("SELECT set_config('app.tenant_id', %s, false)", [ACME])
    root.execute("UPDATE jobs_job SET lease_until = now() WHERE state = 'running'")


# Which row stands in the way: in the middle of an export, in the middle of an erasure.
OBSTACLES = {"export": ("customers_customer", "id"), "delete": ("customers_identitylink", "customer_id")}


@pytest.mark.parametrize("request_type", OBSTACLES)
def test_a_worker_that_is_killed_is_followed_by_one_that_finishes_once(
    request_type: str, worker: Worker, jane: str, ada: Person, superuser_url: str
) -> None:
    table, column = map(sql.Identifier, OBSTACLES[request_type])
    with psycopg.connect(superuser_url, autocommit=True) as root, psycopg.connect(superuser_url) as obstacle:
        [(customer,)] = root.execute("SELECT id FROM customers_customer WHERE customer_id = %s", [jane]).fetchall()
        before = rows_about(root, customer)
        obstacle.execute(sql.SQL("SELECT 1 FROM {} WHERE {} = %s FOR UPDATE").format(table, column), [customer])
        with worker:
            filed = ada.post("/dsar", {"requestType": request_type, "subjectId": jane}).json()["requestId"]
            wait_until(lambda: stopped_at(root), or_show=worker.log)
            worker.kill()
        obstacle.rollback()
        assert ada.get(f"/dsar/{filed}").json()["status"] == "processing"
        assert rows_about(root, customer) | {"dsarRequest": 0} == before | {"dsarRequest": 0}

        half_a_minute_later(root)
        with worker:
            completed(ada, filed, worker)

        jobs = root.execute("SELECT state, attempts, losses FROM jobs_job").fetchall()
        assert jobs == [("done", 2, 1)]
        verb = "dsar.export.completed" if request_type == "export" else "dsar.erasure.completed"
        assert [r["action"] for r in ada.all_logs()].count(verb) == 1
        packages = root.execute("SELECT count(*) FROM dsar_dossier").fetchone()
        assert packages == (1 if request_type == "export" else 0,)
        assert (rows_about(root, customer)["customer"] == 0) == (request_type == "delete")
        assert ada.get("/audit-logs/verify").json()["intact"] is True


def test_a_web_server_that_is_killed_in_an_erasure_is_followed_by_a_worker(
    web: Web, worker: Worker, jane: str, ada: Person, superuser_url: str
) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as root, psycopg.connect(superuser_url) as obstacle:
        [(customer,)] = root.execute("SELECT id FROM customers_customer WHERE customer_id = %s", [jane]).fetchall()
        obstacle.execute("SELECT 1 FROM customers_identitylink WHERE customer_id = %s FOR UPDATE", [customer])
        caller = threading.Thread(target=_cut_off, args=(ada, jane))
        caller.start()
        wait_until(lambda: stopped_at(root), or_show=web.log)
        web.kill()
        caller.join()
        obstacle.rollback()
        assert rows_about(root, customer)["interactionHistory"] == 3

        half_a_minute_later(root)
        with web, worker:
            [request] = ada.get("/dsar").json()["requests"]
            completed(ada, request["id"], worker)
            assert rows_about(root, customer)["customer"] == 0
            assert [r["action"] for r in ada.all_logs()].count("dsar.erasure.completed") == 1
            assert ada.get("/audit-logs/verify").json()["intact"] is True


def _cut_off(ada: Person, number: str) -> None:
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ada.post("/gdpr/erasure", {"customerId": number})
