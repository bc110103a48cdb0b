"""manage.py retention_plan --tenant … [--data-class …] [--ask-as E-MAIL] | --show ID | --list"""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db import transaction as django_transaction

from compliance.models import PurgePlan
from compliance.purging import comparing, plans
from compliance.purging.plans_api import wire
from customers.catalogue import DATA_CLASSES
from kaireon.approvals import services as approvals
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import Actor, current, transaction
from kaireon.tenancy.models import Membership


class Command(TenantCommand):
    help = (
        "Plan a purge: which rows would go, to the row, and under which policy. Nothing goes; retention_apply does"
        " that, within a day. Where a second person must agree, --ask-as asks in the name of a member."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--data-class", action="append", dest="classes", help="Only this class; repeatable.")
        parser.add_argument("--ask-as", metavar="E-MAIL", help="The member who asks for a second person's yes.")
        parser.add_argument("--show", type=UUID, metavar="ID", help="Show this plan beside what is there now.")
        parser.add_argument("--list", action="store_true", help="Show the newest plans.")
        parser.add_argument("--dry-run", action="store_true", help="Make the plan, show it, and forget it.")
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        if options["list"]:
            with transaction():
                listed = [wire(plan) for plan in PurgePlan.objects.newest_first()[:50]]
            said: Any = {"plans": listed}
            text = "\n".join(_line(plan) for plan in listed) or "There are no plans."
        else:
            said = self._shown(options["show"]) if options["show"] else self._made(**options)
            text = "\n".join([_line(said), *map(_item, said["items"])])
        self.stdout.write(json.dumps(said) if options["json"] else text)

    def _shown(self, plan_id: UUID) -> dict[str, Any]:
        with transaction():
            plan = PurgePlan.objects.filter(pk=plan_id).first()
            if plan is None:
                raise CommandError(f"--show {plan_id}: there is no such plan.")
            return {**wire(plan), "items": comparing.differences(plan, now=clock.now())}

    def _made(self, **options: Any) -> dict[str, Any]:
        for name in options["classes"] or ():
            if name not in DATA_CLASSES:
                raise CommandError(f"--data-class {name}: known are {', '.join(sorted(DATA_CLASSES))}.")
        now = clock.now()
        try:
            with transaction():
                plan = plans.make(
                    actor=current().actor,
                    now=now,
                    classes=options["classes"],
                    asker=_member(options["ask_as"]) if options["ask_as"] else None,
                )
                said = {**wire(plan), "items": comparing.differences(plan, now=now), "dryRun": options["dry_run"]}
                if options["dry_run"]:
                    django_transaction.set_rollback(True)
        except plans.AskerNeeded as error:
            raise CommandError("A second person must agree to this: name who asks with --ask-as.") from error
        except approvals.RequesterMayNot as error:
            raise CommandError(f"--ask-as {options['ask_as']}: their role may not manage retention.") from error
        return said


def _member(email: str) -> Actor:
    found = Membership.objects.filter(user__email=email.strip().lower(), user__is_active=True).first()
    if found is None:
        raise CommandError(f"--ask-as {email}: no member of this tenant has this address.")
    return Actor(id=str(found.user_id), name=found.user.name, type="user")


def _line(plan: dict[str, Any]) -> str:
    waits = "  waits for a second person" if plan["approvalId"] and plan["state"] == "planned" else ""
    return f"{plan['id']}  {plan['asOf'][:16]}  {plan['state']:<8}  {plan['deleted']:,} of {plan['rows']:,} rows{waits}"


def _item(item: dict[str, Any]) -> str:
    under = "its own end" if item["retentionDays"] is None else f"{item['retentionDays']} days"
    changed = f", {item['rowsNow']:,} now" if item["rowsNow"] != item["rows"] - item["deleted"] else ""
    return f"{item['rows']:>12,}  {item['dataClass']}/{item['entity']}  {under}{changed}"
