"""What people fill in about matters and holds. Fields are called as on the wire, so that a refusal finds its own."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from compliance.holding import matters
from compliance.holding.matters import LONGEST, What
from compliance.holding.scope_form import ScopeForm
from compliance.models.matter import NO_NAMES
from customers.rows import Unreadable, bound

_LONGEST_NUMBER = 256
_LINES_SHOWN = 10


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


class HoldForm(ScopeForm):
    """A scope, the matter it is held for, and who is told."""

    matterId = forms.ChoiceField(label="Matter", widget=UnfoldAdminSelectWidget())
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
    field_order = ("matterId", "dataClass", "entity", "subjects", "begins", "ends", "custodians")

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        choices: Mapping[str, Sequence[tuple[str, str]]],
        initial: dict[str, Any] | None = None,
        more_rows: bool = False,
    ) -> None:
        super().__init__(data, initial=initial, more_rows=more_rows)
        self._choose("matterId", [("", "Choose a matter"), *choices["matterId"]])
        self._choose("custodians", choices["custodians"])

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        begins, ends = given.get("begins"), given.get("ends")
        if begins and ends and ends < begins:
            self.add_error("ends", "Must not lie before the beginning.")
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
            query=self.query(),
        )

    def refuse(self, refusal: matters.ScopeRefused) -> None:
        """Show a refusal where what it is about was filled in."""
        if isinstance(refusal, matters.SubjectsUnknown):
            lines = [self.cleaned_data["subjects"][place - 1][0] for place in refusal.places]
            self.add_error("subjects", f"{lines_of(lines)} no customer of yours.")
            return
        field = {"from": "begins", "until": "ends"}.get(refusal.field)
        if field:
            self.add_error(field, f"{str(refusal)[0].upper()}{str(refusal)[1:]}")
            return
        super().refuse(refusal)

    def _moment(self, name: str, *, is_end: bool) -> Any:
        day = self.cleaned_data[name]
        try:
            return bound(day.isoformat(), is_end=is_end) if day else None
        except Unreadable as e:
            raise forms.ValidationError(str(e)) from e


def lines_of(numbers: Sequence[int]) -> str:
    """Such as “Lines 3, 17 and 5 more are”."""
    if len(numbers) == 1:
        return f"Line {numbers[0]} is"
    shown = ", ".join(f"{number:,}" for number in numbers[:_LINES_SHOWN])
    more = f" and {len(numbers) - _LINES_SHOWN:,} more" if len(numbers) > _LINES_SHOWN else ""
    return f"Lines {shown}{more} are"
