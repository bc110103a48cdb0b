"""manage.py dsar_move withdraw ID --tenant acme: the moves of a request's life from the command line."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db import transaction as django_transaction

from audit import services as audit_log
from dsar.models import DsarRequest
from dsar.requests import assigning, grounds, identity, outcomes, timeline
from dsar.requests.grounds import GROUNDS
from dsar.requests.life_api import REFUSALS
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction

_MOVES = ("vouch", "assign", "complete", "reject", "withdraw", "timeline")
# What each needs beside the request.
_NEEDS: dict[str, tuple[str, ...]] = {
    "vouch": ("reason",),
    "complete": ("resolution",),
    "reject": ("ground", "reason"),
}


class Command(TenantCommand):
    help = "Confirm who asks, assign, complete, reject or withdraw a subject request, or tell what happened to it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("move", choices=_MOVES)
        parser.add_argument("request", type=UUID, help="Id of the request.")
        parser.add_argument("--reason", help="vouch, reject: why. Kept sealed.")
        parser.add_argument("--evidence", choices=list(identity.EVIDENCE), help="vouch: what was seen.")
        parser.add_argument("--ground", choices=list(GROUNDS), help="reject: on which ground.")
        parser.add_argument("--resolution", help="complete: what was done. Kept sealed.")
        parser.add_argument("--outcome", choices=[o.value for o in outcomes.BY_HAND], help="complete: by a person.")
        parser.add_argument(
            "--direct-marketing",
            action="store_true",
            help="complete: what an objection was to; nobody contacts the subject from then on.",
        )
        parser.add_argument("--to", default="", help="assign: a member's e-mail address or id; without it nobody.")
        parser.add_argument("--dry-run", action="store_true", help="Say what it would come to, and change nothing.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle_tenant(self, **options: Any) -> str:
        move = options["move"]
        _check(options)
        if move == "timeline":
            return self._timeline(options)
        try:
            with transaction():
                job = self._moves()[move](self._found(options), options)
                row = self._found(options)
                if options["dry_run"]:
                    django_transaction.set_rollback(True)
        except identity.IdentityRefused as e:
            raise CommandError(str(e)) from e
        except grounds.GroundNotInLaw as e:
            raise CommandError(f"--ground {e}") from e
        except assigning.NotAnOfficer as e:
            raise CommandError(f"--to {e}") from e
        except tuple(REFUSALS) as e:
            raise CommandError(REFUSALS[type(e)][1]) from e
        if job is not None and not options["dry_run"]:
            jobs.wake(job)
        shown = {"id": str(row.pk), "status": row.status, "state": row.state, "outcome": row.outcome}
        if options["json"]:
            return json.dumps({**shown, "dryRun": options["dry_run"]})
        would = "would be " if options["dry_run"] else ""
        return f"{row.pk}: {would}{row.state} {row.outcome}".rstrip()

    def _moves(self) -> dict[str, Callable[[DsarRequest, dict[str, Any]], Job | None]]:
        return {
            "vouch": self._vouch,
            "assign": self._assign,
            "complete": self._complete,
            "reject": self._reject,
            "withdraw": self._withdraw,
        }

    def _vouch(self, row: DsarRequest, options: dict[str, Any]) -> Job | None:
        seen = options["evidence"] or ""
        method = "evidence" if seen else "vouched"
        reason = options["reason"]
        return identity.vouch(request=row, method=method, reason=reason, evidence=seen, now=clock.now())

    def _assign(self, row: DsarRequest, options: dict[str, Any]) -> None:
        assigning.assign(request=row, to=options["to"])

    def _complete(self, row: DsarRequest, options: dict[str, Any]) -> None:
        given = {"outcome": options["outcome"]} if options["outcome"] else {}
        marketing = options["direct_marketing"]
        outcomes.complete(
            request=row, resolution=options["resolution"], direct_marketing=marketing, now=clock.now(), **given
        )

    def _reject(self, row: DsarRequest, options: dict[str, Any]) -> None:
        actor = context.current().actor
        ground, reason = options["ground"], options["reason"]
        outcomes.reject(request=row, ground=ground, reason=reason, actor=actor, now=clock.now())

    def _withdraw(self, row: DsarRequest, options: dict[str, Any]) -> None:
        outcomes.withdraw(request=row, actor=context.current().actor, now=clock.now())

    def _timeline(self, options: dict[str, Any]) -> str:
        audit_log.drain(context.tenant_id())
        with transaction():
            events = timeline.timeline(self._found(options))
        shown = [
            {"at": clock.rfc3339(e.at), "action": e.action, "by": e.by, "state": e.state, "recordId": str(e.record)}
            for e in events
        ]
        if options["json"]:
            return json.dumps(shown, indent=2)
        return "\n".join("\t".join(str(event[c] or "") for c in ("at", "action", "state", "by")) for event in shown)

    def _found(self, options: dict[str, Any]) -> DsarRequest:
        row = DsarRequest.objects.filter(pk=options["request"]).first()
        if row is None:
            raise CommandError(f"{options['request']}: this tenant has no such request.")
        return row


def _check(options: dict[str, Any]) -> None:
    for needed in _NEEDS.get(options["move"], ()):
        if not 1 <= len((options[needed] or "").strip()) <= outcomes.MOST_TEXT:
            text = f"dsar_move {options['move']} needs --{needed}, of at most {outcomes.MOST_TEXT} characters."
            raise CommandError(text)
