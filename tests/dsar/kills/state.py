"""What a story left behind, past all that is under test: rows by table, records by verb, objects, files, keys."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

# These grow with what happens, with time and with every try: the log itself is asked for its verbs.
_GROWING = (
    "audit_checkpoint",
    "audit_publication",
    "audit_arrival",
    "audit_audithead",
    "audit_auditinbox",
    "audit_auditrecord",
    "audit_record",
    "audit_tile",
)
_TABLES = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition AND c.relname NOT LIKE 'django%%' AND NOT c.relname = ANY(%s)
"""


@dataclass(frozen=True, kw_only=True)
class State:
    rows: Counter[str]
    verbs: Counter[str]
    objects: Counter[str]

    def since(self, before: "State") -> dict[str, dict[str, int]]:
        """What came and what went."""
        return {
            name: {
                key: change
                for key in sorted({*getattr(self, name), *getattr(before, name)})
                if (change := getattr(self, name)[key] - getattr(before, name)[key])
            }
            for name in ("rows", "verbs", "objects")
        }


def look(superuser_url: str, storage: Path) -> State:
    """Drain the log before."""
    with psycopg.connect(superuser_url) as root:
        tables = [name for (name,) in root.execute(_TABLES, [list(_GROWING)])]
        counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM public.{name}" for name in tables)
        rows = Counter(dict(root.execute(counts).fetchall()))
        rows["keys alive"] = _one(root, "SELECT count(*) FROM audit_subjectkey WHERE key_wrapped IS NOT NULL")
        verbs = root.execute("SELECT action, count(*) FROM audit_record WHERE action LIKE '%.%' GROUP BY 1").fetchall()
    found = [path.relative_to(storage).parts[0] for path in storage.rglob("*") if path.is_file()]
    return State(rows=rows, verbs=Counter(dict(verbs)), objects=Counter(found))


def _one(root: "psycopg.Connection[Any]", sql: str) -> int:
    row = root.execute(sql).fetchone()  # type: ignore[call-overload]
    return int(row[0])
