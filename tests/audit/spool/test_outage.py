"""Events while the database is away: what is kept on disk, how, and when a request is refused instead."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError

from audit import events, services
from kaireon.api import breakers
from kaireon.lib import clock
from kaireon.ops import gauges, health
from kaireon.tenancy import signals
from kaireon.tenancy.context import PLATFORM
from tests.audit.log import verdict
from tests.audit.spool.events import refusals, refuse
from tests.cast import ACME, GLOBEX


def test_what_is_recorded_meanwhile_is_there_afterwards_once_with_its_own_time(away: Callable[[], Any]) -> None:
    refuse(0)
    with away():
        before = clock.now()
        for number in (1, 2):
            refuse(number)
        refuse(3, tenant=GLOBEX)
        signals.login_failed.send(sender=None, reason="unavailable", user=None, request_id="req-4")
        after = clock.now()
        with pytest.raises(OperationalError):
            events.replay()
    assert events.folder().waiting() == 4

    assert events.replay() == 4
    assert events.replay() == 0
    assert events.folder().is_empty()
    now, *late = refusals()
    assert now.changes == {"role": "editor"}
    assert [r.entity_id for r in late] == ["test:1", "test:2"]
    for record in late:
        assert record.changes == {"role": "editor", "late": True}
        assert before <= record.timestamp <= after
        assert (record.user_id, record.user_name, record.actor_type) == (str(UUID(int=7)), "Ed", "user")
        assert record.request_id == record.entity_id.replace("test:", "req-")
    assert [r.entity_id for r in refusals(GLOBEX)] == ["test:3"]
    assert verdict(ACME).intact


def test_failed_sign_ins_go_to_the_log_of_the_platform(away: Callable[[], Any], superuser_url: str) -> None:
    with away():
        signals.login_failed.send(sender=None, reason="unavailable", user=None, request_id="req-late")
    events.replay()
    services.drain(PLATFORM)
    with psycopg.connect(superuser_url) as root:
        found = root.execute("SELECT tenant_id, action, changes FROM audit_record WHERE request_id = 'req-late'")
        assert found.fetchall() == [
            (PLATFORM, "auth.login_failed", {"reason": "unavailable", "late": True}),
        ]


def test_nothing_of_it_can_be_read_on_the_disk(away: Callable[[], Any]) -> None:
    with away():
        refuse(1)
    [line] = (events.folder().folder / "current.spool").read_bytes().splitlines()
    sealed = base64.b64decode(line.split()[1], validate=True)
    assert b"access" not in sealed
    assert len(sealed) > 300


def test_a_full_spool_refuses_instead_of_losing(
    away: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "AUDIT_SPOOL_BYTES", 4000)
    kept = 0
    with away(), pytest.raises(OperationalError, match="spool takes nothing"):
        while True:
            refuse(kept)
            kept += 1
    assert kept > 0
    assert [vars(r)["error_type"] for r in caplog.records if r.message == "event_not_recorded"] == ["SpoolFull"]
    assert events.replay() == kept
    assert len(refusals()) == kept


def test_a_disk_that_refuses_does_so_too(away: Callable[[], Any], tmp_path: Path) -> None:
    events.folder().folder.parent.mkdir(parents=True, exist_ok=True)
    events.folder().folder.write_text("in the way")
    try:
        with away(), pytest.raises(OperationalError, match="spool takes nothing"):
            refuse(1)
    finally:
        events.folder().folder.unlink()


def test_readiness_and_gauges_tell_of_it(away: Callable[[], Any]) -> None:
    def told() -> tuple[bool, bool, dict[str, float]]:
        figures = {sample.name: sample.value for metric in gauges.spool() for sample in metric.samples}
        return health.audit_events_spooled(), health.audit_events_set_aside(), figures

    limit = {"kaireon_audit_spool_limit_bytes": settings.AUDIT_SPOOL_BYTES}
    nothing = {f"kaireon_audit_spool_{what}": 0 for what in ("bytes", "records", "aside_records")}
    assert told() == (False, False, nothing | limit)
    with away():
        refuse(1)
        refuse(2)
        file = events.folder().folder / "current.spool"
        size = file.stat().st_size
        waiting = {"kaireon_audit_spool_bytes": size, "kaireon_audit_spool_records": 2}
        assert told() == (True, False, nothing | limit | waiting)
    file.write_bytes(file.read_bytes().replace(b" ", b"0", 1))
    events.replay()
    left = {"kaireon_audit_spool_bytes": size // 2, "kaireon_audit_spool_aside_records": 1}
    assert told() == (False, True, nothing | limit | left)


def test_an_open_breaker_sends_events_to_the_spool_at_once(
    away: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CIRCUIT_BREAKER_ENABLED", True)
    with away():
        for number in range(breakers.FAILURES):
            refuse(number)
        assert breakers.states()["database"] == 2
    # The database is back, and is left alone for a while.
    refuse(breakers.FAILURES)
    assert events.folder().waiting() == breakers.FAILURES + 1
    assert events.replay() == breakers.FAILURES + 1
    assert [r.entity_id for r in refusals()] == [f"test:{n}" for n in range(breakers.FAILURES + 1)]
