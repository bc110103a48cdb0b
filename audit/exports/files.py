"""The log as files for people: JSON, CSV, and a package that sorts the records by control area, as SOC 2 asks."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from audit.models import AuditRecord
from kaireon.lib import clock
from kaireon.lib.csv_safe import neutral_row

COLUMNS = (
    *("seq", "timestamp", "action", "entityType", "entityId", "entityName", "userId", "userName", "actorType"),
    *("requestId", "changes", "before", "after", "entityVersion", "tenantId", "id", "integrityHash", "prevHash"),
)

AREAS = ("access", "change", "data_disposal", "incident")
_ACCESS_VERBS = ("auth.", "access.", "role.", "member.", "audit_log.", "tenancy.")
_ACCESS_ENTITIES = {"ApiKey", "Membership", "SecondPerson", "SigningKey", "Tenant", "User"}
_DISPOSAL_VERBS = (
    *("retention.", "retention_config.", "legal_hold.", "dsar.erasure.", "dsar.shred", "dead_letter.purge"),
    "audit_log.prune",
)
_DISPOSAL_ENTITIES = {"RetentionPolicy", "LegalHold"}
_INCIDENT_VERBS = ("security.", "auth.login_failed", "job.failed", "job.late")


def area_of(action: str, entity_type: str, changes: Any) -> str:
    """The control area a record is evidence for; every record has exactly one."""
    broken = action == "audit_log.verify" and isinstance(changes, dict) and changes.get("intact") is False
    if broken or action.startswith(_INCIDENT_VERBS) or action.endswith(".failed"):
        return "incident"
    if action.startswith(_DISPOSAL_VERBS) or entity_type in _DISPOSAL_ENTITIES or action == "customer.anonymise":
        return "data_disposal"
    if action.startswith(_ACCESS_VERBS) or entity_type in _ACCESS_ENTITIES:
        return "access"
    return "data_disposal" if action == "delete" else "change"


def as_dict(row: AuditRecord) -> dict[str, Any]:
    """A record with the names of the contract."""
    return {
        "seq": row.seq,
        "timestamp": clock.rfc3339(row.timestamp),
        "action": row.action,
        "entityType": row.entity_type,
        "entityId": row.entity_id,
        "entityName": row.entity_name,
        "userId": row.user_id,
        "userName": row.user_name,
        "actorType": row.actor_type,
        "requestId": row.request_id,
        "changes": row.changes,
        "before": row.before,
        "after": row.after,
        "entityVersion": row.entity_version,
        "tenantId": row.tenant_id,
        "id": str(row.pk),
        "integrityHash": row.integrity_hash,
        "prevHash": row.prev_hash,
    }


def as_csv(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines of CSV (RFC 4180) with a head, JSON columns as JSON text, no cell a spreadsheet would run."""
    yield _line(COLUMNS)
    for record in records:
        yield _line([_cell(record[name]) for name in COLUMNS])


def by_area(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Counts, by control area and action, and the records behind them."""
    sorted_in: dict[str, list[dict[str, Any]]] = {area: [] for area in AREAS}
    for record in records:
        sorted_in[area_of(record["action"], record["entityType"], record["changes"])].append(record)
    return {
        area: {
            "count": len(found),
            "actions": dict(sorted(Counter(r["action"] for r in found).items())),
            "records": found,
        }
        for area, found in sorted_in.items()
    }


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(neutral_row(cells))
    return line.getvalue()
