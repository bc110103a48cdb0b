"""What a request came to, handed out in the admin: its package, and the certificate of an erasure."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from unfold.enums import ActionVariant

import audit
from dsar.certifying import certificate_page, certificates
from dsar.dossiers import handing_out, keeping
from dsar.models import Dossier, DsarRequest, State, Status
from dsar.requests.api import DOWNLOADED_VERB, file_name
from dsar.requests.kinds import KINDS
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, verb
from kaireon.tenancy.roles import Permission


class PackageVerbs(TenantModelAdmin[DsarRequest]):
    """The buttons of a request's page that give its files."""

    @verb(
        permission=Permission.READ_DSAR,
        description="Download the package",
        icon="download",
        url_path="download",
        variant=ActionVariant.PRIMARY,
    )
    def download(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The package as a file; handing it out is recorded."""
        return self._hand_out(request, object_id, "json")

    @verb(
        permission=Permission.READ_DSAR,
        description="Download to read (zip)",
        icon="folder_zip",
        url_path="readable",
    )
    def readable(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Pages, tables and the rest as a zip; recorded too."""
        return self._hand_out(request, object_id, "zip")

    def _hand_out(self, request: HttpRequest, object_id: str, wanted: str) -> HttpResponseBase:
        row = self.row(request, object_id)
        package = package_of(row)
        if package is None:
            self.message_user(request, "There is no package: it has expired, or is not ready yet.", messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        try:
            response = handing_out.FORMATS[wanted](row, package, file_name=file_name(row, wanted))
        except handing_out.AskedForEncrypted:
            self.message_user(request, "It was asked for encrypted: only the envelope is handed out.", messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        except keeping.DossierMissing:
            self.message_user(request, "The package is not in storage any more: file a new request.", messages.ERROR)
            return HttpResponseRedirect(self.url("change", row.pk))
        except keeping.StorageAway:
            self.message_user(request, "Storage does not answer: try again shortly.", messages.ERROR)
            return HttpResponseRedirect(self.url("change", row.pk))
        audit.record(
            action=DOWNLOADED_VERB, entity_type="DsarRequest", entity_id=str(row.pk), changes={"via": {"new": "admin"}}
        )
        return response

    @verb(
        permission=Permission.READ_DSAR,
        description="Certificate",
        icon="workspace_premium",
        url_path="certificate",
        variant=ActionVariant.PRIMARY,
    )
    def certificate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What proves the erasure; the first look issues it."""
        return certificate_page.page(self, request, self.row(request, object_id))


VERBS = ("download", "readable", "certificate")


def fitting(row: DsarRequest) -> set[str]:
    """Which of these buttons the request's page shows."""
    fit = set()
    if certificates.why_not(row) is None:
        fit.add("certificate")
    if package_of(row) is not None:
        fit |= {"download"} if row.encrypt else {"download", "readable"}
    return fit


def package_of(row: DsarRequest) -> Dossier | None:
    handed_out = row.status == Status.COMPLETED or row.state == State.REVIEW
    if not KINDS[row.request_type].has_package or not handed_out:
        return None
    return Dossier.objects.fresh(clock.now()).filter(request=row.answered_by).first()
