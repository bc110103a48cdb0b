"""The export in its three forms, and verification between dates; each way to ask wrongly."""

import csv
import io
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from audit.exports.files import AREAS, area_of
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.audit.log import records, write
from tests.caller import error_of, with_key
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _log(db: str) -> None:
    write(5, tenant=ACME, changes={"note": '=HYPERLINK("http://example.com")', "text": 'Zoë, "quoted"\nline'})
    with ADA.here(), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="=1+1")


def exported(query: str = "") -> Any:
    answer = with_key("aud").get(f"/audit-export{query}")
    assert answer.status_code == 200, answer.content
    return answer


def verified(**body: str) -> dict[str, Any]:
    answer = with_key("aud").post("/audit-export", {"action": "verify_integrity", **body})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_json_has_the_records_in_the_order_they_were_made() -> None:
    log = records(ACME)
    answer = exported().json()
    assert set(answer) == {"data", "total", "exportedAt"}
    assert [r["id"] for r in answer["data"]] == [str(r.pk) for r in log]
    assert answer["total"] == len(log)
    assert answer["data"][-1]["after"] == log[-1].after


def test_a_page_and_a_filter() -> None:
    log = records(ACME)
    assert [r["seq"] for r in exported("?limit=2&offset=3").json()["data"]] == [4, 5]
    assert exported("?limit=2&offset=3").json()["total"] > len(log)
    found = exported("?action=test.event&entityType=Thing").json()
    assert found["total"] == 5
    assert exported(f"?offset={len(log) + 100}").json()["data"] == []


def test_dates_include_the_whole_day() -> None:
    today = f"{clock.now():%Y-%m-%d}"
    assert exported(f"?startDate={today}&endDate={today}").json()["total"] >= len(records(ACME)) - 1
    tomorrow = f"{clock.now() + timedelta(days=1):%Y-%m-%d}"
    assert exported(f"?startDate={tomorrow}").json()["total"] == 0


def test_csv_is_text_to_every_spreadsheet() -> None:
    answer = exported("?format=csv")
    assert answer["Content-Type"].startswith("text/csv")
    assert answer["Content-Disposition"].startswith("attachment")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [line["seq"] for line in lines] == [str(r.seq) for r in records(ACME)[: len(lines)]]
    [renamed] = [line for line in lines if line["action"] == "update"]
    assert renamed["entityName"] == "'=1+1"
    assert not any(cell.startswith(("=", "+", "@")) for line in lines for cell in line.values())


def test_soc2_sorts_every_record_by_control_area_with_what_proves_it() -> None:
    package = exported("?format=soc2").json()
    areas = package["controlAreas"]
    assert set(areas) == set(AREAS)
    assert sum(area["count"] for area in areas.values()) == package["population"]["included"]
    assert all(area["count"] == len(area["records"]) == sum(area["actions"].values()) for area in areas.values())
    assert {r["entityType"] for r in areas["access"]["records"]} >= {"ApiKey", "Membership"}
    assert package["integrity"]["intact"] is True
    assert package["exportedBy"]["type"] == "api_key"
    assert package["tenantId"] == ACME


@pytest.mark.parametrize(
    ("action", "kind", "changes", "area"),
    [
        ("auth.login", "User", None, "access"),
        ("auth.login_failed", "User", None, "incident"),
        ("update", "ApiKey", None, "access"),
        ("delete", "ApiKey", None, "access"),
        ("role.grant", "Membership", None, "access"),
        ("retention_config.upsert", "RetentionPolicy", None, "data_disposal"),
        ("retention.purge", "Tenant", None, "data_disposal"),
        ("dsar.erasure.completed", "DsarRequest", None, "data_disposal"),
        ("dsar.erasure.failed", "DsarRequest", None, "incident"),
        ("delete", "Customer", None, "data_disposal"),
        ("create", "Customer", None, "change"),
        ("audit_log.verify", "AuditLog", {"intact": True}, "access"),
        ("audit_log.verify", "AuditLog", {"intact": False}, "incident"),
        ("job.failed", "Job", None, "incident"),
    ],
)
def test_what_a_record_is_evidence_for(action: str, kind: str, changes: Any, area: str) -> None:
    assert area_of(action, kind, changes) == area


class TestVerification:
    def test_of_everything(self) -> None:
        found = verified()
        assert (found["verified"], found["chainIntact"]) == (True, True)
        assert found["recordsChecked"] >= len(records(ACME)) - 1
        assert (found["startDate"], found["endDate"]) == (None, None)

    def test_between_two_moments(self) -> None:
        log = records(ACME)
        found = verified(startDate=clock.rfc3339(log[4].timestamp), endDate=clock.rfc3339(log[7].timestamp))
        assert found["verified"]
        assert 4 <= found["recordsChecked"] < len(log)

    def test_of_nothing(self) -> None:
        assert verified(startDate="2999-01-01")["recordsChecked"] == 0

    def test_it_finds_what_was_changed_inside_and_not_what_was_outside(self, superuser: psycopg.Connection) -> None:
        log = records(ACME)
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE audit_record SET action = 'x' WHERE tenant_id = 'acme' AND seq = 3")
        superuser.execute("SET session_replication_role = origin")
        found = verified()
        assert (found["verified"], found["brokenReason"], found["brokenAtId"]) == (
            False,
            "hash_mismatch",
            str(log[2].pk),
        )
        assert verified(startDate=clock.rfc3339(log[-1].timestamp))["verified"] is True


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("format=xml", "format"),
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("offset=-1", "offset"),
            ("startDate=yesterday", "startDate"),
            ("endDate=2026-02-30", "endDate"),
            ("startDate=2026-01-01T00:00:00", "startDate"),
            ("startDate=2026-02-01&endDate=2026-01-01", "startDate"),
            ("action=a%00b", "action"),
        ],
    )
    def test_a_query_that_is_wrong(self, query: str, name: str) -> None:
        answer = with_key("aud").get(f"/audit-export?{query}")
        assert answer.status_code == 400
        assert name in error_of(answer)["message"]

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            ({}, "action"),
            ({"action": "delete"}, "action"),
            ({"action": "verify_integrity", "startDate": "soon"}, "startDate"),
            ({"action": "verify_integrity", "more": 1}, "more"),
        ],
    )
    def test_a_body_that_is_wrong(self, body: dict[str, Any], name: str) -> None:
        answer = with_key("aud").post("/audit-export", body)
        assert answer.status_code == 400
        assert name in error_of(answer)["message"]

    def test_more_than_ten_a_minute_all_forms_together(self) -> None:
        statuses = [with_key("aud").get("/audit-export?limit=1").status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]

    def test_the_limit_is_clamped(self) -> None:
        assert exported("?limit=999999").json()["total"] > 0


def test_every_export_is_recorded() -> None:
    exported("?format=csv&limit=3")
    [record] = records(ACME, action="audit_log.export")
    assert (record.changes["format"], record.changes["records"]) == ("csv", 3)
