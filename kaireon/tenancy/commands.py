"""The base of every command on tenant data: `--tenant` opens its scope."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kaireon.tenancy import resolver, signals
from kaireon.tenancy.context import Actor, scope


class TenantCommand(BaseCommand):
    """Subclass and write `handle_tenant(**options)`; it runs in the tenant's scope, acting as the command.

    That it was run is recorded before it starts: what only reports leaves no other trace.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="Id of the tenant to act in.")

    def handle(self, *args: Any, **options: Any) -> Any:
        tenant = options["tenant"]
        known = resolver.active_tenants()
        if tenant not in known:
            raise CommandError(f"--tenant {tenant}: no active tenant has this id. Known: {', '.join(known) or 'none'}.")
        name = type(self).__module__.rsplit(".", 1)[-1]
        with scope(tenant_id=tenant, actor=Actor.system(f"command:{name}")):
            signals.command_started.send(sender=type(self), name=name, dry_run=bool(options.get("dry_run")))
            return self.handle_tenant(**options)

    def handle_tenant(self, **options: Any) -> str | None:
        raise TypeError(f"{type(self).__name__} must define handle_tenant.")
