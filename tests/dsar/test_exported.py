"""Erasure and the files that were exported before it."""

import json

import pytest
from django.core.files.storage import default_storage
from django.test import override_settings

from customers import models as m
from customers.exporting import exporting
from customers.exporting.exporting import Exported
from dsar.certifying import certificates
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.customers.exporting import warehouse
from tests.dsar.conftest import EMAIL, NUMBER, again, answer, file


def export() -> Exported:
    warehouse.settled()
    exported = Exported()
    exporting.export(exported, now=clock.now(), budget=Budget(60))
    return exported


def everything() -> bytes:
    """All there is under the folder of exports, manifests too."""
    found = b"".join(warehouse.readable(content) for content in warehouse.files().values())
    return found + json.dumps(warehouse.manifests()).encode()


@pytest.mark.parametrize("form", ["ndjson", "parquet"])
def test_nothing_of_the_person_is_left_in_exported_files(jane: m.Customer, form: str) -> None:
    with override_settings(EXPORT_INTERACTIONS_FORMAT=form):
        assert export().rows == 6
    planted = (NUMBER, EMAIL, str(jane.pk), *(row["id"] for row in warehouse.rows() if row["customerId"] == NUMBER))
    assert all(secret.encode() in everything() for secret in planted if secret != EMAIL)
    request = answer(file("delete"))
    assert (request.status, request.outcome) == ("completed", "completed")
    assert not [secret for secret in planted if secret.encode() in everything()]
    assert {row["customerId"] for row in warehouse.rows()} == {"C-99"}
    assert request.counts["exports"] == {"files": 1, "rows": 3}
    # The attachment, and the file that was replaced.
    assert request.counts["objects"] == {"deleted": 2, "wereMissing": 0}
    warehouse.check()
    certificates.seal_log()
    with transaction():
        row = certificates.issue(request, now=clock.now())
    said = json.loads(bytes(row.content))["certificate"]
    assert said["counts"]["exports"] == {"files": 1, "rows": 3}
    assert export().rows == 0


def test_storage_that_fails_is_finished_later(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    export()

    def away(name: str, content: bytes) -> None:
        raise OSError("away")

    monkeypatch.setattr(exporting, "store", away)
    filed = file("delete")
    answer(filed)
    assert again(filed).status == "processing"
    assert NUMBER.encode() in everything()
    monkeypatch.undo()
    with transaction():
        type(filed.job).objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    runner.run(job_id=filed.job.pk)
    assert again(filed).status == "completed"
    assert NUMBER.encode() not in everything()


def test_an_erasure_beside_an_export_waits_and_is_tried_again(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    export()
    monkeypatch.setattr(exporting, "PATIENCE", 0.2)
    filed = file("delete")
    with exporting.only_writer():
        answer(filed)
    request = again(filed)
    assert (request.status, request.erased_at is not None) == ("processing", True)
    assert default_storage.exists(next(iter(warehouse.files())))
