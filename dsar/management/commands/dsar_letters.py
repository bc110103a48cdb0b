"""manage.py dsar_letters list|retry|preview|settings --tenant acme: letters to subjects from the command line."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from dsar.letters import facts, manner, sending, words, writing
from dsar.letters.facts import Supposed
from dsar.models import DsarRequest, Letter, LetterKind, LetterState
from dsar.requests.grounds import GROUNDS
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import transaction

_MOST = 200
_SWITCH = {"on": True, "off": False}


class Command(TenantCommand):
    help = (
        "List letters to subjects that need somebody, send failed ones again, preview one, or set how they are written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=["list", "retry", "preview", "settings"])
        parser.add_argument(
            "ids", nargs="*", type=UUID, help="retry: letters, none for all that failed; else a request."
        )
        parser.add_argument("--all", action="store_true", help="list: those that were sent too, the newest 200.")
        parser.add_argument("--kind", choices=list(LetterKind.values), help="preview: which letter.")
        parser.add_argument("--ground", choices=list(GROUNDS), default="", help="preview: of a refusal.")
        parser.add_argument("--reason", default="", help="preview: of a refusal or an extension.")
        parser.add_argument(
            "--language", choices=list(words.LANGUAGES), help="preview: in which; settings: the default."
        )
        parser.add_argument(
            "--automatic", choices=list(_SWITCH), help="settings: written and sent by themselves, or not."
        )
        for name in ("sender", "contact", "authority", "handover"):
            parser.add_argument(f"--{name}", help="settings: see docs/dsar.md.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle_tenant(self, **options: Any) -> str:
        shown = getattr(self, f"_{options['action']}")(options)
        if options["json"]:
            return json.dumps(shown, indent=2)
        if isinstance(shown, dict):
            return "\n".join(f"{name}: {value}" if name != "text" else f"\n{value}" for name, value in shown.items())
        return "\n".join("\t".join(str(value or "") for value in row.values()) for row in shown)

    def _list(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        with transaction():
            rows = (
                Letter.objects.exclude(state=LetterState.KEPT) if options["all"] else Letter.objects.wanting_somebody()
            )
            if options["ids"]:
                rows = rows.filter(request__in=options["ids"])
            return [_shown(letter) for letter in rows.order_by("-written_at", "-id")[:_MOST]]

    def _retry(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        with transaction():
            rows = Letter.objects.filter(state=LetterState.FAILED)
            if wanted := options["ids"]:
                rows = rows.filter(pk__in=wanted)
                if missing := set(wanted) - set(rows.values_list("pk", flat=True)):
                    raise CommandError(f"{min(missing)}: no failed letter of this tenant has this id.")
            try:
                return [_shown(sending.retry(letter, now=clock.now())) for letter in rows.order_by("written_at")]
            except sending.TextGone as e:
                raise CommandError(f"{e}: what this letter said is gone.") from e

    def _preview(self, options: dict[str, Any]) -> dict[str, Any]:
        if len(options["ids"]) != 1 or not options["kind"]:
            raise CommandError("dsar_letters preview needs one request and --kind.")
        with transaction():
            request = DsarRequest.objects.filter(pk=options["ids"][0]).first()
            if request is None:
                raise CommandError(f"{options['ids'][0]}: this tenant has no such request.")
            supposed = Supposed(ground=options["ground"], reason=options["reason"])
            language = options["language"] or ""
            try:
                return writing.preview(request, options["kind"], language=language, supposed=supposed, now=clock.now())
            except writing.LetterRefused as e:
                raise CommandError(str(e)) from e

    def _settings(self, options: dict[str, Any]) -> dict[str, Any]:
        given = {name: options[name] for name in manner.FIELDS if options[name] is not None}
        if "automatic" in given:
            given["automatic"] = _SWITCH[given["automatic"]]
        try:
            with transaction():
                row = manner.change(given, now=clock.now()) if given else manner.of_tenant()
        except manner.MannerRefused as e:
            raise CommandError(f"--{e.field}: {e}") from e
        return {name: getattr(row, name) for name in manner.FIELDS}


def _shown(letter: Letter) -> dict[str, Any]:
    return {
        "id": str(letter.pk),
        "requestId": str(letter.request_id),
        "kind": letter.kind,
        "state": letter.state,
        "error": letter.error or None,
        "writtenAt": clock.rfc3339(letter.written_at),
        "messageId": facts.message_id_of(letter.pk),
    }
