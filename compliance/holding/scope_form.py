"""What people fill in about a scope: a class, an entity, and conditions on its columns. Fields as on the wire."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.forms import BoundField
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from compliance.holding import matters, queries, words
from compliance.holding.scopes import by_entity
from customers.catalogue import DATA_CLASSES

_ROWS_AT_FIRST = 3
# Where documents are asked, and nothing else is: whether a key is in them.
_KEY = "contains_key"


class ScopeForm(forms.Form):
    """It asks for columns once its entity is known; `rows` is how many conditions there is room for."""

    dataClass = forms.ChoiceField(label="Data class", required=False, widget=UnfoldAdminSelectWidget())
    entity = forms.ChoiceField(
        label="Entity",
        required=False,
        help_text="Which kind of record. Conditions ask for its columns.",
        widget=UnfoldAdminSelectWidget(),
    )
    rows = forms.IntegerField(required=False, widget=forms.HiddenInput())

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        initial: dict[str, Any] | None = None,
        more_rows: bool = False,
    ) -> None:
        given: Mapping[str, Any] = data if data is not None else initial or {}
        super().__init__(data, initial={**(initial or {})})
        self._choose("dataClass", [("", "Every class"), *((n, f"{n}: {t}") for n, t in DATA_CLASSES.items())])
        self._choose("entity", [("", "Every entity"), *sorted(words.TITLES.items(), key=lambda item: item[1])])
        scope = by_entity(str(given.get("entity", "")))
        self.is_entity_known = scope is not None
        self.columns, self.documents = (scope.asked, scope.documents) if scope else ((), ())
        self.count = _rows(given, more_rows) if self.columns else 0
        self.initial["rows"] = self.count
        for number in range(self.count):
            self._add_row(number)

    def conditions(self) -> list[tuple[BoundField, BoundField, BoundField]]:
        return [(self[f"field{n}"], self[f"op{n}"], self[f"value{n}"]) for n in range(self.count)]

    def plain(self) -> list[BoundField]:
        """The fields above and below the conditions."""
        of_rows = {part.name for row in self.conditions() for part in row}
        return [field for field in self if field.name not in of_rows and not field.is_hidden]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        for number in range(self.count):
            self._check_row(number)
        return given

    def refuse(self, refusal: matters.ScopeRefused) -> None:
        """Show a refusal where what it is about was filled in."""
        text = str(refusal)
        if number := re.match(r"condition (\d+): ", text):
            # The query has the rows that are filled in; people count them from one.
            row = self._filled()[int(number[1])]
            text = f"condition {row + 1}: {text[number.end() :]}"
        self.add_error(refusal.field if refusal.field in self.fields else None, f"{text[0].upper()}{text[1:]}")

    def query(self) -> list[dict[str, Any]] | None:
        parts = []
        for number in self._filled():
            field, op, value = (self.cleaned_data[f"{part}{number}"] for part in ("field", "op", "value"))
            listed = [item.strip() for item in value.split(",") if item.strip()] if op == "in" else value
            is_document = field in self.documents
            parts.append({"field": field, "op": _KEY if is_document else op, "value": value if is_document else listed})
        return parts or None

    def _filled(self) -> list[int]:
        return [n for n in range(self.count) if self.cleaned_data.get(f"field{n}")]

    def _check_row(self, number: int) -> None:
        said = [bool(self.cleaned_data.get(f"{part}{number}")) for part in ("field", "value")]
        if any(said) and not all(said) and not self.has_error(f"field{number}"):
            self.add_error(f"value{number}", f"Condition {number + 1} needs a column and a value.")

    def _add_row(self, number: int) -> None:
        columns = [("", "Column"), *((name, name.replace("_", " ")) for name in self.columns)]
        label = f"Condition {number + 1}"
        for part, field in (
            ("field", forms.ChoiceField(required=False, choices=columns, widget=_select(f"{label}: column"))),
            (
                "op",
                forms.ChoiceField(
                    required=False, choices=list(words.OPS.items()), widget=_select(f"{label}: comparison")
                ),
            ),
            (
                "value",
                forms.CharField(
                    required=False,
                    max_length=queries.LONGEST_VALUE * 20,
                    widget=UnfoldAdminTextInputWidget(attrs={"aria-label": f"{label}: value"}),
                ),
            ),
        ):
            self.fields[f"{part}{number}"] = field

    def _choose(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        self.fields[name].choices = list(choices)  # type: ignore[attr-defined]


def conditions_of(query: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """What the form says of a query that is kept, to begin with."""
    said: dict[str, Any] = {"rows": len(query or ())}
    for number, part in enumerate(query or ()):
        value = part["value"]
        said[f"field{number}"] = part["field"]
        said[f"op{number}"] = part["op"]
        said[f"value{number}"] = ", ".join(value) if isinstance(value, list) else value
    return said


def _select(label: str) -> UnfoldAdminSelectWidget:
    return UnfoldAdminSelectWidget(attrs={"aria-label": label})


def _rows(given: Mapping[str, Any], more: bool) -> int:
    said = str(given.get("rows") or "")
    count = int(said) if said.isascii() and said.isdigit() and len(said) < 3 else 0
    return min(max(count + (_ROWS_AT_FIRST if more else 0), _ROWS_AT_FIRST), queries.MOST_CONDITIONS)
