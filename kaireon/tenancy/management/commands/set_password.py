"""manage.py set_password ada@example.com"""

import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor
from kaireon.tenancy.models import User


class Command(BaseCommand):
    help = "Set the password of an account, read from standard input, and unlock it. Whoever has none gets in with it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="Of the account, as it was granted a role.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].strip().lower()).first()
        if user is None:
            raise CommandError("No account has this address: grant it a role first.")
        password = getpass("New password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        try:
            validate_password(password, user)
        except ValidationError as e:
            raise CommandError(" ".join(e.messages)) from e
        tenants.set_password(user=user, password=password, actor=Actor.system("command:set_password"))
        self.stdout.write("The password is set.")
