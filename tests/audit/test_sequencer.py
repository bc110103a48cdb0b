"""From inbox to log: complete, gap-free, in order, whoever races, dies or brings odd values."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from threading import Event, Thread

import psycopg
import pytest
from django.db import connections

import audit
from audit import sequencer, services
from kaireon.tenancy import tenants
from kaireon.tenancy.context import PLATFORM, Actor, platform_scope, scope, transaction
from tests.audit.log import WRITER, records, verdict, write
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")


def waiting(superuser: psycopg.Connection, tenant: str = ACME) -> int:
    row = superuser.execute("SELECT count(*) FROM audit_inbox WHERE tenant_id = %s", [tenant]).fetchone()
    return row[0] if row else 0


def empty_inboxes() -> None:
    while sequencer.sweep():
        pass


def test_it_sequences_in_batches() -> None:
    empty_inboxes()
    assert not sequencer.is_any_waiting()
    write(25, tenant=ACME)
    assert sequencer.is_any_waiting()

    assert [sequencer.sweep(batch=10) for _ in range(4)] == [10, 10, 5, 0]
    assert verdict(ACME).intact


def test_it_takes_large_records_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    empty_inboxes()
    monkeypatch.setattr(sequencer, "BATCH_BYTES", 1000)
    for number in range(3):
        write(tenant=ACME, first=number, changes={"noise": os.urandom(2000).hex()})

    assert [sequencer.sweep() for _ in range(4)] == [1, 1, 1, 0]
    assert [r.entity_id for r in records(ACME, action="test.event")] == ["0", "1", "2"]


def test_it_keeps_the_order_in_which_records_were_made() -> None:
    for first in (0, 10, 20):
        write(10, tenant=ACME, first=first)

    assert [r.entity_id for r in records(ACME, action="test.event")] == [str(n) for n in range(30)]


def test_it_serves_more_tenants_than_fit_one_transaction() -> None:
    names = [f"tenant-{n:02d}" for n in range(7)]
    for name in names:
        tenants.create_tenant(tenant_id=name, name=name, actor=WRITER)
    empty_inboxes()
    for name in names:
        write(2, tenant=name)

    assert sequencer.sweep(batch=3) == 14
    for name in names:
        assert [r.seq for r in records(name)] == [1, 2]
        assert verdict(name).intact


def test_it_keeps_what_belongs_to_no_tenant_in_the_log_of_the_platform(superuser: psycopg.Connection) -> None:
    with platform_scope(actor=Actor.system()), transaction():
        audit.record(action="beat.edit", entity_type="Schedule", entity_id="7", platform=True)
    services.drain(PLATFORM)

    found = superuser.execute("SELECT tenant_id FROM audit_record WHERE action = 'beat.edit'").fetchall()
    assert found == [(PLATFORM,)]
    with platform_scope(actor=Actor.system()):
        assert verdict(PLATFORM).intact


def test_it_passes_by_a_tenant_that_somebody_is_at(superuser: psycopg.Connection) -> None:
    empty_inboxes()
    write(3, tenant=ACME)
    write(2, tenant=GLOBEX)
    superuser.execute("SELECT pg_advisory_lock(hashtextextended('audit:acme', 0))")

    assert sequencer.sweep() == 2
    superuser.execute("SELECT pg_advisory_unlock_all()")
    assert sequencer.sweep() == 3


def test_a_drain_waits_for_whoever_is_at_it(superuser: psycopg.Connection) -> None:
    empty_inboxes()
    write(3, tenant=ACME)
    superuser.execute("SELECT pg_advisory_lock(hashtextextended('audit:acme', 0))")
    drained = Event()
    reader = Thread(target=closing(lambda: (services.drain(ACME), drained.set())))
    reader.start()

    assert not drained.wait(0.3)
    superuser.execute("SELECT pg_advisory_unlock_all()")
    assert drained.wait(10)
    reader.join()
    assert waiting(superuser) == 0


def test_a_tenant_that_cannot_be_sequenced_stops_nobody_else(
    superuser: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    empty_inboxes()
    write(tenant=ACME)
    empty_inboxes()
    # Somebody forged the record that comes next: the number is taken.
    superuser.execute("SET session_replication_role = replica")
    superuser.execute(
        "INSERT INTO audit_record SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),"
        " 'seq', r.seq + 1))).* FROM audit_record r WHERE tenant_id = 'acme' ORDER BY seq DESC LIMIT 1"
    )
    write(2, tenant=ACME)
    write(2, tenant=GLOBEX)

    assert sequencer.sweep() == 2
    assert waiting(superuser, GLOBEX) == 0
    assert waiting(superuser, ACME) == 2
    assert [r.message for r in caplog.records if r.name == sequencer.logger.name] == ["tenant_not_sequenced"]


def closing(work: Callable[[], object]) -> Callable[[], None]:
    """`work` for a thread, whose connections nobody else would close."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    return run


def test_writers_sequencers_and_readers_may_race() -> None:
    logs = (ACME, GLOBEX)
    before = {tenant: len(records(tenant)) for tenant in logs}
    writing_ended = Event()
    failures: list[Exception] = []

    def writer(place: int) -> None:
        for turn in range(25):
            for tenant in logs:
                write(2, tenant=tenant, first=(place * 100 + turn) * 2)

    def sweeper() -> None:
        while not writing_ended.is_set():
            sequencer.sweep(batch=7)

    def reader() -> None:
        while not writing_ended.is_set():
            for tenant in logs:
                services.drain(tenant)

    def noting(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - asserted on below
                failures.append(error)

        return closing(run)

    writers = [Thread(target=noting(lambda place=place: writer(place))) for place in range(4)]
    others = [Thread(target=noting(work)) for work in (sweeper, sweeper, reader, reader)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    writing_ended.set()
    for thread in others:
        thread.join()

    assert failures == []
    for tenant in logs:
        log = records(tenant)
        assert [r.seq for r in log] == list(range(1, before[tenant] + 200 + 1))
        assert len({r.entity_id for r in log if r.action == "test.event"}) == 200
        assert verdict(tenant).intact


_DIES_BEFORE_COMMIT = """
import django, time
django.setup()
from django.db import transaction
from audit import sequencer
with transaction.atomic(using=sequencer.ALIAS):
    print(sequencer.sweep(), flush=True)
    time.sleep(60)
"""


def test_killed_between_append_and_commit_it_leaves_the_inbox_as_it_was(superuser: psycopg.Connection) -> None:
    empty_inboxes()
    known = len(records(ACME))
    write(5, tenant=ACME)
    with subprocess.Popen([sys.executable, "-c", _DIES_BEFORE_COMMIT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "5\n"
        process.send_signal(signal.SIGKILL)
    assert waiting(superuser) == 5

    log = records(ACME)
    assert [r.seq for r in log] == list(range(1, known + 5 + 1))
    assert verdict(ACME).intact


UNUSUAL = {
    "beyond a double": "1e21",
    "2^53+1": "9007199254740993",
    "2^63-1": "9223372036854775807",
    "more digits than a double": "0.1000000000000000055",
    "digits on both sides": "12345678.123456789",
    "a very small number": "1e-400",
    "a very large number": "1e400",
    "minus zero": "-0.0",
    "an exponent": "1e-7",
    "text like a number": '["NaN", "Infinity", "1e21", "0x10"]',
    "text of many scripts": '"Ωμέγα 漢字 עברית \\ud834\\udd1e \\u2028 \\uffff \\u0001"',
    "a key beyond ascii": '{"\\uffff": 1, "\\ud834\\udd1e": 2, "": 3}',
    "quotes and backslashes": '"\\\\ \\" \' %s $$ {}"',
    "nested deeply": "[" * 300 + "]" * 300,
    # The row goes as deep as can be read, what changed goes one deeper; then the row does not either.
    "nested as deep as can be": "[" * 197 + "]" * 197,
    "nested as deep as a row can be": "[" * 198 + "]" * 198,
    "nested one too deep": "[" * 199 + "]" * 199,
    "five megabytes": '"' + "x" * 5_000_000 + '"',
    "keys that differ in normalisation only": '{"\\u00e9": 1, "e\\u0301": 2}',
    "the word null": "null",
}


@pytest.mark.parametrize("value", UNUSUAL.values(), ids=UNUSUAL)
def test_no_value_stops_a_log(value: str, superuser: psycopg.Connection) -> None:
    settings = {"app.tenant_id": ACME, "app.actor_type": "job", "app.request_id": "req-odd"}
    # The application may not delete keys; the triggers are the same for everybody.
    with superuser.transaction():
        for name, setting in settings.items():
            superuser.execute("SELECT set_config(%s, %s, true)", [name, setting])
        superuser.execute(
            "UPDATE tenancy_apikey SET scopes = jsonb_build_array(%s::jsonb) WHERE prefix = 'vi'", [value]
        )
        superuser.execute(
            "INSERT INTO tenancy_apikey SELECT (jsonb_populate_record(k,"
            " jsonb_build_object('id', gen_random_uuid(), 'prefix', 'odd'))).* FROM tenancy_apikey k"
            " WHERE prefix = 'vi'"
        )
        superuser.execute("DELETE FROM tenancy_apikey WHERE prefix = 'odd'")
    write(tenant=ACME)

    assert [r.action for r in records(ACME, request_id="req-odd")] == ["update", "create", "delete"]
    assert len(records(ACME, action="test.event")) == 1
    assert verdict(ACME).intact


def test_numbers_that_json_cannot_carry_are_kept_as_text() -> None:
    with ADA.here("req-odd"), transaction(), connections["default"].cursor() as cursor:
        cursor.execute("UPDATE tenancy_apikey SET scopes = '[1e21, 9007199254740993, 1.5]' WHERE prefix = 'vi'")

    [record] = records(ACME, request_id="req-odd")
    exact = ["1000000000000000000000", "9007199254740993", 1.5]
    assert record.after["scopes"] == exact
    assert record.changes["scopes"][1] == exact


def test_an_event_with_any_id_is_sequenced() -> None:
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        audit.record(action="test.long", entity_type="Thing", entity_id=os.urandom(20_000).hex())
    write(tenant=ACME)

    assert len(records(ACME, action="test.long")) == 1
    assert len(records(ACME, action="test.event")) == 1


def test_the_command_empties_the_inboxes_once_and_ends(superuser: psycopg.Connection) -> None:
    write(3, tenant=ACME)
    subprocess.run([sys.executable, "manage.py", "audit_sequencer", "--once"], check=True, timeout=60)

    assert waiting(superuser) == 0
    assert verdict(ACME).intact
