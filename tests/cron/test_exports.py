"""The job `export-interactions`: what it answers, and one tenant's failure."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import override_settings

from compliance.holding import holds
from cron import runner
from cron.models import Trigger
from customers.exporting import exporting
from customers.models import ExportCheckpoint
from kaireon.lib import clock
from kaireon.ops import gauges
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from tests.cast import ADA, MALLORY
from tests.customers.exporting import warehouse


@pytest.fixture
def both(db: str) -> None:
    """Three interactions in Acme, two in Globex."""
    with ADA.here():
        warehouse.some(3)
    with MALLORY.here():
        warehouse.some(2)


def run(**more: Any) -> Any:
    return runner.run_job("export-interactions", trigger=Trigger.COMMAND, **more)


def figures() -> dict[str, float]:
    return {sample.name: sample.value for family in gauges.exports() for sample in family.samples}


def test_it_answers_for_every_tenant(both: None) -> None:
    assert figures() == {"kaireon_export_lag_seconds": 0, "kaireon_export_failed": 0}
    body = run().body
    [acme, globex] = body["tenants"]
    with ADA.here():
        [name] = warehouse.files()
    assert body == {"ok": True, "totalExported": 5, "tenants": [acme, globex]}
    assert acme == {"tenantId": "acme", "tenantName": "Acme", "exported": 3, "filePath": name}
    assert (globex["exported"], globex["filePath"].split("/")[1]) == (2, "globex")
    again = run().body
    assert [entry["filePath"] for entry in again["tenants"]] == [None, None]
    assert again["totalExported"] == 0
    assert figures()["kaireon_export_lag_seconds"] < 60


def test_a_tenants_failure_marks_its_own_checkpoint_and_the_others_are_served(
    both: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = exporting.store

    def full(name: str, content: bytes) -> None:
        if "/acme/" in name:
            raise OSError("no space left")
        store(name, content)

    monkeypatch.setattr(exporting, "store", full)
    ran = run()
    [acme, globex] = ran.body["tenants"]
    assert (ran.ok, ran.body["error"]) == (False, "1 of 2 tenants failed")
    assert (acme["exported"], acme["error"], globex["exported"]) == (0, "OSError", 2)
    with ADA.here(), transaction():
        assert ExportCheckpoint.objects.get().error == "OSError"
    (line,) = [record for record in caplog.records if record.getMessage() == "job_failed" and record.exc_info]
    assert line.__dict__["tenant"] == "acme"
    assert figures()["kaireon_export_failed"] == 1
    monkeypatch.setattr(exporting, "store", store)
    assert run().body["totalExported"] == 3
    assert figures()["kaireon_export_failed"] == 0


def test_a_dry_run_counts_and_writes_nothing(both: None) -> None:
    ran = run(dry_run=True)
    assert [outcome["waiting"] for outcome in ran.run.outcomes] == [3, 2]
    with ADA.here():
        assert not warehouse.files()


def test_a_hold_keeps_files_past_their_time(both: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    later = clock.now() + timedelta(days=30)
    monkeypatch.setattr(clock, "now", lambda: later)
    with MALLORY.here(), transaction():
        holds.place_hold(data_class="interactions", reason="litigation", actor=MALLORY.actor, now=later)
    with override_settings(EXPORT_INTERACTIONS_DAYS=7):
        ran = run()
    assert ran.ok
    assert [outcome["filesExpired"] for outcome in ran.run.outcomes] == [1, 0]
    assert not default_storage.exists(ran.run.outcomes[0]["filePath"] or "nothing")
    with ADA.here():
        assert not warehouse.files()
    with MALLORY.here():
        assert len(warehouse.files("globex")) == 1


def test_a_hold_that_is_placed_while_files_expire_keeps_the_rest(both: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    later = clock.now() + timedelta(days=30)
    monkeypatch.setattr(clock, "now", lambda: later)
    expire = exporting.expire

    def held_meanwhile(**given: Any) -> int:
        if context.tenant_id() == MALLORY.tenant_id:
            with transaction():
                holds.place_hold(data_class="interactions", reason="litigation", actor=MALLORY.actor, now=later)
        return expire(**given)

    monkeypatch.setattr(exporting, "expire", held_meanwhile)
    with override_settings(EXPORT_INTERACTIONS_DAYS=7):
        ran = run()
    assert [outcome["filesExpired"] for outcome in ran.run.outcomes] == [1, 0]
    with MALLORY.here():
        assert len(warehouse.files("globex")) == 1
