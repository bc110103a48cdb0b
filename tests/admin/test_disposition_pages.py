"""The page of what was disposed of: by period, in sums, as a file."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from audit import services as log
from audit.models import AuditRecord
from compliance.models import Disposition
from compliance.purging import dispositions, report
from compliance.purging.dispositions import Run
from compliance.purging.periods import Terms
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.cast import ACME, ADA, ED, MALLORY, VI, Person
from tests.compliance.rows import NOW

PAGE = "/admin/compliance/disposition/"
FILE = f"{PAGE}download/"


def dispose(
    rows: int, *, of: str = "interactions", at: datetime = NOW, terms: Terms | None = None, **run: object
) -> None:
    with clock.freeze(at), ADA.here(), transaction():
        dispositions.add(
            Run(**run),  # type: ignore[arg-type]
            data_class=of,
            entity="interactionHistory",
            clock_column="occurred_at",
            rows=rows,
            terms=terms,
            clock_from=NOW,
            clock_until=NOW,
        )


def test_it_is_empty_then_sums_a_period(db: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    empty = client.get(PAGE)
    assert refused(empty) == []
    assert "Nothing was disposed of in this period." in empty.content.decode()
    plan = uuid4()
    dispose(1200, plan=plan)
    dispose(34, of="decisions")
    dispose(5, at=NOW - timedelta(days=400))
    answer = client.get(PAGE)
    page = answer.content.decode()
    assert refused(answer) == []
    assert "1,239" in page
    assert f"/admin/compliance/purgeplan/{plan}/change/" in page
    today = NOW.date().isoformat()
    year = client.get(PAGE, {"from": today, "to": today}).content.decode()
    assert "1,234" in year
    assert "1,239" not in year
    assert f"format=csv&amp;from={today}&amp;to={today}" in year
    assert "1,200" in client.get(PAGE, {"plan": str(plan)}).content.decode()
    assert "1,234" not in client.get(PAGE, {"plan": str(plan)}).content.decode()


def test_it_says_whose_policy_it_was(db: str, sign_in: SignIn) -> None:
    dispose(3, terms=Terms(days=90, version=2, policy_class="decisions"))
    dispose(4, terms=Terms(days=365, version=5))
    page = sign_in(ADA).get(PAGE).content.decode()
    assert "90 days, version 2 of the policy of decisions<" in page
    assert "365 days, version 5 of the policy<" in page


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "yesterday"},
        {"to": "2026-02-30"},
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"plan": "1"},
        {"from": "\x00"},
        {"to": "2026-01-01T00:00:00"},
        {"to": "9999-12-31T23:59:59-14:00"},
        {"from": "0001-01-01T00:00:00+14:00"},
    ],
    ids=str,
)
def test_a_period_that_is_none_is_said_so(asked: dict[str, str], db: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    answer = client.get(PAGE, asked)
    assert answer.status_code == 200
    assert ('role="alert"' in answer.content.decode()) is (asked != {"from": "\x00"})
    if "plan" not in asked:
        assert client.get(FILE, asked).status_code == 400


def test_the_ends_of_time_are_periods(db: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    dispose(7)
    asked = {"from": "0001-01-01", "to": "9999-12-31"}
    assert client.get(PAGE, asked).status_code == 200
    assert client.get(FILE, {**asked, "format": "html"}).status_code == 200


def test_many_are_paged(db: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    with ADA.here(), transaction():
        Disposition.objects.bulk_create(
            Disposition(
                run=uuid4(),
                data_class="decisions",
                entity="decisionTrace",
                rows=1,
                clock="decided_at",
                clock_from=NOW,
                clock_until=NOW,
                first_at=NOW,
                last_at=NOW,
            )
            for _ in range(120)
        )
    first = client.get(PAGE).content.decode()
    assert "Page 1 of 3" in first
    assert 'href="?p=2"' in first
    assert "Newer" not in first
    last = client.get(PAGE, {"p": "3"}).content.decode()
    assert "Older" not in last
    assert "Page 3 of 3" in client.get(PAGE, {"p": "99999"}).content.decode()
    assert "Page 1 of 3" in client.get(PAGE, {"p": "x"}).content.decode()


def test_a_file_is_safe_recorded_and_of_the_period(db: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    dispose(7, approved_by="b", approved_by_name="=cmd|' /C calc'!A0")
    dispose(8, at=NOW - timedelta(days=400))
    today = NOW.date().isoformat()
    answer = client.get(FILE, {"from": today, "to": today})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="dispositions-acme-')
    assert "no-store" in answer.headers["Cache-Control"]
    _, line = answer.content.decode().splitlines()
    assert "'=cmd" in line
    assert "<script" not in client.get(FILE, {"format": "html"}).content.decode()
    assert client.get(FILE, {"format": "exe"}).status_code == 400
    assert client.post(FILE).status_code == 405
    log.drain(ACME)
    with ADA.here(), transaction():
        found = [r.changes for r in AuditRecord.objects.filter(action=report.VERB).order_by("seq")]
    assert found == [{"format": "csv", "dispositions": 1}, {"format": "html", "dispositions": 2}]


@pytest.mark.parametrize("person", [ED, VI, MALLORY], ids=lambda p: p.role)
def test_nobody_else_sees_them(person: Person, db: str, sign_in: SignIn) -> None:
    dispose(4321)
    client = sign_in(person)
    for path in (PAGE, FILE):
        answer = client.get(path)
        may = person is MALLORY
        assert answer.status_code == (200 if may else 403)
        assert "4321" not in answer.content.decode().replace(",", "")
