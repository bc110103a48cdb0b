"""Every table is under audit, or on the list of those that are not, with the reason."""

from typing import Any

import psycopg
import pytest
from django.apps import apps

from audit.capture.coverage import EXEMPT
from tests.cast import ACME

CAPTURING = """
SELECT c.relname, c.relispartition,
       array_agg(DISTINCT p.proname::text) AS functions,
       bit_or(t.tgtype::int) AS events
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE starts_with(p.proname, 'audit_capture') AND t.tgenabled <> 'D'
 GROUP BY c.oid
"""
INSERT, DELETE, UPDATE = 4, 8, 16


@pytest.fixture
def captured(superuser_url: str) -> dict[str, int]:
    """The tables with a capturing trigger, and for which events."""
    with psycopg.connect(superuser_url) as root:
        return {name: events for name, _, _, events in root.execute(CAPTURING)}


def tables() -> dict[str, str]:
    """Every model's table, by label."""
    models = apps.get_models(include_auto_created=True)
    return {m._meta.label: m._meta.db_table for m in models if m._meta.managed and not m._meta.proxy}


def test_every_model_is_captured_or_exempt(captured: dict[str, int]) -> None:
    unwatched = {label for label, table in tables().items() if table not in captured}
    assert unwatched - _join_tables() == set(EXEMPT)


def test_every_exemption_says_why() -> None:
    assert all(len(reason) > 8 for reason in EXEMPT.values())


def test_every_capture_sees_insert_update_and_delete(captured: dict[str, int]) -> None:
    partial = {name for name, events in captured.items() if events & (INSERT | UPDATE | DELETE) != 28}
    assert partial == set()


def test_every_partition_is_captured_like_its_parent(superuser_url: str, db: str) -> None:
    """A statement may name the partition itself, past the triggers of the parent."""
    with psycopg.connect(superuser_url) as root:
        root.execute("SELECT set_config('app.tenant_id', %s, false)", [ACME])
        for (parent,) in root.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'p' AND n.nspname = 'public'"
        ).fetchall():
            root.execute("SELECT public.partition_ensure(%s, '2031-07-01')", [parent])
            [(mine,), (theirs,)] = [_triggers(root, name) for name in (parent, f"{parent}_2031_07")]
            assert mine == theirs, parent
            assert mine


def _triggers(root: psycopg.Connection[Any], table: str) -> tuple[Any]:
    row = root.execute(
        "SELECT array_agg((t.tgname, t.tgfoid, t.tgtype, t.tgenabled, t.tgargs)::text ORDER BY t.tgname)"
        " FROM pg_trigger t WHERE t.tgrelid = ('public.' || %s)::regclass AND NOT t.tgisinternal",
        [table],
    ).fetchone()
    assert row
    return (row[0],)


def _join_tables() -> set[str]:
    """Of Django's own groups, which nothing here uses."""
    return {"auth.Group_permissions"}
