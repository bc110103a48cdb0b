"""`manage.py audit_rotate_keys --tenant acme`: a new key around the keys of a log's subjects."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.sealing import key_rotation
from audit.sealing.key_rotation import Rotation
from kaireon.lib.progress import Progress
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy import resolver
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction
from kaireon.tenancy.keyring import WRAPPED_KEYS

# Rows in a transaction.
AT_ONCE = 100


class Command(BaseCommand):
    help = (
        "Give a log a new key, sealed under the newest of SEALING_KEYS, and wrap the keys of its subjects anew, and"
        " those of dossiers. What is sealed stays as it is. Interrupted, it goes on where it ended. (The key that"
        " signs: audit_checkpoint --rotate-key.)"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--tenant", help="Id of the tenant, or _platform for the log of no tenant.")
        which.add_argument("--all", action="store_true", help="Every active tenant and the platform.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done; change nothing.")
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        known = [*resolver.active_tenants(), PLATFORM]
        wanted = known if options["all"] else [options["tenant"]]
        if unknown := [tenant for tenant in wanted if tenant not in known]:
            raise CommandError(f"--tenant {unknown[0]}: no such log. Known: {', '.join(known)}.")
        failed = []
        for tenant in wanted:
            try:
                self._do(tenant, dry_run=options["dry_run"], as_json=options["json"])
            except CannotOpen as error:
                # The other logs have keys of their own.
                failed.append(f"{tenant}: {error}. Put that version back into SEALING_KEYS and run this again.")
        if failed:
            raise CommandError("\n".join(failed))

    def _do(self, tenant: str, *, dry_run: bool, as_json: bool) -> None:
        with scope(tenant_id=tenant, actor=Actor.system("command:audit_rotate_keys")):
            with transaction():
                rotation = key_rotation.planned()
                others = _others_behind(tenant)
            if not dry_run:
                with Progress(tenant, total=rotation.keys, quiet=as_json) as progress:
                    rotation = key_rotation.rotate(moved=progress.advance)
                others = {name: _rewrap(name) for name in others}
        self.stdout.write(_line(tenant, rotation, others, dry_run=dry_run, as_json=as_json))


def _others_behind(tenant: str) -> dict[str, int]:
    """The keys of the apps, which the platform has none of."""
    return {} if tenant == PLATFORM else {name: keys.behind() for name, keys in WRAPPED_KEYS.items()}


def _rewrap(name: str) -> int:
    done = 0
    while True:
        with transaction():
            made = WRAPPED_KEYS[name].rewrap_some(AT_ONCE)
        if not made:
            return done
        done += made


def _line(tenant: str, rotation: Rotation, others: dict[str, int], *, dry_run: bool, as_json: bool) -> str:
    if as_json:
        return _as_json(tenant, rotation, others, dry_run=dry_run)
    would = "would wrap" if dry_run else "wrapped"
    resumed = ", going on with an earlier rotation" if rotation.resumed else ""
    more = "".join(f", and those of {count} {name}" for name, count in others.items() if count)
    return f"{tenant}: {would} {rotation.keys} keys under version {rotation.version}{resumed}{more}"


def _as_json(tenant: str, rotation: Rotation, others: dict[str, int], *, dry_run: bool) -> str:
    return json.dumps(
        {
            "tenantId": tenant,
            "version": rotation.version,
            "keys": rotation.keys,
            **others,
            "resumed": rotation.resumed,
            "dryRun": dry_run,
        }
    )
