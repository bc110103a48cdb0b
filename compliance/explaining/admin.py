"""Why a record is kept, as a page: asked for by its id, or reached from the record's own page."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from compliance.explaining import explain
from compliance.explaining.api import record_id
from compliance.explaining.explanation import Explanation
from kaireon.api.errors import BadRequest
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import verb
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission

TITLE = "Why is it kept?"


class ExplainPage:
    """A page beside the policies. For a `TenantModelAdmin`."""

    admin_site: Any
    opts: Any

    @verb(permission=Permission.READ_RETENTION, description=TITLE, icon="contact_support", url_path="explain")
    def explain(self, request: HttpRequest) -> HttpResponse:
        asked = {name: request.GET.get(name, "").strip() for name in ("entity", "id")}
        said, refusal = _explained(asked) if asked["id"] else (None, "")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "asked": asked,
            "entities": [(entity.name, entity.title) for entity in explain.ENTITIES.values()] + [explain.OF_LOG],
            "said": said,
            "refusal": refusal,
        }
        return TemplateResponse(request, "admin/compliance/explain.html", context)


def _explained(asked: dict[str, str]) -> tuple[Explanation | None, str]:
    """What there is to say, or why there is nothing."""
    try:
        with transaction():
            return explain.explain(asked["entity"], record_id(asked["id"]), now=clock.now()), ""
    except BadRequest as refused:
        return None, str(refused.detail)
    except explain.UnknownEntity as refused:
        return None, str(refused)
    except explain.UnknownRecord:
        return None, "There is no such record."
