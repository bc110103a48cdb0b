"""`manage.py customer_return --customer-id … --reason …`: let in again who was erased and came back."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from customers import returns
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Let an erased person be taken in again, who came back by their own will; recorded, with the reason."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--customer-id", default="", help="Their customer number.")
        parser.add_argument("--email", default="", help="Their e-mail address, instead or as well.")
        parser.add_argument("--reason", required=True, help="How you know that it is their own will.")

    def handle_tenant(self, **options: Any) -> str:
        try:
            with transaction():
                released = returns.let_in(
                    customer_id=options["customer_id"],
                    email=options["email"],
                    reason=options["reason"],
                    actor=context.current().actor,
                    now=clock.now(),
                )
        except (returns.NobodyToLetIn, returns.NoReason) as e:
            raise CommandError(f"{e}") from e
        return f"Let in again: {released} {'key' if released == 1 else 'keys'} released."
