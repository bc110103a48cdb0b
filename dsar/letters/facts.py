"""What a letter can tell of its request: the closed list of what stands between braces in a template, as plain text.

Every value is text that is put in as it stands: nothing in it is looked at again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.utils import translation
from django.utils.dateformat import format as formatted

from dsar.deadlines import Clock, local_date
from dsar.letters.words import LANGUAGES
from dsar.letters.words.language import Language
from dsar.models import DsarRequest, LetterKind, LetterSettings, Outcome, RequestType
from dsar.recipients.telling import Told
from dsar.requests import clocks, grounds
from dsar.requests.kinds import BY_PERSON, WITH_PACKAGE
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

_EVERY = frozenset(
    {"organisation", "reference", "law", "request", "received_on", "due_on", "article", "contact", "authority"}
)
# By kind of letter: what its template may name. A subject line takes those of SINGLE_LINE alone.
PLACEHOLDERS: dict[str, frozenset[str]] = {
    LetterKind.ACKNOWLEDGEMENT: _EVERY,
    LetterKind.DUPLICATE: _EVERY | {"first_received_on"},
    LetterKind.EXTENSION: _EVERY | {"new_due_on", "reason", "remedies"},
    LetterKind.REFUSAL: _EVERY | {"ground", "reason", "remedies"},
    LetterKind.DEFERRAL: _EVERY | {"done", "retained", "when", "recipients", "remedies"},
    LetterKind.COMPLETION: _EVERY | {"done", "package", "retained", "recipients", "remedies"},
    LetterKind.WITHDRAWAL: _EVERY,
}
SINGLE_LINE = frozenset({"organisation", "reference", "request", "received_on", "due_on", "new_due_on"})
_WITH_REMEDIES = (LetterKind.EXTENSION, LetterKind.REFUSAL, LetterKind.DEFERRAL)


@dataclass(frozen=True, kw_only=True)
class Supposed:
    """For a preview: what is not there yet. `clock` is the extended one, the others are what an officer may say."""

    clock: Clock | None = None
    ground: str = ""
    reason: str = ""
    resolution: str = ""
    outcome: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """One request, and the way its tenant writes letters."""

    request: DsarRequest
    settings: LetterSettings
    language: str
    told: Told = field(default_factory=Told)
    supposed: Supposed = field(default_factory=Supposed)

    @property
    def words(self) -> Language:
        return LANGUAGES[self.language]


@requires_transaction
def of(about: About, kind: str) -> dict[str, str]:
    """The value of each placeholder of this kind of letter, in the letter's language."""
    request, words = about.request, about.words
    clock = about.supposed.clock or clocks.clock_of(request)
    extension = kind == LetterKind.EXTENSION
    due = clock.due if extension else (clock.deadline or clock.due)
    article = clock.terms.extend_article if extension or clock.extension else clock.terms.respond_article
    found = {
        "organisation": Tenant.objects.get(pk=context.tenant_id()).name,
        "reference": str(request.pk),
        "law": words.laws[request.regulation],
        "request": words.requests[request.request_type],
        "received_on": _day(local_date(request.received_at, clock.tz), about),
        "due_on": _day(due, about),
        "article": words.cite(_plain(article)),
        "contact": _contact(about),
        "authority": _authority(about),
        "first_received_on": _first_received(about, clock) if kind == LetterKind.DUPLICATE else "",
        "new_due_on": _day(clock.extended_due, about) if extension and clock.extended_due else "",
        "reason": _reason(about, kind),
        "ground": "",
        "done": _done(about),
        "package": _package(about, clock),
        "retained": _retained(about),
        "when": words.when,
        "recipients": _recipients(about),
        "remedies": "",
    }
    if kind == LetterKind.REFUSAL:
        name = about.supposed.ground or request.ground
        found["ground"] = words.grounds.get(name, "")
        found["article"] = words.cite(_article(request, name) if about.supposed.ground else request.article)
    if kind in _WITH_REMEDIES or (kind == LetterKind.COMPLETION and (_outcome(about) != Outcome.COMPLETED)):
        sentences = words.remedies[request.regulation]
        found["remedies"] = sentences.format(authority=found["authority"], contact=found["contact"])
    return {name: found[name] for name in PLACEHOLDERS[kind]}


def _contact(about: About) -> str:
    return about.settings.contact or about.words.contact


def _authority(about: About) -> str:
    if about.settings.authority:
        return about.words.authority_named.format(authority=about.settings.authority)
    return about.words.authorities[about.request.regulation]


def _outcome(about: About) -> str:
    return about.supposed.outcome or about.request.outcome or Outcome.COMPLETED


def _article(request: DsarRequest, ground: str) -> str:
    return grounds.article_for(ground, request_type=request.request_type, regulation=request.regulation)


def _reason(about: About, kind: str) -> str:
    if about.supposed.reason:
        return about.supposed.reason
    if kind == LetterKind.EXTENSION:
        return about.request.extension_reason
    return about.request.notes.get("refusal", "") if kind == LetterKind.REFUSAL else ""


def _first_received(about: About, clock: Clock) -> str:
    first = DsarRequest.objects.filter(pk=about.request.answered_by).first()
    return _day(local_date(first.received_at, clock.tz), about) if first else ""


def _done(about: About) -> str:
    request, words, outcome = about.request, about.words, _outcome(about)
    if outcome == Outcome.NO_DATA:
        return words.no_data
    if outcome == Outcome.PARTIALLY_COMPLETED and request.request_type != RequestType.DELETE:
        parts = [words.in_part]
    else:
        parts = [words.done[request.request_type]]
    if request.request_type in BY_PERSON:
        resolution = about.supposed.resolution or request.notes.get("resolution", "")
        parts += [words.resolution.format(resolution=resolution)] if resolution else []
    if request.request_type == RequestType.OBJECTION and request.counts:
        parts += [words.done[RequestType.OPT_OUT]]
    if request.request_type == RequestType.OPT_OUT or "consentsWithdrawn" in request.counts:
        parts += [words.opted_out.format(count=request.counts.get("consentsWithdrawn", 0))]
    if request.request_type == RequestType.DELETE:
        parts += _counted(words.erased, request.counts.get("deleted", {}), words)
        parts += _counted(words.reduced, request.counts.get("reduced", {}), words)
    return "\n\n".join(parts)


def _counted(lead: str, counts: Mapping[str, int], words: Language) -> list[str]:
    lines = [f"- {words.data.get(name, name)}: {count}" for name, count in counts.items() if count]
    return [_listed(lead, lines)] if lines else []


def _package(about: About, clock: Clock) -> str:
    request, words = about.request, about.words
    if request.request_type not in WITH_PACKAGE or request.package_expires_at is None:
        return ""
    last = _day(local_date(request.package_expires_at, clock.tz), about)
    handover = about.settings.handover or words.handover.format(contact=_contact(about))
    return words.package.format(date=last, handover=handover)


def _retained(about: About) -> str:
    lines = [_retained_line(entry, about) for entry in about.request.retained]
    return _listed(about.words.kept_lead, lines) if lines else ""


def _retained_line(entry: Mapping[str, Any], about: About) -> str:
    words = about.words
    why = why_kept(entry["ground"], regulation=about.request.regulation, words=words)
    until = (
        f"; {words.until.format(date=_day(date_of(entry['until'], about.request), about))}" if entry["until"] else ""
    )
    return f"- {words.data.get(entry['entity'], entry['entity'])}: {entry['count']}; {why}{until}"


def why_kept(ground: str, *, regulation: str, words: Language) -> str:
    """Why an erasure left something, with the articles of the law."""
    articles = (grounds.GROUNDS[name].articles.get(regulation, "") for name in ("legal_obligation", "legal_claims"))
    cited = "; ".join(words.cite(article) for article in articles if article)
    return words.kept.get(ground, ground.replace("_", " ")).format(article=cited)


def _recipients(about: About) -> str:
    words, told = about.words, about.told
    article = f" ({words.cite(told.article)})" if told.article else ""
    blocks = (
        (words.told_lead, told.told),
        (words.being_told, told.being_told),
        (words.not_told_lead, told.not_told),
    )
    return "\n\n".join(
        _listed(lead.format(article=article), [f"- {name}" for name in names]) for lead, names in blocks if names
    )


def _listed(lead: str, lines: Iterable[str]) -> str:
    return "\n".join([lead, *lines])


def _day(day: date, about: About) -> str:
    with translation.override(about.language):
        text = formatted(day, about.words.date)
    return text.replace("1 ", f"{about.words.first} ", 1) if day.day == 1 else text


def date_of(text: str, request: DsarRequest) -> date:
    """Of a day, or of a moment: what a hold's end is known as. A moment falls on the day that it has for the tenant."""
    if "T" not in text:
        return date.fromisoformat(text)
    return local_date(datetime.fromisoformat(text), clocks.zone_of(request))


def _plain(article: str) -> str:
    """Without the remarks that officers read."""
    return article.split(" (", maxsplit=1)[0]


def message_id_of(letter_id: UUID) -> str:
    """The Message-ID that a letter has however often it is sent."""
    return f"<{letter_id}@kaireon>"
