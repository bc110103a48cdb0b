"""The key of this installation as a witness: made once, and told to those whose logs it is to cosign."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.tree.notes import BadKey
from audit.witness import ourselves


class Command(BaseCommand):
    help = "Show the verifier key of this installation as a witness; or make a new WITNESS_KEY, which changes nothing."
    # Its own errors are what it is asked about.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--make", action="store_true", help="Print a new secret for WITNESS_KEY.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["make"]:
            secret = base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()
            self.stdout.write(json.dumps({"witnessKey": secret}) if options["json"] else f"WITNESS_KEY={secret}")
            return
        try:
            us = ourselves.configured()
        except BadKey as error:
            raise CommandError(f"{error}.") from error
        if us is None:
            raise CommandError("This installation is no witness: set WITNESS_NAME, WITNESS_KEY and WITNESS_LOGS.")
        key = str(us.public)
        self.stdout.write(json.dumps({"verifierKey": key, "logs": sorted(us.logs)}) if options["json"] else key)
