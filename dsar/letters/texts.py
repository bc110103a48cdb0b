"""Templates and what becomes of them: the product's own in templates/dsar/letters, or a tenant's in their place.

A template is plain text with `{{ name }}` in it, each name from the closed list of its kind. Both are filled in by one
substitution, in one pass: no template language runs, and nothing that a value says is looked at again.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import cast

from django.db import connection
from django.template.loader import get_template

import audit
from dsar.letters.facts import PLACEHOLDERS, SINGLE_LINE
from dsar.letters.words import LANGUAGES
from dsar.models import LetterKind, LetterTemplate
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

MOST_SUBJECT = 150
MOST_BODY = 10_000
# What the outbox's mail takes.
_LONGEST_SUBJECT = 200

_PLACEHOLDER = re.compile(r"\{\{ ?([a-z_]+) ?\}\}")
_BRACES = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")
_SUBJECT = "Subject: "
# No letter without these: what the law wants said.
_NEEDED: dict[str, frozenset[str]] = {
    LetterKind.ACKNOWLEDGEMENT: frozenset({"due_on"}),
    LetterKind.DUPLICATE: frozenset({"due_on"}),
    LetterKind.EXTENSION: frozenset({"new_due_on", "reason"}),
    LetterKind.REFUSAL: frozenset({"ground", "remedies"}),
    LetterKind.DEFERRAL: frozenset({"done", "retained", "remedies"}),
    LetterKind.COMPLETION: frozenset({"done", "retained", "remedies"}),
}


class TemplateRefused(ValueError):
    """The text is no template of this kind. Says why; `field` is `subject` or `body`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Template:
    """`version` is that of the tenant's own words; 0 says that they are the product's."""

    subject: str
    body: str
    version: int = 0


@requires_transaction
def template_for(kind: str, language: str) -> Template:
    """The tenant's own words, or the product's."""
    own = _newest(kind, language)
    if own is None or not own.body:
        return shipped(kind, language)
    return Template(subject=own.subject, body=own.body, version=own.version)


@cache
def shipped(kind: str, language: str) -> Template:
    """The product's words."""
    # Django finds it, and does not run it.
    source = cast(str, get_template(f"dsar/letters/{language}/{kind}.txt").template.source)  # type: ignore[attr-defined]
    subject, _, body = source.partition("\n")
    return Template(subject=subject.removeprefix(_SUBJECT), body=body.strip() + "\n")


@requires_transaction
def replace(*, kind: str, language: str, subject: str, body: str, now: datetime) -> LetterTemplate:
    """Say it in the tenant's own words from now on; recorded as `dsar.letter.template`. Raises TemplateRefused."""
    subject, body = subject.strip(), body.replace("\r\n", "\n").strip() + "\n"
    check(kind=kind, subject=subject, body=body)
    return _add(kind, language, subject, body, now=now)


@requires_transaction
def restore(*, kind: str, language: str, now: datetime) -> bool:
    """Say it in the product's words again; recorded as `dsar.letter.template`. False when they are used."""
    if not template_for(kind, language).version:
        return False
    _add(kind, language, "", "", now=now)
    return True


def check(*, kind: str, subject: str, body: str) -> None:
    """Raises TemplateRefused."""
    for field, text, most in (("subject", subject, MOST_SUBJECT), ("body", body, MOST_BODY)):
        if not text.strip():
            raise TemplateRefused(field, "Say something.")
        if len(text) > most:
            raise TemplateRefused(field, f"At most {most} characters.")
        allowed = "\n\t" if field == "body" else ""
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in allowed for c in text):
            raise TemplateRefused(
                field, "One line without control characters." if field == "subject" else "Plain text."
            )
        known = PLACEHOLDERS[kind] & SINGLE_LINE if field == "subject" else PLACEHOLDERS[kind]
        if unknown := set(_PLACEHOLDER.findall(text)) - known:
            listed = ", ".join(sorted(known))
            raise TemplateRefused(field, f"{{{{ {min(unknown)[:40]} }}}} is none of: {listed}.")
        if _BRACES.search(_PLACEHOLDER.sub("", text)):
            raise TemplateRefused(field, "Between double braces stands one name, and there are no tags.")
    if missing := _NEEDED.get(kind, frozenset()) - set(_PLACEHOLDER.findall(body)):
        raise TemplateRefused("body", f"The law wants it said: {{{{ {min(missing)} }}}} is missing.")


def filled(template: Template, values: dict[str, str]) -> tuple[str, str]:
    """Subject and text. The subject is one line whatever the values say."""
    subject = " ".join(_clean(_fill(template.subject, values)).split())[:_LONGEST_SUBJECT]
    text = _fill(template.body, values).replace("\r\n", "\n")
    return subject, re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def languages() -> list[tuple[str, str]]:
    """Those that there are words in, by their own name."""
    return [(tag, words.name) for tag, words in LANGUAGES.items()]


def _add(kind: str, language: str, subject: str, body: str, *, now: datetime) -> LetterTemplate:
    with connection.cursor() as cursor:
        # Of two at once each makes a version of its own.
        lock = f"letter-template:{context.tenant_id()}:{kind}:{language}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
    before = _newest(kind, language)
    row = LetterTemplate(kind=kind, language=language, subject=subject, body=body, written_at=now)
    row.version = before.version + 1 if before else 1
    audit.action("dsar.letter.template", entity=row)
    row.save(force_insert=True)
    return row


def _newest(kind: str, language: str) -> LetterTemplate | None:
    return LetterTemplate.objects.filter(kind=kind, language=language).order_by("-version").first()


def _fill(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _clean(text: str) -> str:
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
