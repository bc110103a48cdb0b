"""The reports there are, by name. Layers above register theirs from their app's `ready`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from compliance.reporting.document import Document, Period, Section
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant
from kaireon.tenancy.roles import Permission

Found = TypeVar("Found")


class UnknownTemplate(LookupError):
    """No report has this name. `str()` of it lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:64]!r} is no report; known are {', '.join(sorted(TEMPLATES))}.")


class TemplateTaken(ValueError):
    """Two different reports were registered under one name."""


class TemplateFailed(RuntimeError):
    """A section of a report could not be made. Its cause is chained; `str()` tells its type and nothing it said."""

    def __init__(self, template: str, section: str, cause: Exception) -> None:
        super().__init__(f"The section “{section}” of the report {template} failed with {type(cause).__name__}.")
        self.template = template
        self.section = section


@dataclass(frozen=True, kw_only=True)
class Asked:
    """For what a report is made: a period, told in `zone`, as it is known at `now`."""

    period: Period
    zone: ZoneInfo
    now: datetime
    _known: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, read: "Callable[[Asked], Found]") -> Found:
        """What `read` gives, read once for all sections of a report."""
        if read not in self._known:
            self._known[read] = read(self)
        found: Found = self._known[read]
        return found


@dataclass(frozen=True, kw_only=True)
class Template:
    """`sections` are made in this order, each under its title in the mapping; `summary` is a sentence or two.

    `permission`: what somebody needs to read what the report tells.
    """

    name: str
    title: str
    help: str
    permission: Permission
    summary: Callable[[Asked], str]
    sections: dict[str, Callable[[Asked], Section]]


TEMPLATES: dict[str, Template] = {}


def register(*templates: Template) -> None:
    """Let these be asked for. Raises TemplateTaken."""
    for template in templates:
        if TEMPLATES.setdefault(template.name, template) != template:
            raise TemplateTaken(template.name)


def get(name: str) -> Template:
    """Raises UnknownTemplate, which lists the names there are."""
    try:
        return TEMPLATES[name]
    except KeyError as e:
        raise UnknownTemplate(name) from e


@requires_transaction
def build(name: str, *, period: Period, zone: ZoneInfo, now: datetime) -> Document:
    """The report of the active tenant. In a transaction of `one_moment` its sections agree with each other.

    Raises UnknownTemplate and TemplateFailed.
    """
    template = get(name)
    asked = Asked(period=period, zone=zone, now=now)
    sections = tuple(_made(template, title, make, asked) for title, make in template.sections.items())
    return Document(
        template=template.name,
        title=template.title,
        tenant=Tenant.objects.values_list("name", flat=True).get(pk=context.tenant_id()),
        period=period,
        generated_at=now,
        time_zone=zone.key,
        summary=_made(template, "Summary", template.summary, asked),
        sections=sections,
    )


def _made(template: Template, title: str, make: Callable[[Asked], Found], asked: Asked) -> Found:
    try:
        return make(asked)
    except Exception as error:
        raise TemplateFailed(template.name, title, error) from error
