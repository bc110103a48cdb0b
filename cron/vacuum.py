"""The job `vacuum-analyze`: VACUUM and ANALYZE of the large tables, one after the other, as long as there is time.

Neither is done by the application's own role, which owns nothing. On PostgreSQL 17 and later a role that may do this
and nothing else does (`MAINTAIN`, docs/operations.md), before that only the owner can. Without the address of either,
the job says so and does nothing.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, sql

from cron.work import DoneInPart, Work
from kaireon import env
from kaireon.lib.budget import Budget

logger = logging.getLogger("kaireon.cron")

# Smaller ones are looked after by autovacuum in seconds.
LARGE_BYTES = 16 * 1024 * 1024
# Who waits for a table's lock makes everybody behind it wait too.
LOCK_SECONDS = 5
# With less left, a table is not begun.
_LEAST_SECONDS = 1.0

UNSET = "Set MAINTENANCE_DATABASE_URL: the application's own role may not VACUUM."

# Partitions are tables of their own; of their parents, which nothing analyses by itself, only the figures are taken.
# What waited longest comes first, so that each night goes on where the last one stopped.
_TABLES = """
SELECT c.relname, c.relkind = 'p', pg_total_relation_size(c.oid)::bigint, coalesce(s.n_dead_tup, 0)::bigint,
       pg_has_role(c.relowner, 'USAGE'){maintain}
  FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace
   AND (c.relkind = 'r' AND pg_total_relation_size(c.oid) >= %(large)s
     OR c.relkind = 'p' AND (SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)
                               FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) >= %(large)s)
 ORDER BY c.relkind = 'p', greatest(s.last_vacuum, s.last_analyze) NULLS FIRST, c.relname
"""
_MAINTAIN = " OR has_table_privilege(c.oid, 'MAINTAIN')"
_SINCE_MAINTAIN = 170000


@dataclass(frozen=True, kw_only=True)
class Table:
    name: str
    is_parent: bool
    size: int
    dead: int
    allowed: bool


def vacuum_analyze(work: Work) -> Mapping[str, Any]:
    """`{vacuumed, analyzed, finished, tables: [{table, result, bytes, deadRows, seconds?}]}`, or `{skipped}`.

    `result` is `vacuumed`, `analyzed` (a partitioned table), `not_permitted`, `locked` (somebody works on it),
    `timeout` (it was begun and did not fit), `left` for the next run, `gone`, `due` of a dry run, or `failed` with the
    class of the error. Raises DoneInPart when one failed.
    """
    url = env.MAINTENANCE_DATABASE_URL or env.OWNER_DATABASE_URL
    if not url:
        return {"skipped": UNSET}
    connection = psycopg.connect(
        url, autocommit=True, connect_timeout=5, application_name="kaireon-maintenance", prepare_threshold=None
    )
    with closing(connection):
        found = [_done(connection, table, work) for table in _large_tables(connection)]
    results = [entry["result"] for entry in found]
    body = {
        "vacuumed": results.count("vacuumed"),
        "analyzed": results.count("analyzed"),
        "finished": not {"left", "timeout"} & set(results),
        "tables": found,
    }
    if failed := results.count("failed"):
        raise DoneInPart(f"{failed} of {len(found)} tables failed", body)
    return body


def _large_tables(connection: psycopg.Connection[Any]) -> list[Table]:
    maintain = _MAINTAIN if connection.info.server_version >= _SINCE_MAINTAIN else ""
    rows = connection.execute(_TABLES.format(maintain=maintain), {"large": LARGE_BYTES}).fetchall()
    return [Table(name=n, is_parent=p, size=s, dead=d, allowed=bool(a)) for n, p, s, d, a in rows]


def _done(connection: psycopg.Connection[Any], table: Table, work: Work) -> dict[str, Any]:
    entry: dict[str, Any] = {"table": table.name, "bytes": table.size, "deadRows": table.dead}
    # PostgreSQL itself passes by what is not permitted, with a warning that nobody reads.
    if not table.allowed:
        return {**entry, "result": "not_permitted"}
    if work.dry_run:
        return {**entry, "result": "due"}
    if work.budget.left() < _LEAST_SECONDS:
        return {**entry, "result": "left"}
    started = time.monotonic()
    result = _vacuumed(connection, table, work.budget)
    return {**entry, **result, "seconds": round(time.monotonic() - started, 3)}


def _vacuumed(connection: psycopg.Connection[Any], table: Table, budget: Budget) -> dict[str, str]:
    # One that never fits leaves half of the time to those behind it.
    limit = max(_LEAST_SECONDS, budget.left() / 2)
    statement = sql.SQL("ANALYZE public.{}" if table.is_parent else "VACUUM (ANALYZE) public.{}")
    try:
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{int(limit * 1000)}ms"])
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute(statement.format(sql.Identifier(table.name)))
    except errors.LockNotAvailable:
        return {"result": "locked"}
    except errors.QueryCanceled:
        return {"result": "timeout"}
    except errors.UndefinedTable:
        # A month that was dropped meanwhile.
        return {"result": "gone"}
    except psycopg.Error as error:
        logger.exception("vacuum_failed", extra={"table": table.name, "error_type": type(error).__name__})
        return {"result": "failed", "error": type(error).__name__}
    return {"result": "analyzed" if table.is_parent else "vacuumed"}
