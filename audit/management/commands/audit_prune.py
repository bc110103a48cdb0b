"""manage.py audit_prune --tenant acme --plan [--ask-as E-MAIL] | --apply [--request ID] | --list"""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError
from django.utils.formats import localize
from django.utils.timezone import localtime

from audit import services
from audit.models import Tombstone
from audit.pruning import prune, unshipped
from audit.pruning.archive import ArchiveRefused
from audit.pruning.prune import Plan, Pruned
from kaireon import env
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.lib.progress import Progress
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import Actor, current, transaction
from kaireon.tenancy.models import Membership

_MIB = 1 << 20
# How many there are to archive is only known on the way: the progress counts in thousandths.
_WHOLE = 1000


class Command(TenantCommand):
    help = (
        "Remove the oldest part of a tenant's audit log, in whole prefixes that a published checkpoint seals, by the"
        " retention policy of the class audit. Two people agree first; what goes lies in a checked archive, a signed"
        " tombstone stands in its place, and every proof and bundle from before still holds. The log of no tenant is"
        " kept. First --plan --ask-as, then somebody else's approval, then --apply."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--plan", action="store_true", help="Show what could go now, and what is in the way.")
        what.add_argument("--apply", action="store_true", help="Do what was approved. Doing it twice does it once.")
        what.add_argument("--list", action="store_true", help="Show what went before, with the signed tombstones.")
        parser.add_argument(
            "--ask-as",
            metavar="E-MAIL",
            help="With --plan: ask for approval in the name of this member, who may manage retention; not by them.",
        )
        parser.add_argument(
            "--request", type=UUID, metavar="ID", help="With --apply: this request. Default: the oldest approved one."
        )
        parser.add_argument(
            "--unshipped",
            action="store_true",
            help="With --plan: go ahead although SIEM destinations have not confirmed the records. Who approves is told"
            " which, and how far each is; whatever else is behind when it is applied is waited for all the same.",
        )
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle_tenant(self, **options: Any) -> None:
        if options["ask_as"] and not options["plan"]:
            raise CommandError("--ask-as goes with --plan.")
        if options["request"] and not options["apply"]:
            raise CommandError("--request goes with --apply.")
        if options["unshipped"] and not options["plan"]:
            raise CommandError("--unshipped goes with --plan: what was approved says whom --apply goes ahead without.")
        services.drain(current().tenant_id)
        if options["plan"]:
            said, text = self._plan(options["ask_as"], without=unshipped.EVERY if options["unshipped"] else ())
        elif options["apply"]:
            said, text = self._apply(options["request"], quiet=options["verbosity"] < 1)
        else:
            with transaction():
                stones = prune.tombstones_of(current().tenant_id)
            said, text = {"tombstones": [prune.wire(stone) for stone in stones]}, _list(stones)
        self.stdout.write(json.dumps(said) if options["json"] else text)

    def _plan(self, email: str | None, *, without: unshipped.Agreed) -> tuple[dict[str, Any], str]:
        now = clock.now()
        with transaction():
            plan = prune.make_plan(now=now, without=without)
            if email is None:
                return plan.as_dict(), _plan_text(plan)
            try:
                asked = prune.ask(plan, actor=_member(email), now=now)
            except prune.NothingToPrune as error:
                raise CommandError(f"Nothing was asked for: {error}.") from error
            except approvals.RequesterMayNot as error:
                raise CommandError(f"--ask-as {email}: their role may not manage retention.") from error
        return {**plan.as_dict(), "request": str(asked.pk)}, f"{_plan_text(plan)}\n{_asked_text(asked)}"

    def _apply(self, request_id: UUID | None, *, quiet: bool) -> tuple[dict[str, Any], str]:
        if not env.OWNER_DATABASE_URL:
            raise CommandError("--apply needs OWNER_DATABASE_URL: the application's own role cannot remove records.")
        try:
            if request_id is None:
                with transaction():
                    request_id = prune.approved_request()
            with Progress("archive", total=_WHOLE, quiet=quiet) as progress:
                pruned = prune.apply(
                    request_id=request_id,
                    now=clock.now(),
                    told=lambda done, total: progress.move_to(done * _WHOLE // total, f"{done:,} of {total:,} records"),
                )
        except (prune.NotApproved, prune.NothingToPrune, prune.Refused, ArchiveRefused) as error:
            raise CommandError(f"Nothing was removed: {error}.") from error
        except OperationalError as error:
            raise CommandError("OWNER_DATABASE_URL or DATABASE_URL does not connect. Run it again.") from error
        return pruned.as_dict(), _pruned_text(pruned)


def _member(email: str) -> Actor:
    found = Membership.objects.filter(user__email=email.strip().lower(), user__is_active=True).first()
    if found is None:
        raise CommandError(f"--ask-as {email}: no member of this tenant has this address.")
    return Actor(id=str(found.user_id), name=found.user.name, type="user")


def _plan_text(plan: Plan) -> str:
    lines = []
    if plan.kept_days:
        floor = "" if plan.kept_days == plan.policy_days else f" (a year at least; the policy says {plan.policy_days})"
        lines.append(f"Kept for     {plan.kept_days} days{floor}")
    if plan.checkpoint and plan.oldest and plan.newest:
        lines += [
            f"Range        records {plan.first_seq} to {plan.last_seq}, {plan.records:,} in all",
            f"Made         {localize(localtime(plan.oldest))} to {localize(localtime(plan.newest))}",
            f"Sealed       on {localize(localtime(plan.checkpoint.signed_at))}, by the checkpoint of that size",
            f"Size         about {plan.bytes / _MIB:,.1f} MiB without indexes",
        ]
    if plan.unshipped:
        lines.append(f"Goes ahead   {unshipped.in_a_line([one.as_payload() for one in plan.unshipped])}")
    lines += [f"In the way   {fact}" for fact in plan.in_the_way]
    return "\n".join(lines)


def _asked_text(asked: ApprovalRequest) -> str:
    return (
        f"Asked        {asked.pk}: somebody else approves it until {localize(localtime(asked.deadline))},"
        " then --apply does it"
    )


def _pruned_text(pruned: Pruned) -> str:
    stone = pruned.tombstone
    begun = "Removed before" if pruned.again else "Removed"
    return (
        f"{begun}: records {stone.first_seq} to {stone.last_seq}, {stone.records:,} in all. They lie in"
        f" {stone.archive_name}, SHA-256 {stone.archive_sha256}."
    )


def _list(stones: list[Tombstone]) -> str:
    if not stones:
        return "Nothing was removed from this log."
    return "\n\n".join(
        f"{localize(localtime(stone.pruned_at))}  records {stone.first_seq} to {stone.last_seq}"
        f"  {stone.archive_name}\n{stone.note.rstrip()}"
        for stone in stones
    )
