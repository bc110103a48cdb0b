"""The base of the commands on what is declared: of a tenant, or of the platform."""

from typing import Any

from django.core.management.base import CommandParser

from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import Actor, platform_scope


class ConfigCommand(TenantCommand):
    """Subclass and write `handle_scope(of_tenant=…, **options)`; it runs in the tenant's scope or in the platform's."""

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--tenant", help="Id of the tenant to act in.")
        whose.add_argument("--platform", action="store_true", help="What belongs to no tenant: when jobs run.")

    def handle(self, *args: Any, **options: Any) -> Any:
        if not options["platform"]:
            return super().handle(*args, **options)
        name = type(self).__module__.rsplit(".", 1)[-1]
        with platform_scope(actor=Actor.system(f"command:{name}")):
            return self.handle_scope(of_tenant=False, **options)

    def handle_tenant(self, **options: Any) -> str | None:
        return self.handle_scope(of_tenant=True, **options)

    def handle_scope(self, *, of_tenant: bool, **options: Any) -> str | None:
        raise TypeError(f"{type(self).__name__} must define handle_scope.")
