"""Subject requests from the command line."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from audit.tree.checkpoints import LogContradictsCheckpoint
from dsar import deadlines
from dsar.certifying import certificates
from dsar.erasing import plans
from dsar.models import DsarRequest, RequestType, Status, SubjectType
from dsar.requests import clocks_command, services, subjects
from kaireon.approvals import services as approvals
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.lib.masking import mask
from kaireon.tenancy import context
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction

_COLUMNS = ("id", "type", "subject", "status", "outcome", "due", "error")
_ASK_IN_PERSON = "A second person must agree to an erasure here, so a person must ask: over the API or in the admin."
_PLAN_COLUMNS = ("entity", "dataClass", "action", "count", "ground", "until")


class Command(TenantCommand):
    help = (
        "List, show, plan, file, process or retry requests of data subjects, shown masked, look after their clocks, or"
        " hand out the certificate of an erasure."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = ["list", "show", "plan", "create", "process", "retry", "certificate", *clocks_command.ACTIONS]
        parser.add_argument("action", choices=actions)
        parser.add_argument("request", nargs="?", type=UUID, help="Id of the request, for all but list and create.")
        parser.add_argument("--json", action="store_true", help="For programs; of a certificate the signed bytes.")
        parser.add_argument("--status", choices=Status.values, help="list: only these.")
        parser.add_argument("--limit", type=int, default=50, help="list: at most so many, newest first.")
        parser.add_argument("--type", choices=RequestType.values, default=RequestType.EXPORT, help="create: which.")
        parser.add_argument("--subject-id", help="create: the customer number or e-mail address.")
        parser.add_argument("--subject-type", choices=SubjectType.values, default=SubjectType.CUSTOMER_ID)
        parser.add_argument("--regulation", choices=list(deadlines.LAWS), help="create: default is the tenant's.")
        parser.add_argument("--encrypt", action="store_true", help="create: answer with an encrypted package.")
        clocks_command.add_arguments(parser)

    def handle_tenant(self, **options: Any) -> str | None:
        action = options["action"]
        about_one = ("show", "plan", "retry", "certificate", *clocks_command.ON_REQUESTS)
        if action in about_one and options["request"] is None:
            raise CommandError(f"dsar {action} needs the id of a request.")
        if action in ("plan", "certificate"):
            return self._plan(options) if action == "plan" else self._certificate(options)
        if action in clocks_command.ACTIONS:
            return clocks_command.run(options)
        rows = {
            "list": self._list,
            "show": self._show,
            "create": self._create,
            "process": self._process,
            "retry": self._retry,
        }[action](options)
        with transaction():
            shown = [_row(row) for row in rows]
        if options["json"]:
            return json.dumps(shown, indent=2)
        return "\n".join(["\t".join(_COLUMNS), *("\t".join(str(row[c]) for c in _COLUMNS) for row in shown)])

    def _list(self, options: dict[str, Any]) -> list[DsarRequest]:
        with transaction():
            rows = DsarRequest.objects.newest_first()
            if options["status"]:
                rows = rows.filter(status=options["status"])
            return list(rows[: max(0, options["limit"])])

    def _show(self, options: dict[str, Any]) -> list[DsarRequest]:
        with transaction():
            row = DsarRequest.objects.filter(pk=options["request"]).first()
        if row is None:
            raise CommandError(f"{options['request']}: this tenant has no such request.")
        return [row]

    def _plan(self, options: dict[str, Any]) -> str:
        """What an erasure would do; see dsar/erasing/plans.py."""
        [row] = self._show(options)
        try:
            with transaction():
                plan = plans.wire(plans.look(row, now=clock.now()))
        except plans.NotAnErasure as e:
            raise CommandError(f"{row.pk}: only a request for erasure has a plan.") from e
        except plans.NoPlan as e:
            raise CommandError(f"{row.pk}: the erasure is done and its plan was not kept.") from e
        if options["json"]:
            return json.dumps(plan, indent=2)
        lines = ["\t".join(str(item[c] or "") for c in _PLAN_COLUMNS) for item in plan["items"]]
        return "\n".join(["\t".join(_PLAN_COLUMNS), *lines, f"{plan['subject']} subject, digest {plan['digest']}"])

    def _create(self, options: dict[str, Any]) -> list[DsarRequest]:
        if not options["subject_id"]:
            raise CommandError("dsar create needs --subject-id.")
        try:
            with transaction():
                filed = services.create_request(
                    request_type=options["type"],
                    subject_id=options["subject_id"],
                    subject_type=options["subject_type"],
                    regulation=options["regulation"],
                    encrypt=options["encrypt"],
                    actor=context.current().actor,
                    now=clock.now(),
                )
        except subjects.SubjectRefused as e:
            raise CommandError(f"--subject-id {e}") from e
        except approvals.RequesterMayNot as e:
            raise CommandError(_ASK_IN_PERSON) from e
        services.wake(filed)
        return [filed.request]

    def _process(self, options: dict[str, Any]) -> list[DsarRequest]:
        """Work on what is due here and now, without a worker; what a worker has already is left to it."""
        with transaction():
            due = DsarRequest.objects.exclude(status__in=[Status.COMPLETED, Status.FAILED]).order_by("requested_at")
            if options["request"]:
                due = due.filter(pk=options["request"])
            found = list(due)
        for row in found:
            self.stderr.write(f"{row.request_type} request {row.pk} …")
            if row.job_ref is None or runner.run(job_id=row.job_ref) is None:
                self.stderr.write("  not due, or a worker has it")
        with transaction():
            return list(DsarRequest.objects.filter(pk__in=[row.pk for row in found]).order_by("requested_at"))

    def _certificate(self, options: dict[str, Any]) -> str:
        """The signed bytes, or what they are in a few words."""
        [row] = self._show(options)
        try:
            certificates.seal_log()
            with transaction():
                certificate = certificates.issue(row, now=clock.now())
                certificates.record_reading(certificate, via="command")
        except certificates.NoCertificate as e:
            raise CommandError(f"{row.pk}: {e}") from e
        except LogContradictsCheckpoint as e:
            raise CommandError("The log contradicts its last checkpoint: run audit_verify first.") from e
        if options["json"]:
            return bytes(certificate.content).decode()
        return (
            f"Certificate of request {row.pk}, issued {clock.rfc3339(certificate.issued_at)}.\n"
            f"  SHA-256     {certificate.sha256}\n"
            f"  Signed by   key {certificate.key_id}, under the checkpoint of {certificate.tree_size} records\n"
            f"Take it with --json, check it with kaireon_verify.py."
        )

    def _retry(self, options: dict[str, Any]) -> list[DsarRequest]:
        [row] = self._show(options)
        try:
            with transaction():
                filed = services.retry_request(request=row, now=clock.now())
        except services.RequestNotFailed as e:
            raise CommandError(f"{row.pk}: only a failed request is tried again; this one is {row.status}.") from e
        except approvals.RequesterMayNot as e:
            raise CommandError(_ASK_IN_PERSON) from e
        services.wake(filed)
        return [filed.request]


def _row(row: DsarRequest) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "type": row.request_type,
        "subject": row.subject_id if row.is_shredded else mask(row.subject_id),
        "status": row.status,
        "outcome": row.outcome,
        "due": row.deadline_on.isoformat() if row.deadline_on else "paused",
        "error": row.error,
        "counts": row.counts,
        "retained": row.retained,
    }
