"""What stands in inbox and log, looked at by the one who sees everything, and what must be true of it."""

from collections.abc import Sequence

import psycopg

from audit.verification.verify import verify
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER

_EVENTS = """
SELECT (SELECT count(*) FROM audit_inbox WHERE tenant_id = %(t)s AND action = 'test.event'),
       (SELECT coalesce(array_agg(entity_id ORDER BY seq), '{}') FROM audit_record
         WHERE tenant_id = %(t)s AND action = 'test.event'),
       (SELECT coalesce(array_agg(seq ORDER BY seq), '{}') FROM audit_record WHERE tenant_id = %(t)s),
       (SELECT seq FROM audit_head WHERE tenant_id = %(t)s)
"""


def look(root: psycopg.Connection, tenant: str) -> tuple[int, list[str]]:
    """How many events wait, and those of the log in its order. The log must be without a gap, and proven."""
    row = root.execute(_EVENTS, {"t": tenant}).fetchone()
    assert row is not None
    waiting, logged, numbers, head = row
    assert numbers == list(range(1, len(numbers) + 1))
    assert head == len(numbers)
    # Not drained first: it must hold as it was left.
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        verdict = verify()
    assert verdict.intact, verdict
    return waiting, logged


def assert_whole(root: psycopg.Connection, tenant: str, written: Sequence[str]) -> None:
    """Each event stands once, in inbox or log, those of the log in the order written."""
    waiting, logged = look(root, tenant)
    assert logged == list(written[: len(logged)])
    assert waiting + len(logged) == len(written)
