"""What the spool keeps comes in once, or is set aside and told."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connections

from audit import events
from kaireon.lib import clock
from kaireon.tenancy import signals
from kaireon.tenancy.context import transaction
from tests.audit.spool.events import refusals, refuse
from tests.cast import ADA
from tests.servers import SUITE


def test_what_cannot_be_used_is_set_aside_and_told_and_can_be_tried_again(
    away: Callable[[], Any], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with away():
        for number in range(3):
            refuse(number)
    file = events.folder().folder / "current.spool"
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    broken = bytearray(lines[1])
    broken[40] ^= 1
    file.write_bytes(lines[0] + bytes(broken) + lines[2])

    assert events.replay() == 2
    assert [r.entity_id for r in refusals()] == ["test:0", "test:2"]
    assert [vars(r)["records"] for r in caplog.records if r.message == "events_set_aside"] == [1]
    call_command("audit_spool", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["waiting"], said["aside"], said["broughtIn"]) == (0, 1, 0)

    # Somebody mends the file.
    aside = events.folder().folder / "aside.spool"
    assert aside.read_bytes() == bytes(broken)
    aside.write_bytes(lines[1])
    call_command("audit_spool", "--retry-aside")
    assert "Brought in: 1." in capsys.readouterr().out
    assert events.folder().aside() == 0
    assert [r.entity_id for r in refusals()] == ["test:0", "test:2", "test:1"]


def test_an_event_sealed_by_a_key_that_is_gone_waits_for_it(
    away: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with away():
        refuse(1)
    with monkeypatch.context() as changed:
        changed.setattr(settings, "SEALING_KEYS", "v2:" + "A" * 43 + "=")
        assert events.replay() == 0
    assert events.folder().aside() == 1
    call_command("audit_spool", "--retry-aside", "--json")
    assert [r.entity_id for r in refusals()] == ["test:1"]


@pytest.mark.parametrize("off", [timedelta(days=-31), timedelta(minutes=6)])
def test_the_database_takes_no_event_from_another_time(off: timedelta, away: Callable[[], Any], db: str) -> None:
    with away(), clock.freeze(clock.now() + off):
        refuse(1)
    with away():
        refuse(2)
    assert events.replay() == 1
    assert [r.entity_id for r in refusals()] == ["test:2"]
    assert events.folder().aside() == 1


def test_an_event_of_a_clock_that_is_a_little_ahead_is_taken(away: Callable[[], Any]) -> None:
    ahead = clock.now() + timedelta(minutes=2)
    with away(), clock.freeze(ahead):
        refuse(1)
    assert events.replay() == 1
    [record] = refusals()
    assert record.timestamp == ahead


def test_one_whose_answer_got_lost_is_there_once(monkeypatch: pytest.MonkeyPatch, db: str) -> None:
    """The connection breaks when it was committed already: nobody can know, so it is kept as well."""
    stored = events._store

    def lost(event: events.Event, **how: Any) -> bool:
        stored(event, **how)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as changed:
        changed.setattr(events, "_store", lost)
        refuse(1)
    assert events.folder().waiting() == 1
    assert events.replay() == 0
    assert events.folder().is_empty()
    [record] = refusals()
    assert record.changes == {"role": "editor"}


def test_it_is_refused_inside_a_transaction(db: str) -> None:
    with ADA.here(), transaction(), pytest.raises(events.InTransaction):
        refuse(1)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT audit_event_once(gen_random_uuid(), NULL, false, 'a', 'b', 'c', NULL, NULL)",
        "INSERT INTO audit_arrival VALUES ('acme', gen_random_uuid(), now())",
        "SELECT * FROM audit_arrival",
        "DELETE FROM audit_arrival",
    ],
)
def test_the_application_records_none_without_an_actor_nor_past_the_function(statement: str, db: str) -> None:
    with psycopg.connect(SUITE.urls(db)["default"]) as app:
        app.execute("SELECT set_config('app.tenant_id', 'acme', true)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement.encode())


def test_old_arrivals_are_forgotten_and_young_ones_cannot_be(db: str, superuser_url: str) -> None:
    refuse(1)
    refuse(2)
    with psycopg.connect(superuser_url, autocommit=True) as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            "UPDATE audit_arrival SET arrived_at = arrived_at - interval '32 days'"
            " WHERE event_id = (SELECT event_id FROM audit_arrival ORDER BY arrived_at LIMIT 1)"
        )
        count = "SELECT count(*) FROM audit_arrival"
        assert events.forget_arrivals() == 1
        assert root.execute(count).fetchone() == (1,)
        with connections["sequencer"].cursor() as cursor:
            cursor.execute("DELETE FROM audit_arrival WHERE arrived_at < now()")
            assert cursor.rowcount == 0
        assert root.execute(count).fetchone() == (1,)


def test_what_no_column_can_hold_is_replaced_and_stops_nothing(db: str) -> None:
    signals.login_failed.send(sender=None, reason="odd\x00\ud800", user=None, request_id="req-odd")
    assert events.folder().is_empty()
    refuse(1)
    assert len(refusals()) == 1
