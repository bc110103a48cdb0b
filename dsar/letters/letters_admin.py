"""Letters on a request's page: the list, each with its text, a preview of what is not written yet."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from dsar.letters import sending, texts, writing
from dsar.letters.facts import Supposed
from dsar.letters.letters_api import REFUSALS as API_REFUSALS
from dsar.letters.letters_api import listed
from dsar.models import DsarRequest, Letter, LetterKind, LetterState, LetterText
from dsar.requests import grounds, outcomes
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, is_uuid, may, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {
    **{kind: message for kind, (_, message) in API_REFUSALS.items()},
    writing.LetterRefused: "",
}
# How each state looks in a list.
TONES: dict[str, str] = {
    LetterState.SENT: "good",
    LetterState.SENT_OTHERWISE: "good",
    LetterState.FAILED: "bad",
    LetterState.NOT_POSSIBLE: "warn",
}


class PreviewForm(forms.Form):
    kind = forms.ChoiceField(choices=LetterKind.choices, label="Letter", widget=UnfoldAdminSelectWidget())
    language = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget())
    ground = forms.ChoiceField(required=False, label="Ground of a refusal", widget=UnfoldAdminSelectWidget())
    reason = forms.CharField(
        required=False,
        max_length=outcomes.MOST_TEXT,
        label="Reason, or what was done",
        help_text="As you would write it; nothing is kept of it here.",
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
    )

    def __init__(self, row: DsarRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = grounds.allowed(request_type=row.request_type, regulation=row.regulation)
        choices = [(name, grounds.GROUNDS[name].title) for name in known]
        self.fields["ground"].choices = [("", "-"), *choices]  # type: ignore[attr-defined]
        self.fields["language"].choices = [("", "The subject's"), *texts.languages()]  # type: ignore[attr-defined]


class EvidenceForm(forms.Form):
    evidence = forms.CharField(
        max_length=sending.MOST_EVIDENCE,
        label="How it went, and what shows that",
        help_text="Such as the number of a registered letter. Kept sealed.",
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
    )


class LetterVerbs(TenantModelAdmin[DsarRequest]):
    """The buttons and pages of a request that have to do with letters."""

    @verb(permission=Permission.READ_DSAR, description="Preview a letter", icon="draft", url_path="preview")
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a letter would say, also before the request is rejected or extended. Nothing is written."""
        row = self.row(request, object_id)
        initial = {"kind": request.GET.get("kind", LetterKind.ACKNOWLEDGEMENT)}
        form = PreviewForm(row, given_by(request), initial=initial)
        shown: dict[str, str] = {}
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            supposed = Supposed(ground=given["ground"], reason=given["reason"], resolution=given["reason"])
            try:
                shown = writing.preview(
                    row, given["kind"], language=given["language"], supposed=supposed, now=clock.now()
                )
            except writing.LetterRefused as refusal:
                form.add_error(None, str(refusal))
        context = {"form": form, "shown": shown, **self._frame(request, row, "Preview a letter")}
        return TemplateResponse(request, "admin/dsar/letter_preview.html", context)

    @verb(permission=Permission.READ_DSAR, description="Letter", icon="mail", url_path="letter")
    def letter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One letter with what it says and to whom; reading it is recorded."""
        row = self.row(request, object_id)
        found = self._letter(request, row)
        try:
            content = sending.read(found, via="admin")
        except sending.TextGone:
            content = {}
        [shown] = [each for each in listed(row) if each["id"] == str(found.pk)]
        context = {
            "letter": found,
            "shown": shown,
            "content": content,
            "tone": TONES.get(found.state, "quiet"),
            "may_manage": may(request, Permission.MANAGE_DSAR),
            "can_retry": found.state == LetterState.FAILED and bool(content),
            "can_mark": found.state in (LetterState.FAILED, LetterState.NOT_POSSIBLE),
            **self._frame(request, row, found.get_kind_display()),
        }
        return TemplateResponse(request, "admin/dsar/letter.html", context)

    @verb(permission=Permission.MANAGE_DSAR, description="Send again", icon="forward_to_inbox", url_path="resend")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        found = self._letter(request, row)

        def do() -> str:
            sending.retry(found, now=clock.now())
            return "The letter is on its way again."

        return self.confirm(
            request,
            row,
            do,
            title="Send the letter again",
            lead="It goes to the same address under the same Message-ID, so that nobody has it twice.",
            refusals=REFUSALS,
            submit="Send again",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Sent by other means", icon="markunread", url_path="by-means")
    def means(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        found = self._letter(request, row)

        def do(given: dict[str, Any]) -> HttpResponse:
            sending.mark_sent(found, evidence=given["evidence"], now=clock.now())
            self.succeed(request, "It is noted that the letter went by other means.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="The letter went by other means",
            lead="Your name is recorded with it.",
            form=EvidenceForm(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Note it",
            cancel=self.url("change", row.pk),
        )

    def _letter(self, request: HttpRequest, row: DsarRequest) -> Letter:
        wanted = request.GET.get("letter", "")
        found = Letter.objects.of(row).filter(pk=wanted).first() if is_uuid(wanted) else None
        if found is None:
            raise Http404
        return found

    def _frame(self, request: HttpRequest, row: DsarRequest, title: str) -> dict[str, Any]:
        back = self.url("change", row.pk)
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "headline": title,
            "back": back,
        }


VERBS = ("preview", "letter", "resend", "means")
# What a request's page has a button for; the others are reached from the list of letters.
FITTING = {"preview"}


def page_of(row: DsarRequest) -> dict[str, Any]:
    """What the request's page tells of its letters."""
    letters = list(Letter.objects.of(row))
    kept = Letter.objects.filter(request=row, state=LetterState.KEPT).values_list("pk", flat=True)
    return {
        "letters": [(letter, TONES.get(letter.state, "quiet")) for letter in letters],
        "address_kept": LetterText.objects.filter(pk__in=kept).exists(),
    }
