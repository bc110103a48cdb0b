"""Sign a checkpoint now, show the newest, or change the key that signs."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import services
from audit.models import Checkpoint
from audit.tree import checkpoints, signing
from kaireon.lib import clock
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction


class Command(BaseCommand):
    help = (
        "Sign a checkpoint of a log, as happens by itself every minute, and print it."
        " Keep the printed note outside: `audit_verify --checkpoint` holds the log against it later."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="Id of the tenant, or _platform for the log of no tenant.")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--show", action="store_true", help="Print the newest checkpoint; sign nothing.")
        what.add_argument("--rotate-key", action="store_true", help="Make a new signing key, cross-signed, first.")
        parser.add_argument("--json", action="store_true", help="One JSON object instead of the bare note.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = options["tenant"]
        known = [*resolver.active_tenants(), PLATFORM]
        if tenant not in known:
            raise CommandError(f"--tenant {tenant}: no such log. Known: {', '.join(known)}.")
        actor = Actor.system("command:audit_checkpoint")
        if options["rotate_key"]:
            with scope(tenant_id=tenant, actor=actor), transaction():
                signing.rotate()
        if not options["show"]:
            services.drain(tenant)
            try:
                while checkpoints.make(tenant):
                    pass
            except checkpoints.LogContradictsCheckpoint as error:
                raise CommandError(f"{tenant}: {error}. Nothing was signed: run audit_verify.") from error
        with scope(tenant_id=tenant, actor=actor), transaction():
            newest = checkpoints.newest(tenant)
            if newest is None:
                raise CommandError(f"{tenant}: there is no checkpoint yet.")
            self.stdout.write(_text(newest, as_json=options["json"]), ending="")


def _text(newest: Checkpoint, *, as_json: bool) -> str:
    if not as_json:
        return newest.note
    [key] = [k for k in signing.keys(newest.tenant_id) if k.version == newest.key_version]
    public = signing.public_key(key)
    return (
        json.dumps(
            {
                "tenantId": newest.tenant_id,
                "checkpoint": newest.note,
                "treeSize": newest.tree_size,
                "rootHash": newest.root_hash,
                "keyId": public.key_id.hex(),
                "publicKey": str(public),
                "signedAt": clock.rfc3339(newest.signed_at),
            }
        )
        + "\n"
    )
