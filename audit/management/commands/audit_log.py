"""Read a log from the command line; the platform's own is read here and nowhere else."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from audit import services
from audit.chain import timestamp_text
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction

_READ = """
SELECT seq, "timestamp", action, entity_type, entity_id, user_name, actor_type, request_id, changes
  FROM public.audit_record
 WHERE tenant_id = %(tenant)s AND (%(action)s::text IS NULL OR action = %(action)s)
 ORDER BY seq DESC LIMIT %(limit)s
"""
_NAMES = ("seq", "timestamp", "action", "entityType", "entityId", "userName", "actorType", "requestId", "changes")


class Command(BaseCommand):
    help = "Show the newest records of a tenant's log, or of the platform's. The reading itself is recorded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="Id of the tenant, or _platform for the log of no tenant.")
        parser.add_argument("--action", help="Only this action, such as auth.login_failed.")
        parser.add_argument("--limit", type=int, default=50, help="How many records (default 50).")
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant: str = options["tenant"]
        known = [*resolver.active_tenants(), PLATFORM]
        if tenant not in known:
            raise CommandError(f"--tenant {tenant}: no such log. Known: {', '.join(known)}.")
        if not 1 <= options["limit"] <= 100_000:
            raise CommandError("--limit must be from 1 to 100000.")
        services.drain(tenant)
        with scope(tenant_id=tenant, actor=Actor.system("command:audit_log")), transaction():
            rows = _newest(tenant, options["action"], options["limit"])
            services.record(
                action="audit_log.read", entity_type="AuditLog", entity_id=tenant, platform=tenant == PLATFORM
            )
        for row in rows:
            self.stdout.write(json.dumps(row, ensure_ascii=False) if options["json"] else _line(row))
        if not rows and not options["json"]:
            self.stdout.write("No records.")


def _newest(tenant: str, action: str | None, limit: int) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"tenant": tenant, "action": action, "limit": limit})
        rows = [dict(zip(_NAMES, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        row["timestamp"] = timestamp_text(row["timestamp"])
        row["changes"] = json.loads(row["changes"]) if isinstance(row["changes"], str) else row["changes"]
    return rows


def _line(row: dict[str, Any]) -> str:
    what = f"{row['action']} {row['entityType']} {row['entityId']}"
    return f"{row['seq']:>8}  {row['timestamp']}  {row['userName']}  {what}"
