"""manage.py dsar_public --tenant acme [--open [--contact TEXT] [--language TAG] | --close]"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dsar.public import page, words
from dsar.requests.codes import CodeRefused
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction


class Command(TenantCommand):
    help = "Show whether people without an account can ask on a page of a tenant's, open that page, or close it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--open", action="store_true", help="From now on, or with another contact.")
        either.add_argument("--close", action="store_true", help="No longer. Requests that came in by it go on.")
        parser.add_argument("--contact", help="With --open: how else to reach the tenant. Shown to everybody.")
        parser.add_argument(
            "--language", choices=list(words.LANGUAGES), help="With --open: for who reads none that the page speaks."
        )
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> str:
        contact, language = options["contact"], options["language"]
        if language is not None and not options["open"]:
            raise CommandError("--language goes with --open.")
        if contact is not None and (not options["open"] or len(contact) > page.MOST_CONTACT):
            raise CommandError(f"--contact goes with --open, and has at most {page.MOST_CONTACT} characters.")
        try:
            with transaction():
                found = page.find()
                if options["open"]:
                    known = found.contact if found else ""
                    said = known if contact is None else contact
                    found = page.open_page(contact=said, language=language or "", now=clock.now())
                elif options["close"]:
                    page.close_page()
                    found = None
                address = page.address() if found else None
        except (page.NoPublicUrl, CodeRefused) as e:
            raise CommandError(str(e)) from e
        if options["json"]:
            about = {"contact": found and found.contact, "language": found and found.language}
            return json.dumps({"open": found is not None, "address": address, **about})
        return f"open: {address}" if found else "closed"
