"""Who was told, on a request's page; and the word of an officer that somebody is not."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from dsar.models import DsarRequest, NoticeState, RecipientNotice
from dsar.recipients import notices
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, is_uuid, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

TONES: dict[str, str] = {NoticeState.TOLD: "good", NoticeState.FAILED: "bad", NoticeState.NOT_TOLD: "warn"}
OPEN = (NoticeState.WAITING, NoticeState.FAILED)


class NotToldForm(forms.Form):
    effort = forms.ChoiceField(label="Why", choices=notices.EFFORTS, widget=UnfoldAdminSelectWidget())
    reason = forms.CharField(
        max_length=notices.MOST_REASON,
        help_text="Name no customer: it stands in the audit log in clear.",
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
    )


class NoticeVerbs(TenantModelAdmin[DsarRequest]):
    @verb(permission=Permission.MANAGE_DSAR, description="Not told", icon="person_off", url_path="not-told")
    def untold(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        wanted = request.GET.get("notice", "")
        notice = RecipientNotice.objects.of(row).filter(pk=wanted).first() if is_uuid(wanted) else None
        if notice is None:
            raise Http404

        def do(given: dict[str, Any]) -> HttpResponse:
            notices.mark_not_told(notice, now=clock.now(), **given)
            self.succeed(request, "It is written down why this recipient is not told.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"{notice.recipient.name} is not told",
            lead="The law lets somebody go untold where that is impossible or takes disproportionate effort. The"
            " subject is told so in the letter.",
            form=NotToldForm(given_by(request)),
            do=do,
            refusals={notices.NoticeSettled: "The recipient is told, or it was written down why not."},
            submit="Write it down",
            cancel=self.url("change", row.pk),
        )


VERBS = ("untold",)


def page_of(row: DsarRequest) -> dict[str, Any]:
    """What the request's page tells of recipients."""
    found = RecipientNotice.objects.of(row).select_related("recipient")
    return {"notices": [(notice, TONES.get(notice.state, "quiet"), notice.state in OPEN) for notice in found]}
