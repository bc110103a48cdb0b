"""Each interaction leaves once, whenever it was committed, and what is in storage is what the manifests say."""

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, connections

from customers.exporting import arrivals, exporting, lines, manifests
from customers.models import ExportBatch, ExportCheckpoint, ObjectRemoval
from kaireon import env
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction
from tests.cast import ADA, GLOBEX, MALLORY
from tests.customers.conftest import NOW, bring, customer, purchase
from tests.customers.exporting import warehouse
from tests.customers.exporting.warehouse import MOMENT, export, files, ids, in_database, rows, some, writer


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    monkeypatch.setattr(exporting, "PATIENCE", 0.2)


ODD = 'Spätzle \\ "x","context":{"n":12345678901234567890},"createdAt":"'
LINES = ODD + "\n\u2028\t\x1f"


def in_order() -> list[str]:
    with transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM public.customers_interaction ORDER BY arrival, id")
        return [key for (key,) in cursor.fetchall()]


def checkpoint() -> ExportCheckpoint:
    with transaction():
        return ExportCheckpoint.objects.get()


def test_the_first_run_begins_at_the_beginning_and_makes_the_checkpoint(ada: None) -> None:
    some(25)
    exported = export()
    assert (exported.rows, exported.files, exported.finished) == (25, 3, True)
    assert sorted(ids()) == sorted(in_database())
    assert checkpoint().caught_up_at == NOW
    warehouse.check()
    assert export().rows == 0
    assert len(files()) == 3


def test_a_line_says_all_of_an_interaction_as_the_api_does(ada: None) -> None:
    bring("customers", {"customerId": "c-1"})
    told = purchase("o-1", offer='Spätzle \\ "x"', context={"a": [1, {"b": "\u2028"}], "n": 12345678901234567890})
    assert bring("interactions", told).created == 1
    export()
    [row] = rows()
    assert row["customerRef"] == str(customer().pk)
    assert row["occurredAt"] == "2026-01-10T10:00:00.000000Z"
    assert (
        row
        | {
            "customerId": "c-1",
            "externalId": "o-1",
            "kind": "purchase",
            "offer": told["offer"],
            "quantity": 2,
            "amount": "11.7700",
            "currency": "USD",
            "context": {"a": [1, {"b": "\u2028"}], "n": "12345678901234567890"},
        }
        == row
    )


def test_others_numbers_are_exact_whatever_else_looks_like_one(ada: None) -> None:
    bring("customers", {"customerId": "c-1"})
    odd = 'a,"context":{"n":12345678901234567890},"createdAt":"'
    told = [
        purchase("1234567890123456", context={"plain": 5, "word": "1234567890123456789"}, quantity=None),
        purchase("1234567890123457", offer=odd, context={"n": 12345678901234567890, "d": 0.1, "x": {"y": [1e21]}}),
        purchase("o-3", amount=None, context=None),
    ]
    assert bring("interactions", *told).created == 3
    export()
    found = {row["externalId"]: row for row in rows()}
    assert found["1234567890123456"]["context"] == {"plain": 5, "word": "1234567890123456789"}
    assert found["1234567890123456"]["quantity"] is None
    exact = found["1234567890123457"]
    assert (exact["offer"], exact["context"]["n"], exact["context"]["d"]) == (odd, "12345678901234567890", 0.1)
    assert exact["context"]["x"]["y"] == ["1000000000000000000000"]
    assert found["o-3"]["amount"] is None


def test_a_file_lies_under_the_day_it_was_cut_on(ada: None) -> None:
    some(11)
    exported = export()
    first, second = sorted(files())
    assert first == "exports/acme/interaction_history/year=2026/month=01/day=15/batch-20260115T120000000000Z.json"
    assert second == exported.path == first.replace("000000Z", "000001Z")


def test_of_a_clock_that_was_set_back_files_still_sort_as_they_came(ada: None) -> None:
    some(3)
    export()
    some(3, customer="c-2")
    export(now=NOW - timedelta(days=1))
    first, second = sorted(files())
    assert b'"c-2"' in files()[second]
    assert first < second


@pytest.mark.parametrize("form", [".json", ".parquet"], indirect=True)
def test_one_that_was_committed_late_with_an_older_time_and_id_is_exported_then(ada: None, form: str) -> None:
    some(5)
    early = uuid7()
    some(5, customer="c-2")
    with writer(customer().pk) as late, writer(customer().pk) as later:
        [one] = late.write(ids=[early], at=MOMENT - timedelta(hours=1))
        [other] = later.write()
        later.commit()
        # What came behind the open one waits for it: nobody can tell yet what lies in between.
        export(beside_others=True)
        assert one not in ids()
        assert other not in ids()
        assert checkpoint().caught_up_at is None
        late.commit()
        export()
    assert sorted(ids()) == sorted(in_database())
    assert {one, other} <= set(ids())
    assert checkpoint().caught_up_at == NOW
    warehouse.check()


def test_one_that_was_rolled_back_holds_nothing_up(ada: None) -> None:
    some(2)
    with writer(customer().pk) as one:
        one.write()
        one.roll_back()
        some(2, customer="c-2")
        assert export().rows == 4


def test_many_of_one_transaction_and_of_one_moment_are_cut_into_batches(ada: None) -> None:
    some(1)
    with writer(customer().pk) as one:
        one.write(37, at=MOMENT)
        one.commit()
    exported = export()
    assert (exported.rows, exported.files) == (38, 4)
    assert sorted(ids()) == sorted(in_database())


def test_those_that_come_while_it_runs_are_each_exported_once(ada: None) -> None:
    """Writers that take their time, roll back and overlap, beside exports that run all the while."""
    some(1)
    whose = customer().pk
    over = threading.Event()
    committed: list[str] = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with writer(whose) as mine:
            for _ in range(25):
                keys = mine.write(chance.randint(1, 7), at=MOMENT + timedelta(seconds=chance.randint(-3600, 3600)))
                over.wait(chance.random() * 0.05)
                if chance.random() < 0.2:
                    mine.roll_back()
                else:
                    mine.commit()
                    committed.extend(keys)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in writers:
        thread.start()
    runs = 0
    try:
        while any(thread.is_alive() for thread in writers):
            export(now=NOW + timedelta(seconds=runs), seconds=0, beside_others=True)
            runs += 1
    finally:
        for thread in writers:
            thread.join()
    export(now=NOW + timedelta(seconds=runs))
    found = ids()
    assert len(found) == len(set(found))
    assert set(found) == in_database()
    assert set(committed) <= set(found)
    assert runs > 1
    warehouse.check()


def test_out_of_time_the_next_run_goes_on(ada: None) -> None:
    some(35)
    exported = export(seconds=0)
    assert (exported.rows, exported.finished) == (10, False)
    assert checkpoint().caught_up_at is None
    while not export(seconds=0).finished:
        pass
    assert sorted(ids()) == sorted(in_database())


@pytest.mark.parametrize("form", [".json", ".json.gz", ".parquet"], indirect=True)
def test_files_of_every_form_say_the_same_in_the_same_order(ada: None, form: str) -> None:
    some(5)
    bring("customers", {"customerId": "c-2"})
    told = [
        purchase("o-1", "c-2", offer=ODD, context={"n": 12345678901234567890, "x": [LINES, {"context": 1e21}]}),
        purchase(
            "o-2", "c-2", offer=ODD, context={"z": 5, "a": None}, quantity=-(10**12), amount="-99999999999999.9999"
        ),
        purchase("o-3", "c-2", quantity=None, amount=None, context=None),
    ]
    assert bring("interactions", *told).created == 3
    exported = export()
    assert exported.path is not None
    assert exported.path.endswith(f"Z{form}")
    found = rows()
    assert [row["id"] for row in found] == in_order()
    last = {row["externalId"]: row for row in found[5:]}
    assert [last["o-1"][name] for name in ("offer", "quantity", "amount")] == [ODD, 2, "11.7700"]
    assert last["o-1"]["context"] == {"n": "12345678901234567890", "x": [LINES, {"context": "1000000000000000000000"}]}
    assert (last["o-2"]["quantity"], last["o-2"]["amount"]) == (-(10**12), "-99999999999999.9999")
    assert [last["o-3"][name] for name in ("quantity", "amount", "context")] == [None, None, {}]
    assert {row["occurredAt"] for row in found} == {"2026-01-10T10:00:00.000000Z"}
    assert list(found[0]) == list(lines.FIELDS)
    warehouse.check()


def test_each_tenant_has_its_own(ada: None) -> None:
    some(3)
    export()
    with MALLORY.here():
        some(4, customer="g-1")
        assert export().rows == 4
        assert len(rows(GLOBEX)) == 4
    assert len(rows()) == 3
    assert not {row["customerId"] for row in rows()} & {"g-1"}


KILLED = """
import os, signal, sys
import django; django.setup()
from customers.exporting import exporting, manifests
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import Actor, scope
from tests.customers.conftest import NOW

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

exporting.BATCH_ROWS = 10
if sys.argv[1] == "before the file":
    exporting.store = die
elif sys.argv[1] == "in the middle of the file":
    save = exporting.default_storage.save
    exporting.default_storage.save = lambda name, content: (save(name, type(content)(content.read(40))), die())
elif sys.argv[1] == "after the file":
    exporting.removals.claim = die
elif sys.argv[1] == "before the manifest":
    manifests.put = die
with scope(tenant_id="acme", actor=Actor.system()):
    exporting.export(exporting.Exported(), now=NOW, budget=Budget(60))
"""


@pytest.mark.parametrize(
    "moment", ["before the file", "in the middle of the file", "after the file", "before the manifest"]
)
def test_killed_anywhere_the_next_run_leaves_each_once(ada: None, moment: str) -> None:
    some(25)
    ended = subprocess.run([sys.executable, "-c", KILLED, moment], env=os.environ, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    export(now=NOW + timedelta(minutes=1))
    assert sorted(ids()) == sorted(in_database())
    assert len(warehouse.manifests()) == 3
    warehouse.check()
    with transaction():
        assert not ObjectRemoval.objects.exists()


def test_storage_that_goes_away_half_way_is_said_and_made_up_for(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    some(25)
    saved: list[str] = []
    save = default_storage.save

    def full(name: str, content: Any, **more: Any) -> str:
        if "batch-" in name and len(saved) == 1:
            raise OSError("no space left on device")
        saved.extend([name] if "batch-" in name else [])
        return str(save(name, content, **more))

    monkeypatch.setattr(default_storage._wrapped, "save", full)
    exported = exporting.Exported()
    with pytest.raises(OSError, match="no space"):
        exporting.export(exported, now=NOW, budget=exporting.Budget(60))
    assert exported.rows == 10
    assert (checkpoint().failed_at, checkpoint().error) == (NOW, "OSError")
    monkeypatch.undo()
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    export()
    assert checkpoint().failed_at is None
    assert sorted(ids()) == sorted(in_database())
    warehouse.check()


def test_two_do_not_write_at_once(ada: None) -> None:
    some(3)
    with exporting.only_writer(), pytest.raises(exporting.ExportUnderWay):
        export()
    assert not files()


def test_whoever_lost_the_lock_writes_nothing_twice(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    some(25)
    store = exporting.store

    def overtaken(name: str, content: bytes) -> None:
        monkeypatch.setattr(exporting, "store", store)
        export(now=NOW + timedelta(minutes=1))
        store(name, content)

    monkeypatch.setattr(exporting, "only_writer", nullcontext)
    monkeypatch.setattr(exporting, "remove_leftovers", lambda now: None)
    monkeypatch.setattr(exporting, "store", overtaken)
    with pytest.raises(exporting.ExportUnderWay):
        export()
    monkeypatch.undo()
    export(now=NOW + timedelta(minutes=2))
    assert sorted(ids()) == sorted(in_database())
    warehouse.check()


def test_what_was_erased_since_it_was_looked_at_is_passed_by(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    some(3)
    monkeypatch.setattr(lines, "read", lambda found: [])
    exported = export()
    assert (exported.rows, exported.finished, len(files())) == (0, True, 0)


def test_numbers_of_another_server_are_refused_until_they_are_put_right(
    ada: None, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(3)
    with psycopg.connect(superuser_url, autocommit=True) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE public.customers_interaction SET arrival = arrival + 1000000000")
    with pytest.raises(arrivals.NumbersAhead):
        export(beside_others=True)
    assert checkpoint().error == "NumbersAhead"
    monkeypatch.setattr(env, "OWNER_DATABASE_URL", os.environ["OWNER_DATABASE_URL"])
    call_command("export_rebase", stdout=StringIO())
    some(3, customer="c-2")
    export()
    assert sorted(ids()) == sorted(in_database())
    said = StringIO()
    call_command("export_rebase", stdout=said)
    assert said.getvalue().startswith("Nothing to do")


def test_files_past_their_time_are_given_up(ada: None) -> None:
    some(15)
    export()
    some(5, customer="c-2")
    later = NOW + timedelta(days=10)
    export(now=later)
    assert exporting.expire(now=later, days=0, held=lambda: False) == 0
    assert exporting.expire(now=later, days=7, held=lambda: False) == 2
    exporting.removals.remove_doomed(now=later)
    [row, *_] = rows()
    assert row["customerId"] == "c-2"
    assert len(files()) == 1
    assert [entry["event"] for entry in warehouse.manifests()] == ["batch", "batch", "batch", "removed", "removed"]
    warehouse.check()
    with transaction():
        assert ExportBatch.objects.in_storage().count() == 1


def test_a_manifest_says_what_its_file_holds(ada: None) -> None:
    some(10)
    export()
    [entry] = warehouse.manifests()
    assert entry["format"] == manifests.FORMAT
    assert (entry["event"], entry["batch"], entry["rows"], entry["tenantId"]) == ("batch", 1, 10, "acme")
    assert entry["firstOccurredAt"] == entry["lastOccurredAt"] == "2026-01-10T10:00:00.000000Z"


def test_s3_has_the_same(s3: Any) -> None:
    with ADA.here():
        some(25)
        assert export().rows == 25
        assert sorted(ids()) == sorted(in_database())
        warehouse.check()
        some(3, customer="c-2")
        export()
        assert sorted(ids()) == sorted(in_database())
    connections.close_all()
