"""`manage.py load_demo`: two tenants with people, policies and real purchase histories, to try everything on."""

import json
import os
import secrets
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from compliance.alerting import rules
from compliance.models import AlertRule, RetentionPolicy
from compliance.retention import policies
from customers.demo import loader
from dsar.letters import manner
from dsar.models import LetterSettings
from kaireon.lib import clock
from kaireon.lib.progress import Progress
from kaireon.outbox import destinations
from kaireon.outbox.models import Destination, Kind
from kaireon.tenancy import keys, resolver, tenants
from kaireon.tenancy.context import Actor, platform_scope, scope, transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Role

DEMO = Actor.system("demo")
KEY_NAME = "demo"
POST = "post"
# With more each tenant would have a handful of customers.
MOST_LEFT_OUT = 500


@dataclass(frozen=True, kw_only=True)
class DemoTenant:
    id: str
    name: str
    regulation: str
    time_zone: str
    share: loader.Share
    # E-mail, name, role.
    people: tuple[tuple[str, str, Role], ...]


# Works for both, so that there is something to switch between.
OLIVIA = ("olivia@acme.example", "Olivia Okafor", Role.ADMIN)

TENANTS = (
    DemoTenant(
        id="acme",
        name="Acme Retail",
        regulation="gdpr",
        time_zone="Europe/Berlin",
        share=loader.Share(prefix="AC", rest=1, of=2),
        people=(
            OLIVIA,
            ("emil@acme.example", "Emil Sørensen", Role.EDITOR),
            ("aisha@acme.example", "Aisha Rahman", Role.AUDITOR),
            ("victor@acme.example", "Victor Hugo Lima", Role.VIEWER),
        ),
    ),
    DemoTenant(
        id="globex",
        name="Globex Media",
        regulation="ccpa",
        time_zone="America/New_York",
        share=loader.Share(prefix="GX", rest=0, of=2),
        people=(
            ("grace@globex.example", "Grace Nakamura", Role.ADMIN),
            ("enzo@globex.example", "Enzo Bianchi", Role.EDITOR),
            ("alma@globex.example", "Alma Ruiz", Role.AUDITOR),
            ("vera@globex.example", "Vera Novak", Role.VIEWER),
            OLIVIA,
        ),
    ),
)

# Longer than the eighteen months of the histories, so that no sweep empties them; decisions are there to be swept.
RETENTION_DAYS = {
    "interactions": 1095,
    "decisions": 365,
    "metrics": 1095,
    "profiles": 1825,
    "consents": 1825,
    "deliveries": 730,
    "attachments": 1095,
    "dsar": 1095,
    "audit": 3650,
}

# Something to look at: a tenant of one's own begins without any. They tell nobody.
ALERTS: tuple[dict[str, Any], ...] = (
    {"name": "Requests overdue", "metric": "dsar_overdue", "operator": "gt", "threshold": 0, "severity": "critical"},
    {
        "name": "A deadline comes near",
        "metric": "dsar_days_left",
        "operator": "lt",
        "threshold": 5,
        "alerts_without_data": False,
    },
    {
        "name": "Audit log not intact",
        "metric": "audit_chain_intact",
        "operator": "lt",
        "threshold": 1,
        "severity": "critical",
    },
    {"name": "Audit log not verified", "metric": "audit_verification_age", "operator": "gt", "threshold": 48},
    {"name": "Dead letters", "metric": "dead_letters", "operator": "gte", "threshold": 100, "severity": "critical"},
    {"name": "Jobs down", "metric": "jobs_down", "operator": "gt", "threshold": 0, "lasting_seconds": 600},
    {
        "name": "Failed sign-ins",
        "metric": "auth_failures",
        "operator": "gt",
        "threshold": 20,
        "window_seconds": 900,
        "cooldown_seconds": 3600,
    },
    {
        "name": "Few offers accepted",
        "metric": "acceptance_rate",
        "operator": "lt",
        "threshold": 1,
        "window_seconds": 86_400,
        "lasting_seconds": 3600,
        "cooldown_seconds": 86_400,
        "severity": "info",
        "alerts_without_data": False,
    },
)


class Command(BaseCommand):
    help = "Create the demo tenants acme and globex with people, policies and data. A second run changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--credentials", type=Path, required=True, help="Where logins and keys are kept (0600).")
        parser.add_argument(
            "--every", type=int, default=1, metavar="N", help="Take each tenant's every Nth customer alone."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("The demo is not for production: its customers are invented. Set ENVIRONMENT.")
        every: int = options["every"]
        if not 1 <= every <= MOST_LEFT_OUT:
            raise CommandError(f"--every must be a number from 1 to {MOST_LEFT_OUT}.")
        path: Path = options["credentials"]
        known = _read(path)
        passwords = {u["email"]: u["password"] for t in known.get("tenants", []) for u in t["users"]}
        api_keys = {t["id"]: t["apiKey"] for t in known.get("tenants", [])}
        found = set(resolver.active_tenants())
        for tenant in TENANTS:
            if tenant.id not in found:
                tenants.create_tenant(
                    tenant_id=tenant.id,
                    name=tenant.name,
                    actor=DEMO,
                    regulation=tenant.regulation,
                    time_zone=tenant.time_zone,
                )
        for email, name in {person[0]: person[1] for tenant in TENANTS for person in tenant.people}.items():
            passwords[email] = _account(email, name, passwords.get(email))
        for tenant in TENANTS:
            with scope(tenant_id=tenant.id, actor=DEMO), transaction():
                _members(tenant)
                api_keys[tenant.id] = _api_key(api_keys.get(tenant.id))
                _policies()
                _alerts()
                _letters(tenant)
        # Before the data, which takes longest: who interrupts that must still be able to sign in.
        _write(path, _credentials(passwords, api_keys))
        for tenant in TENANTS:
            with scope(tenant_id=tenant.id, actor=DEMO):
                self._load(tenant, replace(tenant.share, of=tenant.share.of * every))

    def _load(self, tenant: DemoTenant, share: loader.Share) -> None:
        with transaction():
            if loader.is_loaded():
                return
        now = clock.now()
        with Progress(tenant.name, total=loader.rows_of(share, now=now)) as progress:
            done = 0

            def advance(rows: int) -> None:
                nonlocal done
                done += rows
                progress.advance(rows, f"{done:,} rows")

            count = loader.load(share, now=now, advance=advance)
        self.stdout.write(f"{tenant.name} ({tenant.id}): {count:,} customers, {done:,} rows.")


def _account(email: str, name: str, password: str | None) -> str:
    """The password of this account, which is made when it is not there. One nobody remembers gets a new one."""
    user = User.objects.filter(email=email).first()
    if user is not None and password:
        return password
    password = secrets.token_urlsafe(12)
    if user is None:
        tenants.create_user(email=email, name=name, password=password, actor=DEMO)
        return password
    with platform_scope(actor=DEMO), transaction():
        user.set_password(password)
        user.save(update_fields=["password"])
    return password


def _members(tenant: DemoTenant) -> None:
    members = set(Membership.objects.values_list("user__email", flat=True))
    for email, _, role in tenant.people:
        if email not in members:
            tenants.add_member(user=User.objects.get(email=email), role=role)


def _api_key(key: str | None) -> str:
    if key and keys.find_key(key, now=clock.now()):
        return key
    return keys.create_key(name=KEY_NAME, role=Role.ADMIN, actor=DEMO)[1]


def _policies() -> None:
    there = set(RetentionPolicy.objects.values_list("data_class", flat=True))
    for data_class, days in RETENTION_DAYS.items():
        if data_class not in there:
            policies.upsert_policy(data_class=data_class, retention_days=days, actor=DEMO, now=clock.now())


def _letters(tenant: DemoTenant) -> None:
    """Subjects are written to; whoever turned that off is not overruled."""
    if LetterSettings.objects.exists() or Destination.objects.filter(kind=Kind.EMAIL).exists():
        return
    now = clock.now()
    address = f"privacy@{tenant.id}.example"
    destinations.save(name=POST, kind=Kind.EMAIL, given={"from": address}, now=now)
    manner.change({"automatic": True, "sender": address, "contact": address}, now=now)


def _alerts() -> None:
    """Once: rules that were removed stay so."""
    if not AlertRule.objects.exists():
        for given in ALERTS:
            rules.create(given=given, now=clock.now())


def _credentials(passwords: Mapping[str, str], api_keys: Mapping[str, str]) -> dict[str, Any]:
    return {
        "tenants": [
            {
                "id": tenant.id,
                "name": tenant.name,
                "apiKey": api_keys[tenant.id],
                "users": [
                    {"email": email, "password": passwords[email], "role": str(role)}
                    for email, _, role in tenant.people
                ],
            }
            for tenant in TENANTS
        ]
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as e:
        raise CommandError(f"{path} is not JSON. Move it away; new passwords will be made.") from e
    return known if isinstance(known, dict) else {}


def _write(path: Path, credentials: Mapping[str, Any]) -> None:
    """Replace the file by one that only its owner can read; there is never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(credentials, file, indent=2)
        file.write("\n")
    fresh.replace(path)
