"""`vacuum-analyze`: which tables, by whom, and what is said of each."""

import os
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from cron import runner, vacuum
from cron.models import Trigger
from cron.work import Work
from kaireon import env
from kaireon.lib.budget import Budget
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import Actor

MAINTAINER = "kaireon_test_maintainer"


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "LARGE_BYTES", 1)


@pytest.fixture
def by_owner(db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    url = os.environ["OWNER_DATABASE_URL"]
    monkeypatch.setattr(env, "MAINTENANCE_DATABASE_URL", "")
    monkeypatch.setattr(env, "OWNER_DATABASE_URL", url)
    with psycopg.connect(url) as owner:
        owner.execute("SELECT public.partition_ensure('customers_interaction', current_date)")
    return url


def work(seconds: float = 60, **more: Any) -> Work:
    return Work(
        run_id=uuid7(), actor=Actor.job("vacuum-analyze"), now=datetime.now(UTC), budget=Budget(seconds), **more
    )


def results(body: Any) -> dict[str, str]:
    return {entry["table"]: entry["result"] for entry in body["tables"]}


def last_vacuum(url: str, table: str) -> Any:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SELECT pg_stat_force_next_flush()")
        found = owner.execute("SELECT last_vacuum FROM pg_stat_all_tables WHERE relname = %s", [table]).fetchone()
    return found[0] if found else None


def test_it_vacuums_large_tables_and_says_so_of_each(by_owner: str) -> None:
    ran = runner.run_job("vacuum-analyze", trigger=Trigger.COMMAND)
    assert ran.ok
    said = results(ran.body)
    assert said["customers_customer"] == "vacuumed"
    assert said["customers_interaction"] == "analyzed"
    assert any(name.startswith("customers_interaction_20") and said[name] == "vacuumed" for name in said)
    assert set(said.values()) == {"vacuumed", "analyzed"}
    assert ran.body["vacuumed"] + ran.body["analyzed"] == len(said)
    assert ran.body["finished"] is True
    assert last_vacuum(by_owner, "customers_customer") is not None


def test_small_tables_are_left_to_autovacuum(by_owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "LARGE_BYTES", 2**40)
    assert vacuum.vacuum_analyze(work()) == {"vacuumed": 0, "analyzed": 0, "finished": True, "tables": []}


def test_a_dry_run_touches_nothing(by_owner: str) -> None:
    body = vacuum.vacuum_analyze(work(dry_run=True))
    assert set(results(body).values()) == {"due"}
    assert last_vacuum(by_owner, "customers_customer") is None


def test_without_an_address_of_one_who_may_it_says_so(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "MAINTENANCE_DATABASE_URL", "")
    monkeypatch.setattr(env, "OWNER_DATABASE_URL", "")
    ran = runner.run_job("vacuum-analyze", trigger=Trigger.COMMAND)
    assert ran.body == {"ok": True, "skipped": vacuum.UNSET}


def test_the_applications_role_is_told_that_it_may_not(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "MAINTENANCE_DATABASE_URL", os.environ["DATABASE_URL"])
    body = vacuum.vacuum_analyze(work())
    assert set(results(body).values()) == {"not_permitted"}
    assert body["vacuumed"] == 0


def test_a_role_that_may_maintain_and_nothing_else_does(
    db: str, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as root:
        if root.info.server_version < 170000:
            # Before, there is no such privilege: the owner's address is the documented way, tested above.
            return
        root.execute(f"CREATE ROLE {MAINTAINER} LOGIN NOINHERIT PASSWORD 'maintains'")
        root.execute(f"GRANT pg_maintain TO {MAINTAINER} WITH INHERIT TRUE")
    info = psycopg.conninfo.conninfo_to_dict(os.environ["OWNER_DATABASE_URL"])
    url = psycopg.conninfo.make_conninfo(**{**info, "user": MAINTAINER, "password": "maintains"})
    try:
        with psycopg.connect(superuser_url, autocommit=True) as root:
            root.execute(f'GRANT CONNECT ON DATABASE "{info["dbname"]}" TO {MAINTAINER}')
        monkeypatch.setattr(env, "MAINTENANCE_DATABASE_URL", url)
        body = vacuum.vacuum_analyze(work())
        assert results(body)["customers_customer"] == "vacuumed"
        assert "not_permitted" not in results(body).values()
        with psycopg.connect(url) as maintainer, pytest.raises(psycopg.errors.InsufficientPrivilege):
            maintainer.execute("SELECT * FROM public.customers_customer")
    finally:
        with psycopg.connect(superuser_url, autocommit=True) as root:
            root.execute(f'REVOKE ALL ON DATABASE "{info["dbname"]}" FROM {MAINTAINER}')
            root.execute(f"DROP ROLE {MAINTAINER}")


def test_what_somebody_has_locked_is_passed_by_and_the_others_are_done(
    by_owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "LOCK_SECONDS", 1)
    with psycopg.connect(by_owner) as other:
        other.execute("LOCK TABLE public.customers_customer IN SHARE ROW EXCLUSIVE MODE")
        said = results(vacuum.vacuum_analyze(work()))
        other.rollback()
    assert said.pop("customers_customer") == "locked"
    assert set(said.values()) == {"vacuumed", "analyzed"}


def test_what_there_is_no_time_for_comes_first_the_next_time(by_owner: str) -> None:
    body = vacuum.vacuum_analyze(work(seconds=0))
    assert set(results(body).values()) == {"left"}
    assert body["finished"] is False
    with psycopg.connect(by_owner, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE public.customers_customer")
        owner.execute("SELECT pg_stat_force_next_flush()")
    tables = [entry["table"] for entry in vacuum.vacuum_analyze(work(dry_run=True))["tables"]]
    leaves = [name for name in tables if name != "customers_interaction"]
    assert leaves.index("customers_customer") > leaves.index("customers_consentrecord")
