"""How the tenant writes to subjects, as pages: the settings, and its own words, seen before they count."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from dsar.letters import manner, samples, texts
from dsar.letters.facts import PLACEHOLDERS, SINGLE_LINE
from dsar.letters.texts import Template
from dsar.letters.words import LANGUAGES
from dsar.models import DsarRequest, LetterKind, LetterTemplate
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, may, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

TITLE = "Letters"
MOST_VERSIONS = 20
_HIDDEN = ("manner", "wording")


class MannerForm(forms.Form):
    automatic = forms.BooleanField(
        required=False, label="Write and send letters by themselves", widget=UnfoldBooleanSwitchWidget()
    )
    language = forms.ChoiceField(label="Language, where the subject's is not known", widget=UnfoldAdminSelectWidget())
    sender = forms.EmailField(
        required=False, help_text="Empty: that of the destination for mail.", widget=UnfoldAdminTextInputWidget()
    )
    contact = forms.CharField(
        required=False,
        max_length=300,
        help_text="Ends the sentence “If you have a question:” in every language, such as “privacy@example.com”.",
        widget=UnfoldAdminTextInputWidget(),
    )
    authority = forms.CharField(
        required=False,
        max_length=300,
        label="Authority to complain to",
        help_text="Empty: what the law of each request says.",
        widget=UnfoldAdminTextInputWidget(),
    )
    handover = forms.CharField(
        required=False,
        max_length=300,
        label="How a package is handed over",
        help_text="A sentence. Empty: by way of the contact.",
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].choices = texts.languages()  # type: ignore[attr-defined]


class WordingForm(forms.Form):
    subject = forms.CharField(max_length=texts.MOST_SUBJECT, widget=UnfoldAdminTextInputWidget())
    body = forms.CharField(
        max_length=texts.MOST_BODY, label="Text", strip=False, widget=UnfoldAdminTextareaWidget({"rows": 20})
    )


class MannerPages(TenantModelAdmin[DsarRequest]):
    """Above the list of requests: how subjects are written to."""

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        # The others are reached from the page of letters, which says what they would change.
        return [a for a in super().get_actions_list(request) if a.action_name.rsplit("_", 1)[-1] not in _HIDDEN]

    @verb(permission=Permission.READ_DSAR, description=TITLE, icon="mail", url_path="letters")
    def letters(self, request: HttpRequest) -> HttpResponse:
        newest: dict[tuple[str, str], LetterTemplate] = {}
        for row in LetterTemplate.objects.order_by("version"):
            newest[row.kind, row.language] = row
        context = {
            "settings": manner.of_tenant(),
            "language": LANGUAGES[manner.of_tenant().language].name,
            "languages": texts.languages(),
            "kinds": [
                (kind, kind.label, [(tag, newest.get((kind, tag))) for tag, _ in texts.languages()])
                for kind in LetterKind
            ],
            "may_manage": may(request, Permission.MANAGE_DSAR),
            **self._letters_frame(request, TITLE, self.url("changelist")),
        }
        return TemplateResponse(request, "admin/dsar/letters_page.html", context)

    @verb(permission=Permission.MANAGE_DSAR, description="Letter settings", icon="tune", url_path="letters/settings")
    def manner(self, request: HttpRequest) -> HttpResponse:
        row = manner.of_tenant()

        def do(given: dict[str, Any]) -> HttpResponse:
            manner.change(given, now=clock.now())
            self.succeed(request, "Letters are written so from now on.")
            return HttpResponseRedirect(self.url("letters"))

        return self.ask(
            request,
            title="How letters are written",
            lead="Once this is on, subjects are mailed when their requests are taken on, extended, answered, refused or"
            " withdrawn. What was filed before is told of from its next event on.",
            form=MannerForm(given_by(request), initial={name: getattr(row, name) for name in manner.FIELDS}),
            do=do,
            refusals={manner.MannerRefused: ""},
            submit="Save",
            cancel=self.url("letters"),
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Own words", icon="edit_note", url_path="letters/wording")
    def wording(self, request: HttpRequest) -> HttpResponse:
        """The text of one letter in one language: shown about an invented request first, then kept as a version."""
        kind, language = request.GET.get("kind", ""), request.GET.get("language", "")
        if kind not in LetterKind.values or language not in LANGUAGES:
            raise Http404
        now, current = clock.now(), texts.template_for(kind, language)
        initial = {"subject": current.subject, "body": current.body}
        form = WordingForm(given_by(request), initial=initial)
        shown = ("", "")
        if request.method == "POST" and "restore" in request.POST:
            texts.restore(kind=kind, language=language, now=now)
            self.succeed(request, "The letter says it in the product's words again.")
            return HttpResponseRedirect(self.url("letters"))
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            try:
                texts.check(kind=kind, **given)
                if "save" in request.POST:
                    row = texts.replace(kind=kind, language=language, now=now, **given)
                    self.succeed(request, f"Letters say it so from now on: version {row.version}.")
                    return HttpResponseRedirect(self.url("letters"))
                shown = samples.shown(Template(**given), kind, language, manner.of_tenant(), now=now)
            except texts.TemplateRefused as refusal:
                form.add_error(refusal.field, str(refusal))
        elif request.method != "POST":
            shown = samples.shown(current, kind, language, manner.of_tenant(), now=now)
        versions = LetterTemplate.objects.filter(kind=kind, language=language).order_by("-version")
        title = f"{LetterKind(kind).label}, {LANGUAGES[language].name}"
        context = {
            "form": form,
            "current": current,
            "subject": shown[0],
            "text": shown[1],
            "language": language,
            "names": sorted(PLACEHOLDERS[kind]),
            "of_subject": sorted(PLACEHOLDERS[kind] & SINGLE_LINE),
            "versions": versions[:MOST_VERSIONS],
            **self._letters_frame(request, title, self.url("letters")),
        }
        return TemplateResponse(request, "admin/dsar/wording.html", context)

    def _letters_frame(self, request: HttpRequest, title: str, back: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "headline": title,
            "back": back,
        }


PAGES = ("letters", "manner", "wording")
