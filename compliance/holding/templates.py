"""Templates of holds: made, changed, removed. Whoever places a hold may begin with one."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

import audit
from compliance.holding import matters
from compliance.holding.matters import ScopeRefused, What
from compliance.models import HoldTemplate
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

ENTITY = "HoldTemplate"
MOST_TEMPLATES = 100
LONGEST = {"name": 100, "about": 500}
# As far back as any record may be kept.
MOST_DAYS = 36_500
# Fields that people set, and what they are called on the wire.
FIELDS: Mapping[str, str] = {
    "about": "about",
    "data_class": "dataClass",
    "entity": "entity",
    "look_back_days": "lookBackDays",
    "query": "query",
}


class TemplateRefused(ScopeRefused):
    """The template cannot be so. `field` is what is wrong, as on the wire."""


class TemplateNotFound(LookupError):
    """There is none of this id."""


@requires_transaction
def create(*, name: str, given: Mapping[str, Any], now: datetime) -> HoldTemplate:
    """Make a template of FIELDS; recorded as `hold_template.create`. Raises ScopeRefused."""
    _one_at_a_time()
    if HoldTemplate.objects.count() >= MOST_TEMPLATES:
        raise TemplateRefused("name", f"there are {MOST_TEMPLATES} templates already, the most there can be.")
    template = HoldTemplate(id=uuid7(), created_at=now, updated_at=now)
    _set(template, name, given)
    audit.action("hold_template.create", entity=template, entity_type=ENTITY)
    template.save(force_insert=True)
    return template


@requires_transaction
def change(template_id: UUID, *, name: str, given: Mapping[str, Any], now: datetime) -> HoldTemplate:
    """Change what is given; recorded as `hold_template.update`. Holds placed by it stay as they were placed.

    Raises TemplateNotFound, ScopeRefused.
    """
    _one_at_a_time()
    template = _locked(template_id)
    _set(template, name, given)
    template.updated_at = now
    audit.action("hold_template.update", entity=template, entity_type=ENTITY)
    template.save()
    return template


@requires_transaction
def remove(template_id: UUID) -> None:
    """Recorded as `hold_template.remove`. Holds placed by it stay. Raises TemplateNotFound."""
    template = _locked(template_id)
    audit.action("hold_template.remove", entity=template, entity_type=ENTITY)
    template.delete()


def begins(template: HoldTemplate, today: date) -> date | None:
    """The day, in UTC, from which a hold placed today by it keeps records."""
    return None if template.look_back_days is None else today - timedelta(days=template.look_back_days)


def _set(template: HoldTemplate, name: str, given: Mapping[str, Any]) -> None:
    for column, value in given.items():
        setattr(template, column, value)
    template.name, template.about = name.strip(), template.about.strip()
    if not 1 <= len(template.name) <= LONGEST["name"] or not template.name.isprintable():
        raise TemplateRefused("name", f"must be one line of at most {LONGEST['name']} characters.")
    if HoldTemplate.objects.filter(name=template.name).exclude(pk=template.pk).exists():
        raise TemplateRefused("name", "is taken by another template.")
    if len(template.about) > LONGEST["about"] or "\0" in template.about:
        raise TemplateRefused("about", f"must be at most {LONGEST['about']} characters.")
    if template.look_back_days is not None and not 1 <= template.look_back_days <= MOST_DAYS:
        raise TemplateRefused("lookBackDays", f"must be 1 to {MOST_DAYS:,} days, or left out for all there is.")
    template.query = matters.checked(
        What(data_class=template.data_class, entity=template.entity, query=template.query)
    ).query


def _locked(template_id: UUID) -> HoldTemplate:
    template = HoldTemplate.objects.select_for_update().filter(pk=template_id).first()
    if template is None:
        raise TemplateNotFound(template_id)
    return template


def _one_at_a_time() -> None:
    """Of two who take the same name at once, the second finds it taken."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"hold-templates:{context.tenant_id()}"]
        )
