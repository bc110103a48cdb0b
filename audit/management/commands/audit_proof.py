"""The proof that a record is in the log, or that the log only grew, for somebody outside."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from audit import services
from audit.models import AuditRecord
from audit.pruning import beginning
from audit.tree import checkpoints, merkle, proofs
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import current, transaction


class Command(TenantCommand):
    help = "Prove that a record is in a signed checkpoint (--record), or that one size of the log begins another."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--record", help="Id of the record.")
        what.add_argument("--first", type=int, help="Size of the earlier log, as in its checkpoint.")
        parser.add_argument(
            "--size", type=int, help="Size of the log to prove it in. Default: the newest checkpoint's."
        )

    def handle_tenant(self, **options: Any) -> str | None:
        tenant = current().tenant_id
        services.drain(tenant)
        with transaction():
            newest = checkpoints.newest(tenant)
            if newest is None:
                raise CommandError("There is no checkpoint yet: run audit_checkpoint first.")
            size = newest.tree_size if options["size"] is None else options["size"]
            if not 0 <= size <= newest.tree_size:
                raise CommandError(f"--size must be from 0 to {newest.tree_size}, the size of the newest checkpoint.")
            try:
                proof = (
                    proofs.inclusion(tenant, _record(options["record"]), size)
                    if options["record"]
                    else proofs.consistency(tenant, options["first"], size)
                )
            except merkle.OutsideTree as error:
                raise CommandError(f"{error}.") from error
            services.record(action="audit_log.prove", entity_type="AuditLog", entity_id=tenant, changes={"size": size})
        return json.dumps({"tenantId": tenant, **proof})


def _record(record_id: str) -> AuditRecord:
    try:
        row = AuditRecord.objects.filter(pk=UUID(record_id)).first()
    except ValueError:
        row = None
    if row is None:
        where = beginning.hint(current().tenant_id)
        raise CommandError(f"--record {record_id}: {where or 'this log has no such record.'}")
    return row
