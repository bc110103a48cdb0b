"""Templates of holds as files declare them."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from compliance.holding import templates
from compliance.models import HoldTemplate
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.compliance.declared import apply, check, declare, folder, manage, of_acme

__all__ = ["folder"]


HOLDS = """kaireon: 1
holdTemplates:
  Dispute: {entity: interactionHistory, lookBackDays: 730, query: [{field: kind, op: eq, value: visit}]}
  Everything: {about: An authority asks for all there is.}
"""


def test_hold_templates_are_made_changed_and_removed_as_declared(db: str, folder: Path) -> None:
    path = declare(folder, HOLDS)
    assert of_acme(check())["drift"] == 2
    apply(path, "--dry-run")
    assert templates_there() == {}
    apply(path)
    assert of_acme(check())["drift"] == 0
    with ADA.here(), transaction():
        templates.create(name="By hand", given={"entity": "delivery"}, now=clock.now())
        changed = HoldTemplate.objects.get(name="Dispute")
        templates.change(changed.pk, name="Dispute", given={"look_back_days": None}, now=clock.now())
    found = of_acme(check())
    assert [(one["name"], one["what"]) for one in found["differences"]] == [
        ("By hand", "undeclared"),
        ("Dispute", "changed"),
    ]
    assert found["differences"][1]["fields"] == {"lookBackDays": {"declared": 730, "actual": None}}
    apply(path)
    assert of_acme(check())["drift"] == 0
    assert templates_there() == {"Dispute": 730, "Everything": None}
    # What is exported is what is declared, and says the rest too.
    exported = declare(folder, manage("config_export", f"--tenant={ACME}"))
    assert "lookBackDays: 730" in exported.read_text()
    assert apply(exported) == "All is as declared.\n"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("lookBackDays: soon", "lookBackDays: must be a whole number of days, or null."),
        ('about: " x"', "about: must not begin or end with space"),
        ("lookBackDays: true", "lookBackDays: must be a whole number of days, or null."),
        ("entity: nothing", "entity: unknown entity"),
        ("dataClass: nothing", "dataClass: "),
        ("query: [{field: kind, op: eq, value: visit}]", "query: asks for columns of an entity: say it too."),
        ("entity: delivery, query: [{field: kind, op: eq, value: a}]", "field must be one of channel, template."),
        ("entity: attachment, query: [{field: size, op: gt, value: 7}]", "write its values as they are kept"),
        ("subjects: [ann]", "subjects: unknown; known are about, dataClass"),
    ],
)
def test_a_hold_template_that_is_none_is_refused(db: str, folder: Path, fields: str, problem: str) -> None:
    path = declare(folder, f"kaireon: 1\nholdTemplates:\n  Dispute: {{{fields}}}\n")
    with pytest.raises(CommandError) as refused:
        apply(path)
    assert problem in str(refused.value)
    assert templates_there() == {}


def templates_there() -> dict[str, int | None]:
    with ADA.here(), transaction():
        return dict(HoldTemplate.objects.values_list("name", "look_back_days"))
