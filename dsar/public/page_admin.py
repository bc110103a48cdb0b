"""The public page in the admin: opened, changed and closed above the list of requests."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from dsar.letters import words as letters
from dsar.models import DsarRequest
from dsar.public import page, words
from dsar.requests.codes import CodeRefused
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by


class PublicPageForm(forms.Form):
    is_open = forms.BooleanField(
        label="People without an account can ask on a page of yours",
        required=False,
        help_text="They confirm by a code that is mailed to them. Nothing is done before.",
        widget=UnfoldBooleanWidget(),
    )
    contact = forms.CharField(
        label="How else to reach you",
        required=False,
        max_length=page.MOST_CONTACT,
        help_text="An address of your office, shown to everybody.",
        widget=UnfoldAdminTextInputWidget(),
    )
    language = forms.ChoiceField(
        label="Language",
        required=False,
        choices=[(tag, letters.LANGUAGES[tag].name) for tag in words.LANGUAGES],
        help_text="For who reads none that the page speaks. Others see it in the language of their browser.",
        widget=UnfoldAdminSelectWidget(),
    )


class PublicPageVerbs(TenantModelAdmin[DsarRequest]):
    page_actions_list = ("public_page",)

    @verb(permission=Permission.MANAGE_DSAR, description="Public page", icon="public", url_path="public-page")
    def public_page(self, request: HttpRequest) -> HttpResponse:
        found = page.find()

        def do(given: dict[str, Any]) -> HttpResponse:
            if given["is_open"]:
                page.open_page(contact=given["contact"], language=given["language"], now=clock.now())
                self.succeed(request, f"The page is open: {page.address()}")
            else:
                page.close_page()
                self.succeed(request, "The page is closed. Requests that came in by it go on.")
            return HttpResponseRedirect(self.url("changelist"))

        lead = f"It is open: {page.address()}" if found else "It is closed: its address leads nowhere."
        return self.ask(
            request,
            title="Public page",
            lead=lead,
            form=PublicPageForm(
                given_by(request),
                initial={
                    "is_open": found is not None,
                    "contact": found.contact if found else "",
                    "language": found.language if found else words.DEFAULT,
                },
            ),
            do=do,
            refusals={page.NoPublicUrl: "", CodeRefused: ""},
            submit="Save",
            cancel=self.url("changelist"),
        )
