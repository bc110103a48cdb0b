"""Admin pages that record what somebody wanted to change and was refused, by its fact and field, as the API does."""

from functools import partial
from typing import ClassVar, TypeVar
from uuid import UUID

from django.db.models import Model
from django.http import HttpRequest

from audit import events
from kaireon.api.logs import request_id
from kaireon.tenancy.admin_pages import TenantModelAdmin, is_uuid, principal_of

M = TypeVar("M", bound=Model)


class RefusingAdmin(TenantModelAdmin[M]):
    """Records as `refused_verb` what a verb was refused for, when the page's transaction is over.

    What a form itself finds wrong is a slip of the pen.
    """

    refused_verb: ClassVar[str]
    # As the log calls it.
    entity_type: ClassVar[str]

    def on_refusal(self, request: HttpRequest, refusal: Exception) -> None:
        if changes := self.fact_of(refusal):
            principal = principal_of(request)
            about = str(request.resolver_match.kwargs.get("object_id", "")) if request.resolver_match else ""
            record = partial(
                events.record,
                tenant_id=principal.tenant_id,
                actor=principal.actor,
                request_id=request_id(),
                action=self.refused_verb,
                entity_type=self.entity_type,
                entity_id=str(UUID(about)) if is_uuid(about) else "",
                changes=changes,
            )
            self.after_commit(request, record)

    def fact_of(self, refusal: Exception) -> dict[str, str]:
        """`{reason, field?}`, without a value; nothing of what is not recorded: by the `code` that the API answers."""
        code, field = getattr(refusal, "code", ""), getattr(refusal, "field", "")
        return {"reason": code, **({"field": field} if field else {})} if code else {}
