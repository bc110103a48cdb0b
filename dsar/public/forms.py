"""What people fill in, and how it is refused: by field, in words that say what to do."""

import re
import unicodedata
from datetime import datetime
from typing import Any

from django import forms

from dsar.dossiers import handing_out
from dsar.models import SubjectType
from dsar.public import guard
from dsar.public.rights import Offered
from dsar.requests import outcomes, subjects

# Eight digits, however they are copied from a mail.
_CODE = re.compile(r"[0-9]{6,12}")
_NOT_TEXT = ("Cc", "Cs")
MOST_NUMBER = 128
# What has a meaning in the header of a mail (RFC 5322, section 3.2.3): several readers, a name, a remark.
_SPECIAL = frozenset('()<>[]:;,"\\')


class AskForm(forms.Form):
    """`website` is a trap: people do not see it, programs fill it in."""

    kind = forms.ChoiceField(
        label="What do you want?", widget=forms.RadioSelect, error_messages={"required": "Choose what you want."}
    )
    address = forms.CharField(
        label="Your e-mail address",
        max_length=subjects.MOST_CHARACTERS,
        # As text: browsers refuse letters of other scripts in `email`, and rewrite the domain.
        widget=forms.TextInput({"inputmode": "email", "autocomplete": "email", "spellcheck": "false"}),
        error_messages={"required": "Give your e-mail address: the code goes there."},
    )
    number = forms.CharField(
        label="Your customer number",
        required=False,
        max_length=MOST_NUMBER,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    details = forms.CharField(
        label="What we should know",
        required=False,
        max_length=outcomes.MOST_TEXT,
        widget=forms.Textarea({"rows": 5}),
    )
    website = forms.CharField(required=False, widget=forms.TextInput({"autocomplete": "off", "tabindex": "-1"}))
    shown = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, offered: list[Offered], now: datetime, **more: Any) -> None:
        super().__init__(*args, **more)
        self._now = now
        self.offered = offered
        self.fields["kind"].choices = [(each.kind, each.words.title) for each in offered]  # type: ignore[attr-defined]

    def clean_address(self) -> str:
        refusal = forms.ValidationError("This is no e-mail address: write it like name@example.com.")
        try:
            address = subjects.normal(SubjectType.EMAIL, self.cleaned_data["address"])
        except subjects.SubjectRefused as e:
            raise refusal from e
        if _SPECIAL.intersection(address):
            raise refusal
        return address

    def clean_number(self) -> str:
        text = unicodedata.normalize("NFC", str(self.cleaned_data["number"]))
        if any(unicodedata.category(character) in _NOT_TEXT for character in text):
            raise forms.ValidationError("A customer number has no control characters.")
        return text

    def clean_details(self) -> str:
        # Half of a surrogate pair cannot be sealed.
        return str(self.cleaned_data["details"]).encode(errors="replace").decode()

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        words = next((each.words for each in self.offered if each.kind == given.get("kind")), None)
        if words is not None and words.details and not given.get("details") and "details" not in self.errors:
            self.add_error("details", f"Tell us: {words.details[0].lower()}{words.details[1:]}.")
        self._refuse_programs(given)
        return given

    def _refuse_programs(self, given: dict[str, Any]) -> None:
        shown = guard.shown_at(given.get("shown", ""))
        if given.get("website"):
            raise forms.ValidationError("A field that nobody sees was filled in. Send the form again without it.")
        if shown is None or guard.is_stale(given["shown"], self._now):
            raise forms.ValidationError("This page was open for too long. Look it over and send it again.")
        if self._now - shown < guard.LEAST:
            raise forms.ValidationError("That was very fast. Look it over and send it again.")


class CodeForm(forms.Form):
    code = forms.CharField(
        label="The code from the mail",
        max_length=40,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "one-time-code", "spellcheck": "false"}),
        error_messages={"required": "Enter the code from the mail."},
    )

    def clean_code(self) -> str:
        digits = re.sub(r"[\s-]", "", self.cleaned_data["code"])
        if not _CODE.fullmatch(digits):
            raise forms.ValidationError("A code is eight digits.")
        return digits


class FetchForm(CodeForm):
    as_format = forms.ChoiceField(
        label="As",
        choices=[("zip", "Pages to read (zip)"), ("json", "For programs (JSON)")],
        widget=forms.RadioSelect,
        initial="zip",
    )

    def clean_as_format(self) -> str:
        wanted = str(self.cleaned_data["as_format"])
        if wanted not in handing_out.FORMATS:
            raise forms.ValidationError("Choose one of the two.")
        return wanted
