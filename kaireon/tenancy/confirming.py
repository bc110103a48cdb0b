"""What is shown before something that cannot be undone, and the words that must be typed then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from unfold.widgets import UnfoldAdminTextInputWidget

CHANGED = "What would be done has changed meanwhile, and nothing was done. Look at it again, and confirm that."


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """`words` are to be typed, as `label` asks, and compared by their `normal` form; what else is typed is `wrong`.

    `template` is shown with `context` before; `seen` stands for what it shows, and changes when that does.
    """

    words: str
    label: str
    wrong: str
    seen: str
    template: str
    context: Mapping[str, Any]
    normal: Callable[[str], str] = str.strip

    def is_typed(self, text: str) -> bool:
        return self.normal(text) == self.normal(self.words)


class ConfirmedForm(forms.Form):
    """A form that is valid only when the words were typed, below what would be done as it would be now.

    Without a confirmation it asks for nothing more than it would otherwise.
    """

    typed = forms.CharField(
        max_length=300,
        strip=True,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}),
    )
    looked_at = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput())

    def __init__(self, given: QueryDict | None, *, confirmation: Confirmation | None, **options: Any) -> None:
        super().__init__(given, **options)
        self.confirmation = confirmation
        if confirmation is None:
            del self.fields["typed"], self.fields["looked_at"]
            return
        self.fields["typed"].label = confirmation.label
        self.fields["typed"].error_messages["required"] = confirmation.wrong
        self.initial["looked_at"] = confirmation.seen
        # Last, below everything that is asked beside it.
        self.order_fields([name for name in self.fields if name not in ("typed", "looked_at")])

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        asked = self.confirmation
        if asked is None:
            return given
        if given.pop("looked_at", "") != asked.seen:
            self.add_error(None, CHANGED)
        typed = given.pop("typed", None)
        if typed is not None and not asked.is_typed(typed):
            self.add_error("typed", asked.wrong)
        return given

    def shown(self) -> dict[str, Any]:
        """For the page: what is shown above the form. From here on `looked_at` is what is shown now."""
        if self.confirmation is None:
            return {}
        if self.is_bound:
            data: Any = self.data
            data = data.copy()
            data["looked_at"] = self.confirmation.seen
            self.data = data
        return {"above": self.confirmation.template, **self.confirmation.context}
