"""manage.py hold list | preview | place | release --tenant … [--json]"""

import json
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from compliance.holding import matters, refusals
from compliance.holding.serializers import ScopeIn, preview_of, what_of, wire, wires
from compliance.models import Hold, HoldState, Matter
from kaireon.approvals import services as approvals
from kaireon.approvals.serializers import ApprovalOut
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import Actor, current, transaction
from kaireon.tenancy.models import Membership

_REFUSED: dict[type[Exception], str] = {
    matters.MatterClosed: "--matter: it is closed.",
    matters.HoldNotActive: "--hold: it is being released, or was.",
    matters.ReleaseAskedAlready: "--hold: a request to release it waits for an answer already.",
    approvals.RequesterMayNot: "--ask-as: their role may not manage retention.",
}


class Command(TenantCommand):
    help = (
        "List legal holds, count what one would find, place one, ask to release one. A release takes a second person:"
        " --ask-as names the member who asks, and somebody else agrees under Approvals."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("what", choices=("list", "preview", "place", "release"))
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")
        scope = parser.add_argument_group("preview, place", "All of it must be true of a row; without any: everything.")
        scope.add_argument("--data-class", metavar="CLASS")
        scope.add_argument("--entity", help="As docs/catalogue.md.")
        scope.add_argument("--subject", action="append", metavar="NUMBER", help="Of this customer; repeatable.")
        scope.add_argument("--from", metavar="WHEN", help="A moment with its offset, or a day, in UTC.")
        scope.add_argument("--until", metavar="WHEN", help="The same; a day counts to its end.")
        scope.add_argument("--query", help="[{field, op, value}] in JSON; needs --entity.")
        place = parser.add_argument_group("place")
        place.add_argument("--matter", type=UUID, metavar="ID", help="The matter it is for; or open one:")
        place.add_argument("--name", help="Its name. It names no customer.")
        place.add_argument("--reason", help="The duty to keep; with release: why nothing is to be kept any more.")
        place.add_argument("--reference", default="", help="Its file number.")
        place.add_argument("--counsel", default="")
        place.add_argument("--custodian", action="append", default=[], metavar="E-MAIL", help="Is told; repeatable.")
        place.add_argument("--confirm", action="store_true", help="Also when it finds nothing, or everything there is.")
        place.add_argument("--dry-run", action="store_true", help="Only say what would be held.")
        release = parser.add_argument_group("release")
        release.add_argument("--hold", type=UUID, metavar="ID")
        release.add_argument("--ask-as", metavar="E-MAIL", help="The member who asks.")
        listing = parser.add_argument_group("list")
        listing.add_argument("--state", choices=HoldState.values)

    def handle_tenant(self, **options: Any) -> None:
        do: Callable[..., tuple[Any, str]] = getattr(self, f"_{options['what']}")
        try:
            with transaction():
                said, text = do(**options)
        except matters.ScopeRefused as e:
            self._note(e, options)
            _refuse(e.field, str(e))
        except tuple(_REFUSED) as e:
            self._note(e, options)
            raise CommandError(_REFUSED[type(e)]) from e
        self.stdout.write(json.dumps(said) if options["json"] else text)

    def _note(self, refusal: Exception, options: dict[str, Any]) -> None:
        if options["what"] == "preview" or options["dry_run"] or type(refusal) not in refusals.CODES:
            return
        here = current()
        refusals.note(
            refusal,
            entity_type=matters.ENTITY,
            entity_id=str(options["hold"] or ""),
            tenant_id=here.tenant_id,
            actor=here.actor,
            request_id=here.request_id,
        )

    def _list(self, **options: Any) -> tuple[Any, str]:
        rows = Hold.objects.for_matters().newest_first()
        if options["state"]:
            rows = rows.filter(state=options["state"])
        shown = wires(list(rows))
        return {"holds": shown}, "\n".join(map(_line, shown)) or "Nothing is held for a matter."

    def _preview(self, **options: Any) -> tuple[Any, str]:
        found = preview_of(what_of(_scope(options)))
        lines = [f"{rows:>12,}  {entity}" for entity, rows in sorted(found["byEntity"].items())]
        warning = [f"It finds {found['confirm']}: placing it wants --confirm."] if found["confirm"] else []
        return found, "\n".join([f"{found['rows']:>12,}  rows", *lines, *warning])

    def _place(self, **options: Any) -> tuple[Any, str]:
        if options["dry_run"]:
            return self._preview(**options)
        hold = matters.place(
            matter=_matter(options),
            what=what_of(_scope(options)),
            custodians=[_member(email, "--custodian").id or "" for email in options["custodian"]],
            confirm=options["confirm"],
            actor=current().actor,
            now=clock.now(),
        )
        hold.refresh_from_db()
        shown = wire(hold)
        return shown, _line(shown)

    def _release(self, **options: Any) -> tuple[Any, str]:
        for name in ("hold", "ask_as", "reason"):
            if not options[name]:
                raise CommandError(f"release needs --{name.replace('_', '-')}.")
        hold = Hold.objects.for_matters().filter(pk=options["hold"]).first()
        if hold is None:
            raise CommandError(f"--hold {options['hold']}: there is no such hold.")
        actor = _member(options["ask_as"], "--ask-as")
        asked = matters.ask_release(hold=hold, reason=options["reason"], actor=actor, now=clock.now())
        text = f"Asked: request {asked.pk} waits for a second person. Until the cooling-off is over it holds as before."
        return {"approval": ApprovalOut(asked).data}, text


def _scope(options: dict[str, Any]) -> dict[str, Any]:
    given = {
        "dataClass": options["data_class"],
        "entity": options["entity"],
        "subjects": options["subject"],
        "from": options["from"],
        "until": options["until"],
        "query": options["query"],
    }
    if options["query"] is not None:
        try:
            given["query"] = json.loads(options["query"])
        except ValueError as e:
            raise CommandError("--query: is no JSON.") from e
    serializer = ScopeIn(data={name: value for name, value in given.items() if value is not None})
    if not serializer.is_valid():
        field, faults = next(iter(serializer.errors.items()))
        # A fault of a list is told by the number of its member.
        fault = next(iter(faults.values())) if isinstance(faults, dict) else faults
        _refuse(field, str(fault[0]))
    return dict(serializer.validated_data)


def _matter(options: dict[str, Any]) -> Matter:
    if options["matter"]:
        found = Matter.objects.filter(pk=options["matter"]).first()
        if found is None:
            raise CommandError(f"--matter {options['matter']}: there is no such matter.")
        return found
    return matters.open_matter(
        name=options["name"] or "",
        reason=options["reason"] or "",
        reference=options["reference"],
        counsel=options["counsel"],
        actor=current().actor,
        now=clock.now(),
    )


def _member(email: str, option: str) -> Actor:
    found = Membership.objects.filter(user__email=email.strip().lower(), user__is_active=True).first()
    if found is None:
        raise CommandError(f"{option} {email}: no member of this tenant has this address.")
    return Actor(id=str(found.user_id), name=found.user.name, type="user")


# As the options are called.
_OPTIONS = {"dataClass": "data-class", "subjects": "subject", "custodians": "custodian", "scope": "confirm"}


def _refuse(field: str, reason: str) -> NoReturn:
    raise CommandError(f"--{_OPTIONS.get(field, field)}: {reason}")


def _line(hold: dict[str, Any]) -> str:
    whom = "everybody" if hold["subjectCount"] is None else f"{hold['subjectCount']:,} customers"
    what = f"{hold['dataClass'] or 'every class'}/{hold['entity'] or 'every entity'}"
    told = f"  {hold['noticesAcknowledged']} of {hold['noticesSent']} told acknowledged" if hold["noticesSent"] else ""
    ends = f" at {hold['releasesAt']}" if hold["state"] == HoldState.RELEASING else ""
    name = hold["matter"]["name"]
    return f"{hold['id']}  {hold['placedAt'][:16]}  {hold['state']}{ends}  {what} of {whom}  {name}{told}"
