"""What people fill in about matters and holds. Fields are called as on the wire, so that a refusal finds its own."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.forms import BoundField
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from compliance.holding import matters, queries, words
from compliance.holding.matters import LONGEST, What
from compliance.holding.scopes import by_entity
from compliance.models.matter import NO_NAMES
from customers.catalogue import DATA_CLASSES
from customers.rows import Unreadable, bound

_LONGEST_NUMBER = 256
_LINES_SHOWN = 10
_ROWS_AT_FIRST = 3
# Where documents are asked, and nothing else is: whether a key is in them.
_KEY = "contains_key"


class DayField(forms.DateField):
    def __init__(self, **more: Any) -> None:
        look = {**UnfoldAdminSingleDateWidget().attrs, "type": "date"}
        super().__init__(widget=forms.DateInput(format="%Y-%m-%d", attrs=look), **more)


class MatterForm(forms.Form):
    name = forms.CharField(max_length=LONGEST["name"], help_text=NO_NAMES, widget=UnfoldAdminTextInputWidget())
    reference = forms.CharField(
        required=False,
        max_length=LONGEST["reference"],
        help_text="The file number.",
        widget=UnfoldAdminTextInputWidget(),
    )
    reason = forms.CharField(
        max_length=LONGEST["reason"],
        help_text=f"The duty to keep, and where it comes from. {NO_NAMES}",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    counsel = forms.CharField(
        required=False,
        max_length=LONGEST["counsel"],
        help_text="Who answers for it: a firm or a desk.",
        widget=UnfoldAdminTextInputWidget(),
    )
    reviewOn = DayField(
        label="Review on", required=False, help_text="On this day somebody is asked whether it is still needed."
    )
    # The same form sent twice opens one matter.
    once = forms.CharField(required=False, widget=forms.HiddenInput())


class ReviewForm(forms.Form):
    reviewOn = DayField(label="Review on", required=False, help_text="Empty: nobody is asked.")


class ReleaseForm(forms.Form):
    reason = forms.CharField(
        max_length=LONGEST["reason"],
        help_text=f"Why nothing is to be kept any more. {NO_NAMES}",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class HoldForm(forms.Form):
    """A scope. It asks for columns once its entity is known; `rows` is how many conditions there is room for."""

    matterId = forms.ChoiceField(label="Matter", widget=UnfoldAdminSelectWidget())
    dataClass = forms.ChoiceField(label="Data class", required=False, widget=UnfoldAdminSelectWidget())
    entity = forms.ChoiceField(
        label="Entity",
        required=False,
        help_text="Which kind of record. Conditions ask for its columns.",
        widget=UnfoldAdminSelectWidget(),
    )
    subjects = forms.CharField(
        label="Customers",
        required=False,
        help_text=f"Their numbers, one a line, up to {matters.MOST_SUBJECTS:,}. Empty: everybody.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
    )
    # `from` is no name in Python.
    begins = DayField(label="From", required=False, help_text="By each record's own clock, in UTC.")
    ends = DayField(label="To", required=False, help_text="To the end of this day.")
    custodians = forms.MultipleChoiceField(
        required=False,
        help_text="They are told to keep what it covers, and reminded until they acknowledge.",
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    rows = forms.IntegerField(required=False, widget=forms.HiddenInput())

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        choices: Mapping[str, Sequence[tuple[str, str]]],
        initial: dict[str, Any] | None = None,
        more_rows: bool = False,
    ) -> None:
        given: Mapping[str, Any] = data if data is not None else initial or {}
        super().__init__(data, initial={**(initial or {})})
        self._choose("matterId", [("", "Choose a matter"), *choices["matterId"]])
        self._choose("dataClass", [("", "Every class"), *((n, f"{n}: {t}") for n, t in DATA_CLASSES.items())])
        self._choose("entity", [("", "Every entity"), *sorted(words.TITLES.items(), key=lambda item: item[1])])
        self._choose("custodians", choices["custodians"])
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
        begins, ends = given.get("begins"), given.get("ends")
        if begins and ends and ends < begins:
            self.add_error("ends", "Must not lie before the beginning.")
        for number in range(self.count):
            self._check_row(number)
        return given

    def clean_subjects(self) -> list[tuple[int, str]]:
        """The numbers, each with its line."""
        lines = enumerate(re.split(r"\r\n|\r|\n", self.cleaned_data["subjects"]), start=1)
        found = [(number, line.strip()) for number, line in lines if line.strip()]
        if len({line for _, line in found}) > matters.MOST_SUBJECTS:
            raise forms.ValidationError(
                f"At most {matters.MOST_SUBJECTS:,} customers: place another hold for the rest."
            )
        if too_long := [number for number, line in found if len(line) > _LONGEST_NUMBER]:
            raise forms.ValidationError(f"{lines_of(too_long)} longer than {_LONGEST_NUMBER} characters.")
        return found

    def clean_begins(self) -> Any:
        return self._moment("begins", is_end=False)

    def clean_ends(self) -> Any:
        return self._moment("ends", is_end=True)

    def what(self) -> What:
        """The scope it says. Raises matters.ScopeRefused; SubjectsUnknown tells places, not lines."""
        given = self.cleaned_data
        numbers = [number for _, number in given["subjects"]]
        return What(
            data_class=given["dataClass"],
            entity=given["entity"],
            subjects=matters.subjects_named(numbers) if numbers else None,
            from_at=given["begins"],
            until_at=given["ends"],
            query=self._query(),
        )

    def refuse(self, refusal: matters.ScopeRefused) -> None:
        """Show a refusal where what it is about was filled in."""
        text = str(refusal)
        if isinstance(refusal, matters.SubjectsUnknown):
            lines = [self.cleaned_data["subjects"][place - 1][0] for place in refusal.places]
            self.add_error("subjects", f"{lines_of(lines)} no customer of yours.")
            return
        if number := re.match(r"condition (\d+): ", text):
            # The query has the rows that are filled in; people count them from one.
            row = self._filled()[int(number[1])]
            text = f"condition {row + 1}: {text[number.end() :]}"
        field = {"from": "begins", "until": "ends"}.get(refusal.field, refusal.field)
        self.add_error(field if field in self.fields else None, f"{text[0].upper()}{text[1:]}")

    def _query(self) -> list[dict[str, Any]] | None:
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

    def _moment(self, name: str, *, is_end: bool) -> Any:
        day = self.cleaned_data[name]
        try:
            return bound(day.isoformat(), is_end=is_end) if day else None
        except Unreadable as e:
            raise forms.ValidationError(str(e)) from e

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


def lines_of(numbers: Sequence[int]) -> str:
    """Such as “Lines 3, 17 and 5 more are”."""
    if len(numbers) == 1:
        return f"Line {numbers[0]} is"
    shown = ", ".join(f"{number:,}" for number in numbers[:_LINES_SHOWN])
    more = f" and {len(numbers) - _LINES_SHOWN:,} more" if len(numbers) > _LINES_SHOWN else ""
    return f"Lines {shown}{more} are"


def _select(label: str) -> UnfoldAdminSelectWidget:
    return UnfoldAdminSelectWidget(attrs={"aria-label": label})


def _rows(given: Mapping[str, Any], more: bool) -> int:
    said = str(given.get("rows") or "")
    count = int(said) if said.isascii() and said.isdigit() and len(said) < 3 else 0
    return min(max(count + (_ROWS_AT_FIRST if more else 0), _ROWS_AT_FIRST), queries.MOST_CONDITIONS)
