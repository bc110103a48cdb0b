"""Why a time was extended or a clock paused may name a person: it goes into the sealed notes of the request."""

import json
from typing import Any

from django.db import migrations

from kaireon.tenancy.keyring import open_text, seal_text

_TABLES = ("dsar_dsarrequest", "dsar_clockpause")
# The log takes it in as a change by this actor.
_ACTING = """
SELECT set_config('app.tenant_id', %s, true), set_config('app.actor_type', 'system', true),
       set_config('app.actor_id', 'migration', true), set_config('app.actor_name', 'migration', true)
"""
_REASONS = """
SELECT r.tenant_id, r.id, 'extension', r.extension_reason FROM dsar_dsarrequest r
 WHERE r.extension_reason <> '' AND r.subject_sealed IS NOT NULL
UNION ALL
SELECT p.tenant_id, p.request_id, 'pause:' || p.id, p.reason
  FROM dsar_clockpause p JOIN dsar_dsarrequest r ON r.tenant_id = p.tenant_id AND r.id = p.request_id
 WHERE p.reason <> '' AND r.subject_sealed IS NOT NULL
"""


def seal_reasons(apps: Any, schema_editor: Any) -> None:
    """What stood about people who were erased since is not moved: it goes."""
    with schema_editor.connection.cursor() as cursor:
        _alter(cursor, "NO FORCE ROW LEVEL SECURITY")
        cursor.execute(_REASONS)
        for tenant, request, note, reason in cursor.fetchall():
            _add(cursor, tenant, request, {note: reason})
        _alter(cursor, "FORCE ROW LEVEL SECURITY")


def _add(cursor: Any, tenant: str, request: Any, more: dict[str, str]) -> None:
    context = f"dsar-notes:{tenant}:{request}"
    cursor.execute(_ACTING, [tenant])
    cursor.execute("SELECT notes_sealed FROM dsar_dsarrequest WHERE tenant_id = %s AND id = %s", [tenant, request])
    [sealed] = cursor.fetchone()
    notes = json.loads(open_text(bytes(sealed), context=context)) if sealed is not None else {}
    cursor.execute(
        "UPDATE dsar_dsarrequest SET notes_sealed = %s WHERE tenant_id = %s AND id = %s",
        [seal_text(json.dumps({**notes, **more}), context=context), tenant, request],
    )


def _alter(cursor: Any, how: str) -> None:
    for table in _TABLES:
        cursor.execute(f"ALTER TABLE public.{table} {how}")


class Migration(migrations.Migration):
    dependencies = [("dsar", "0001_squashed_0015_recipients")]

    operations = [
        migrations.RunPython(seal_reasons),
        migrations.RemoveField(model_name="dsarrequest", name="extension_reason"),
        migrations.RemoveField(model_name="clockpause", name="reason"),
    ]
