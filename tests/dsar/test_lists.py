"""What a list of requests asks of the database, and what a plan of very much does."""

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers import models as m
from customers.models import ObjectRemoval
from dsar.erasing import plans, rows
from dsar.models import Dossier
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import NUMBER, answer, client, file, make_customer

DSAR = "/api/v1/dsar"


@pytest.fixture
def listed(jane: m.Customer) -> m.Customer:
    """One request of every kind that a list shows more of than its row."""
    answer(file())
    answer(file(encrypt=True))
    answer(file(subject_id="nobody"))
    answer(file("delete", subject_id="C-99"))
    file("rectification", details="Jayne, not Jane")
    file("objection", details="no mail", identity_by="code")
    return jane


def asked(path: str) -> tuple[int, dict[str, Any]]:
    with CaptureQueriesContext(connection) as queries:
        found = client().get(path)
    assert found.status_code == 200
    return len(queries), found.json()


def test_a_long_list_takes_as_many_queries_as_a_short_one(listed: m.Customer) -> None:
    # The first look of all finds out who asks, too.
    asked(f"{DSAR}?limit=200")
    few, short = asked(f"{DSAR}?limit=200")
    for number in range(6):
        with transaction():
            make_customer(f"D-{number}", f"d{number}@example.com")
        answer(file(subject_id=f"D-{number}"))
        file("rectification", subject_id=f"D-{number}", details="x", identity_by="code")
        if number % 2:
            answer(file("delete", subject_id=f"D-{number}"))
    more, long = asked(f"{DSAR}?limit=200")
    assert more == few
    assert len(long["requests"]) == len(short["requests"]) + 15
    # Each package that was handed out along is recorded by itself.
    shown = [row["id"] for row in long["requests"] if "exportedData" in row]
    assert len(shown) == 3 + 3
    logs = client().get("/api/v1/audit-logs?action=dsar.export.downloaded&limit=100").json()["logs"]
    assert [log["entityId"] for log in logs[: len(shown)]] == shown[::-1]
    assert {str(log["changes"]) for log in logs} == {"{'via': {'new': 'list'}}"}


def test_packages_come_along_up_to_a_limit_and_none_that_just_went(
    listed: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        sizes = sorted(Dossier.objects.values_list("size", flat=True))
    monkeypatch.setattr("dsar.requests.api.INLINE_BYTES_PER_LIST", sizes[0] + sizes[1])
    _, found = asked(DSAR)
    completed = [row for row in found["requests"] if row["status"] == "completed"]
    assert [sum(key in row for row in completed) for key in ("exportedData", "downloadUrl")] == [2, 1]
    assert len(completed) == 4
    fetched = Dossier.objects.__class__.filter

    def gone(self: Any, *given: Any, **more: Any) -> Any:
        # Erased between the look at their sizes and the look at what is in them.
        found = fetched(self, *given, **more)
        return found.none() if "pk__in" in more else found

    monkeypatch.setattr(Dossier.objects.__class__, "filter", gone)
    _, found = asked(DSAR)
    assert not [row for row in found["requests"] if "exportedData" in row]


def test_files_are_counted_for_a_plan_and_named_some_at_a_time(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_OBJECTS_AT_ONCE", 2)
    with transaction():
        for number in range(4):
            m.Attachment.objects.create(
                customer=jane, name="x", size=1, uploaded_at=clock.now(), file=ContentFile(b"x", name=f"{number}")
            )
    filed = file("delete")
    with CaptureQueriesContext(connection) as queries, transaction():
        [line] = [i for i in plans.draft(filed.request, now=clock.now()).items if i["entity"] == "attachmentObject"]
    assert line["count"] == 5
    assert not [query for query in queries if 'SELECT "customers_attachment"."file"' in query["sql"]]
    done = answer(filed)
    assert done.counts["objects"] == {"deleted": 5, "wereMissing": 0}
    with transaction():
        assert ObjectRemoval.objects.of(filed.request.pk).count() == 5


def test_a_plan_that_takes_too_long_is_refused_and_the_command_named(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file("delete")

    def slow(*_given: Any, **_more: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")

    monkeypatch.setattr(plans, "SECONDS", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(plans, "draft", slow)
        refused = client().get(f"{DSAR}/{filed.request.pk}/plan")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "plan_too_large")
    assert "dsar plan" in refused.json()["error"]["message"]
    monkeypatch.setattr(plans, "SECONDS", 5)
    assert client().get(f"{DSAR}/{filed.request.pk}/plan").json()["subject"] == "known"
    assert filed.request.subject_id == NUMBER
