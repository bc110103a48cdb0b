"""What people fill in, and how it is refused: by field, in words that say what to do."""

import re
import unicodedata
from datetime import datetime
from typing import Any

from django import forms

from dsar.models import SubjectType
from dsar.public import guard, words
from dsar.public.rights import Offered
from dsar.requests import outcomes, subjects

# Eight digits, however they are copied from a mail.
_CODE = re.compile(r"[0-9]{6,12}")
_NOT_TEXT = ("Cc", "Cs")
MOST_NUMBER = 128
# What has a meaning in the header of a mail (RFC 5322, section 3.2.3): several readers, a name, a remark.
_SPECIAL = frozenset('()<>[]:;,"\\')


class _Shown(forms.Form):
    """What every form for everybody has. `website` is a trap: people do not see it, programs fill it in."""

    address = forms.CharField(
        max_length=subjects.MOST_CHARACTERS,
        # As text: browsers refuse letters of other scripts in `email`, and rewrite the domain.
        widget=forms.TextInput({"inputmode": "email", "autocomplete": "email", "spellcheck": "false"}),
    )
    website = forms.CharField(required=False, widget=forms.TextInput({"autocomplete": "off", "tabindex": "-1"}))
    shown = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, now: datetime, **more: Any) -> None:
        super().__init__(*args, **more)
        self._now = now
        _name(self, "address", missing="address_missing")

    def clean_address(self) -> str:
        refusal = forms.ValidationError(words.here().say("address_wrong"))
        try:
            address = subjects.normal(SubjectType.EMAIL, self.cleaned_data["address"])
        except subjects.SubjectRefused as e:
            raise refusal from e
        if _SPECIAL.intersection(address):
            raise refusal
        return address

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        here, shown = words.here(), guard.shown_at(given.get("shown", ""))
        if given.get("website"):
            raise forms.ValidationError(here.say("trapped"))
        if shown is None or guard.is_stale(given["shown"], self._now):
            raise forms.ValidationError(here.say("stale"))
        if self._now - shown < guard.LEAST:
            raise forms.ValidationError(here.say("fast"))
        return given


class LostForm(_Shown):
    """To which address the links shall go."""


class AskForm(_Shown):
    kind = forms.ChoiceField(widget=forms.RadioSelect)
    number = forms.CharField(
        required=False,
        max_length=MOST_NUMBER,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    details = forms.CharField(
        required=False,
        max_length=outcomes.MOST_TEXT,
        widget=forms.Textarea({"rows": 5}),
    )
    # As the page shows them, and what is wrong with them above.
    field_order = ("kind", "address", "number", "details")

    def __init__(self, *args: Any, offered: list[Offered], **more: Any) -> None:
        super().__init__(*args, **more)
        self.offered = offered
        self.fields["kind"].choices = [(each.kind, each.words.title) for each in offered]  # type: ignore[attr-defined]
        _name(self, "kind", missing="kind_missing")
        _name(self, "number")
        _name(self, "details")

    def clean_number(self) -> str:
        text = unicodedata.normalize("NFC", str(self.cleaned_data["number"]))
        if any(unicodedata.category(character) in _NOT_TEXT for character in text):
            raise forms.ValidationError(words.here().say("number_wrong"))
        return text

    def clean_details(self) -> str:
        # Half of a surrogate pair cannot be sealed.
        return str(self.cleaned_data["details"]).encode(errors="replace").decode()

    def clean(self) -> dict[str, Any]:
        kind = self.cleaned_data.get("kind")
        wish = next((each.words for each in self.offered if each.kind == kind), None)
        if wish is not None and wish.details and not self.cleaned_data.get("details") and "details" not in self.errors:
            self.add_error("details", words.here().say("details_missing", what=wish.details))
        return super().clean()


class CodeForm(forms.Form):
    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "one-time-code", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        _name(self, "code", missing="code_missing")

    def clean_code(self) -> str:
        digits = re.sub(r"[\s-]", "", self.cleaned_data["code"])
        if not _CODE.fullmatch(digits):
            raise forms.ValidationError(words.here().say("code_form"))
        return digits


class FetchForm(CodeForm):
    as_format = forms.ChoiceField(widget=forms.RadioSelect, initial="zip")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        choices = [(each, words.here().say(f"as_{each}")) for each in ("zip", "json")]
        self.fields["as_format"].choices = choices  # type: ignore[attr-defined]
        _name(self, "as_format")


def _name(form: forms.Form, field: str, *, missing: str = "") -> None:
    """Call a field as the active language does, and say so when it is missing."""
    here = words.here()
    form.fields[field].label = here.say(field)
    if missing:
        form.fields[field].error_messages["required"] = here.say(missing)
