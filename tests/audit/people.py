"""People in a log, their keys, and what their records show: as the tests of sealing do it."""

from typing import Any

import psycopg

from audit import services
from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from customers.models import Customer
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import PERMISSIONS, Role
from tests.audit.log import WRITER, records
from tests.cast import ACME, ADA

EMAIL = "jane.doe@example.com"
NAME = "Jané Doe ☂"


def customer(number: str = "C-17", *, who: Any = ADA, **more: Any) -> Customer:
    with who.here(), transaction():
        return Customer.objects.create(customer_id=number, **{"email": EMAIL, "name": NAME, **more})


def change(row: Customer, **values: Any) -> None:
    with ADA.here(), transaction():
        Customer.objects.filter(pk=row.pk).update(**values)


def about(row: Any, **wanted: Any) -> list[AuditRecord]:
    return records(ACME, entity_id=str(row.pk), **wanted)


def opened(record: AuditRecord, tenant: str = ACME) -> reveal.Opened:
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return reveal.opened(record, principal=principal(Role.ADMIN, tenant))


def principal(role: Role, tenant: str = ACME) -> Principal:
    return Principal(actor=WRITER, tenant_id=tenant, tenant_name=tenant, role=role, permissions=PERMISSIONS[role])


def destroy(subject: object, tenant: str = ACME) -> bool:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return subject_keys.destroy(str(subject), now=clock.now())


def key_row(superuser: psycopg.Connection, subject: object) -> Any:
    return superuser.execute(
        "SELECT id, key_wrapped, destroyed_at FROM audit_subjectkey WHERE subject_id = %s", [str(subject)]
    ).fetchone()


def everything(superuser: psycopg.Connection, *tables: str) -> str:
    return "\n".join(str(row) for table in tables for row in superuser.execute(f"SELECT t::text FROM {table} t"))
