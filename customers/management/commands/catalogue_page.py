"""`manage.py catalogue_page`: writes docs/catalogue.md from the catalogue; `--check` only compares."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from customers.catalogue import CATALOGUE, DATA_CLASSES, DERIVED, SAID, Entity, Erasure
from customers.exempt import EXEMPT
from customers.particulars import PARTICULARS, Particulars

_ERASURE = {
    Erasure.DELETE: "deleted",
    Erasure.SHRED: "identifiers shredded, the row stays",
    Erasure.EVIDENCE: "reduced to keyed evidence; opt-outs keep their effect",
    Erasure.NONE: "kept",
}


class Command(BaseCommand):
    help = "Write docs/catalogue.md from the catalogue of personal data."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Fail when the page does not say what the code does.")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "catalogue.md"
        if not options["check"]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(page(), encoding="utf-8")
            self.stdout.write("docs/catalogue.md is written.")
        elif not path.exists() or path.read_text(encoding="utf-8") != page():
            raise CommandError("docs/catalogue.md is out of date: run manage.py catalogue_page.")


def page() -> str:
    """The whole page, in Markdown."""
    others = [entity for entity in SAID if entity not in DERIVED]
    entities = "\n".join(_row(entity) for entity in (*CATALOGUE, *DERIVED, *others))
    classes = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in DATA_CLASSES.items())
    exempt = "\n".join(f"| `{model}` | {reason} |" for model, reason in EXEMPT.items())
    particulars = "\n".join(_told(section, said) for section, said in PARTICULARS.items())
    return f"""# The catalogue of personal data

Generated from `customers/catalogue.py` by `manage.py catalogue_page`; do not edit.

Each entity that holds personal data, in the order in which erasure takes them. Export, erasure, retention and holds
walk this table; a test fails when a table with personal data is not in it.

| entity | table | data class | age counts from | swept by | erasure | dossier section | personal columns |
|---|---|---|---|---|---|---|---|
{entities}

## What a person is told

In a package to read, beside the rows of each section: what Article 15(1) GDPR asks for. What was provided by the person
is theirs to take along (Article 20).

| section | categories | purposes | recipients | source | decided without a person | provided |
|---|---|---|---|---|---|---|
{particulars}

## Data classes

A retention policy is made for a class. Without one the rows are kept, and the overview warns about it.

| class | what |
|---|---|
{classes}

## Not in the table

Tables of the same apps that hold nobody's data, and why.

| model | why |
|---|---|
{exempt}
"""


def _told(section: str, said: Particulars) -> str:
    provided = "yes" if said.provided else "no"
    cells = [said.categories, said.purposes, said.recipients, said.source, said.automated or "no", provided]
    return f"| `{section}` | {' | '.join(cells)} |"


def _row(entity: Entity) -> str:
    clock = " or ".join(f"`{column}`" for column in (entity.clock, *entity.anchors))
    if entity.own_expiry:
        clock += ", its own expiry"
    data_class = f"`{entity.data_class}`" if entity.data_class else "the schema's"
    cells = [
        f"{entity.title} (`{entity.name}`)",
        f"`{entity.model}`",
        data_class,
        clock if entity.data_class else "the schema's clock or `created_at`",
        ", ".join(entity.swept_by),
        _ERASURE[entity.erasure],
        f"`{entity.section}`" if entity.section else "none: derived",
        ", ".join(f"`{column}`" for column in entity.personal) or "-",
    ]
    return f"| {' | '.join(cells)} |"
