"""The spool by itself, and events through it: nothing lost, nothing twice, nothing silently dropped."""

import base64
import json
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from audit import events, services
from audit.spool import spool
from audit.spool.checks import the_spool_can_be_written_to
from audit.spool.spool import Spool, SpoolFull
from kaireon.api import breakers
from kaireon.lib import clock
from kaireon.ops import gauges, health
from kaireon.tenancy import signals
from kaireon.tenancy.context import PLATFORM, Actor, transaction
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Role, permissions_of
from tests.audit.kills.child import dying
from tests.audit.log import records, verdict
from tests.cast import ACME, ADA, GLOBEX
from tests.ops.stage import database_away
from tests.servers import SUITE

ROOMY = 1024 * 1024


@pytest.fixture
def place(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", limit=ROOMY)


def taken(place: Spool) -> list[bytes]:
    """What is in it, emptied."""
    lines: list[bytes] = []
    with place.taking() as files:
        for file in files:
            lines += [spool.content_of(line) for line in spool.raw_lines(file)]
            place.done(file)
    return lines


class TestSpool:
    def test_it_gives_back_what_it_was_given_once_and_in_order(self, place: Spool) -> None:
        for number in range(3):
            place.append(b"%d" % number)
        assert not place.is_empty()
        assert (place.waiting(), place.aside()) == (3, 0)
        assert taken(place) == [b"0", b"1", b"2"]
        assert place.is_empty()
        assert taken(place) == []
        assert place.size() == 0

    def test_it_is_this_users_alone(self, place: Spool) -> None:
        place.folder.mkdir(mode=0o755)
        place.append(b"x")
        assert place.folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in place.folder.iterdir()} == {0o600}

    def test_it_follows_no_link_that_somebody_put_in_its_place(self, place: Spool, tmp_path: Path) -> None:
        place.append(b"x")
        taken(place)
        (tmp_path / "elsewhere").write_bytes(b"")
        (place.folder / "current.spool").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic links"):
            place.append(b"x")
        assert (tmp_path / "elsewhere").read_bytes() == b""

    def test_it_refuses_what_does_not_fit_and_keeps_the_rest(self, tmp_path: Path) -> None:
        place = Spool(tmp_path / "spool", limit=100)
        kept = 0
        with pytest.raises(SpoolFull):
            while True:
                place.append(b"x" * 10)
                kept += 1
        assert place.size() <= 100
        assert taken(place) == [b"x" * 10] * kept
        place.append(b"x" * 10)

    def test_a_line_cut_short_by_a_crash_spoils_no_other(self, place: Spool) -> None:
        place.append(b"first")
        file = place.folder / "current.spool"
        whole = file.stat().st_size
        place.append(b"cut")
        os.truncate(file, whole + 5)
        place.append(b"next")
        with place.taking() as [only]:
            lines = spool.raw_lines(only)
        assert len(lines) == 3
        assert spool.content_of(lines[0]) == b"first"
        with pytest.raises(spool.Damaged):
            spool.content_of(lines[1])
        assert spool.content_of(lines[2]) == b"next"

    def test_whoever_takes_alone_takes(self, place: Spool) -> None:
        place.append(b"x")
        with place.taking() as files:
            assert len(files) == 1
            with place.taking() as others:
                assert others == []
            # Meanwhile it can be appended to.
            place.append(b"y")
            assert len(place._taken()) == 2

    def test_a_file_that_was_taken_and_not_done_is_taken_again(self, place: Spool) -> None:
        place.append(b"x")
        with place.taking():
            pass
        place.append(b"y")
        assert taken(place) == [b"x", b"y"]

    def test_a_line_is_set_aside_once(self, place: Spool) -> None:
        place.append(b"x")
        assert place.set_aside([b"bad", b"bad", b"worse"]) == 2
        assert place.set_aside([b"worse", b"worst"]) == 1
        assert place.aside() == 3
        assert taken(place) == [b"x"]
        # It waits for somebody, not for the next who takes.
        assert place.is_empty()

    def test_many_threads_lose_nothing(self, place: Spool) -> None:
        def write(writer: int) -> None:
            for number in range(20):
                place.append(b"%d-%d" % (writer, number))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        found: list[bytes] = []
        while any(thread.is_alive() for thread in threads):
            found += taken(place)
        found += taken(place)
        assert sorted(found) == sorted(b"%d-%d" % (w, n) for w in range(4) for n in range(20))
        for writer in range(4):
            mine = [line for line in found if line.startswith(b"%d-" % writer)]
            assert mine == [b"%d-%d" % (writer, n) for n in range(20)]


def refuse(number: int = 0, *, tenant: str = ACME) -> None:
    """A refusal of access, as the views tell of it."""
    principal = Principal(
        actor=Actor(id=str(UUID(int=7)), name="Ed", type="user"),
        tenant_id=tenant,
        tenant_name=tenant,
        role=Role.EDITOR,
        permissions=permissions_of(Role.EDITOR),
    )
    signals.access_refused.send(sender=None, principal=principal, reason=f"test:{number}", request_id=f"req-{number}")


def refusals(tenant: str = ACME) -> list[Any]:
    return [r for r in records(tenant, action="access.refused") if r.entity_id.startswith("test:")]


@pytest.fixture
def away(db: str, superuser_url: str) -> Callable[[], Any]:
    """`with away():` the database lets nobody in."""

    def context() -> Any:
        connections.close_all()
        return database_away(superuser_url, db)

    return context


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


def test_the_command_has_nothing_to_say_of_a_spool_that_never_was_needed(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit_spool", "--replay", "--retry-aside", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["waiting"], said["aside"], said["bytes"], said["broughtIn"]) == (0, 0, 0, 0)


def test_the_command_says_when_there_is_no_database(away: Callable[[], Any]) -> None:
    with away():
        refuse(1)
        with pytest.raises(CommandError, match="nothing is lost"):
            call_command("audit_spool", "--replay")
    assert events.folder().waiting() == 1


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


def test_what_no_column_can_hold_is_replaced_and_stops_nothing(db: str) -> None:
    signals.login_failed.send(sender=None, reason="odd\x00\ud800", user=None, request_id="req-odd")
    assert events.folder().is_empty()
    refuse(1)
    assert len(refusals()) == 1


def test_killed_at_any_call_of_the_system_while_it_spools_an_event_is_there_whole_or_was_never_confirmed(
    away: Callable[[], Any],
) -> None:
    deaths = 0
    with away():
        while dying(partial(refuse, deaths + 1), at_call=deaths + 1):
            deaths += 1
        kept = events.folder().waiting()
    assert deaths > 5
    events.replay()
    found = [int(r.entity_id.removeprefix("test:")) for r in refusals()]
    assert found == sorted(set(found))
    assert found[-1] == deaths + 1
    # Some died when theirs was on the disk already; of one that was cut short the piece stands aside.
    assert len(found) + events.folder().aside() == kept


def test_killed_at_any_call_of_the_system_while_it_replays_each_event_is_there_once(
    away: Callable[[], Any],
) -> None:
    with away():
        for number in range(5):
            refuse(number)
    (events.folder().folder / "current.spool").open("ab").write(b"cut short")
    deaths = 0
    while dying(events.replay, at_call=deaths + 1):
        deaths += 1
    assert deaths > 5
    assert [r.entity_id for r in refusals()] == [f"test:{n}" for n in range(5)]
    assert (events.folder().is_empty(), events.folder().aside()) == (True, 1)


def test_killed_at_any_statement_while_it_replays_each_event_is_there_once(away: Callable[[], Any]) -> None:
    with away():
        for number in range(3):
            refuse(number)
    deaths = 0
    while dying(events.replay, at_statement=deaths + 1):
        deaths += 1
    assert deaths > 5
    assert [r.entity_id for r in refusals()] == [f"test:{n}" for n in range(3)]
    assert events.folder().is_empty()


class TestCheck:
    def test_a_folder_that_cannot_be_written_to_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert the_spool_can_be_written_to(None) == []
        monkeypatch.setattr(settings, "AUDIT_SPOOL_DIR", str(tmp_path / "file" / "spool"))
        assert the_spool_can_be_written_to(None) == []
        (tmp_path / "file").write_text("")
        assert [error.id for error in the_spool_can_be_written_to(None)] == ["kaireon.E050"]

    def test_a_spool_too_small_for_anything_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "AUDIT_SPOOL_BYTES", 10)
        assert [error.id for error in the_spool_can_be_written_to(None)] == ["kaireon.E051"]
