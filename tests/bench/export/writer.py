"""Who writes the file: `python -m tests.bench.export.writer TENANT`, told in JSON lines.

`{"write": "copy"}` puts a raw COPY of the log into a file, `{"write": "ndjson"}` and `{"write": "csv"}` export it. Each
gives `{"seconds", "records", "bytes"}`, and in `{"mib", "grown"}` the most memory that the process ever held, and how
much of that came after the product was loaded.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import django

from tests.bench.talker import answer

# The columns of an export, as they are stored.
_COLUMNS = """
    seq, "timestamp", action, entity_type, entity_id, entity_name, user_id, user_name, actor_type, request_id,
    changes, before, after, entity_version, tenant_id, id, integrity_hash, prev_hash
"""
_RAW = f"COPY (SELECT {_COLUMNS} FROM public.audit_record WHERE tenant_id = %s ORDER BY seq) TO STDOUT"


def main(tenant: str) -> None:
    django.setup()
    from django.db import connection

    from audit.exports import copying, jobs
    from kaireon.tenancy.context import Actor, scope, transaction

    def raw(file: IO[bytes]) -> int:
        with transaction(), connection.cursor() as cursor:
            with cursor.copy(_RAW, [tenant]) as copy:
                for row in copy:
                    file.write(row)
            return int(cursor.rowcount)

    def exported(file: IO[bytes], format_: str) -> int:
        with transaction():
            wanted = jobs.selection(since=None, until=None)
        return copying.write(file, wanted, format_).records

    loaded = _most_memory()

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        way = order["write"]
        with scope(tenant_id=tenant, actor=Actor.system("bench")), tempfile.TemporaryFile() as file:
            start = time.perf_counter()
            records = raw(file) if way == "copy" else exported(file, way)
            file.flush()
            seconds = time.perf_counter() - start
            size = file.tell()
        most = _most_memory()
        return {"seconds": seconds, "records": records, "bytes": size, "mib": most, "grown": most - loaded}

    answer(respond)


def _most_memory() -> float:
    """MiB."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1])
