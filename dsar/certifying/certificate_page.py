"""The certificate in the admin: what it says, and its files."""

from contextlib import suppress
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import Resolver404, resolve

from audit.tree import checkpoints
from dsar.certifying import certificates, handing_out, printing
from dsar.models import DsarRequest
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, TenantModelAdmin
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.middleware import BEFORE_ADMIN_REQUEST

PAGE = "dsar_dsarrequest_certificate"


def page(pages: TenantModelAdmin[DsarRequest], request: HttpRequest, row: DsarRequest) -> HttpResponse:
    """The page of a request's certificate, or with `?format=` a file of it."""
    if request.method not in READ_METHODS:
        return HttpResponseNotAllowed(READ_METHODS)
    wanted = request.GET.get("format", "")
    if wanted and wanted not in handing_out.TYPES:
        return HttpResponse("There is json and html.", status=400, content_type="text/plain")
    context: dict[str, Any] = {
        **pages.admin_site.each_context(request),
        "opts": pages.opts,
        "title": "Certificate of erasure",
        "headline": "Certificate of erasure",
        "back": pages.url("change", row.pk),
    }
    try:
        certificate = certificates.issue(row, now=clock.now())
    except certificates.NoCertificate as refusal:
        context["refusal"] = str(refusal)
        return TemplateResponse(request, "admin/dsar/certificate.html", context)
    if wanted:
        return handing_out.file_of(certificate, wanted, via="admin")
    certificates.record_reading(certificate, via="admin")
    return TemplateResponse(request, "admin/dsar/certificate.html", {**context, **printing.shown(certificate)})


def seal_before_page(tenant_id: str, path: str) -> None:
    """The first look brings the record under a checkpoint. Where the log contradicts its last one, the page says so."""
    try:
        found = resolve(path)
    except Resolver404:
        return
    if found.url_name != PAGE:
        return
    with scope(tenant_id=tenant_id, actor=Actor.system("certificate")):
        with transaction():
            row = DsarRequest.objects.filter(pk=found.kwargs["object_id"]).first()
            is_wanted = row is not None and not certificates.why_not(row) and not certificates.issued(row)
        if is_wanted:
            with suppress(checkpoints.LogContradictsCheckpoint):
                certificates.seal_log()


BEFORE_ADMIN_REQUEST.append(seal_before_page)
