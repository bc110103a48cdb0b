"""Writing to a log and reading it back, as the tests of this folder do it."""

import audit
from audit import services
from audit.models import AuditRecord
from audit.tree.notes import Note
from audit.verification.verify import Verdict, verify
from kaireon.tenancy.context import Actor, scope, transaction

WRITER = Actor.job("test")


def write(count: int = 1, *, tenant: str, first: int = 0, changes: dict[str, object] | None = None) -> None:
    """Record `count` events in one transaction, their entity ids numbered from `first`."""
    with scope(tenant_id=tenant, actor=WRITER, request_id="req-test"), transaction():
        for number in range(first, first + count):
            audit.record(action="test.event", entity_type="Thing", entity_id=str(number), changes=changes)


def records(tenant: str, **wanted: object) -> list[AuditRecord]:
    """The tenant's log, drained first, in order of seq."""
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return list(AuditRecord.objects.filter(**wanted).order_by("seq"))


def verdict(tenant: str, *, limit: int | None = None, against: Note | None = None) -> Verdict:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return verify(limit=limit, against=against)
