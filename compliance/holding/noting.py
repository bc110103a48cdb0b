"""Pages on which something about holds is done: what is refused is recorded, as the API records it."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from compliance.holding import refusals
from kaireon.api.logs import request_id
from kaireon.tenancy.admin_pages import TenantModelAdmin, principal_of

M = TypeVar("M", bound=Model)
Do = Callable[[dict[str, Any]], HttpResponse]


class NotingAdmin(TenantModelAdmin[M]):
    # As the log calls it.
    entity_type: str

    def noting(self, request: HttpRequest, do: Do, *, entity_id: str = "") -> Do:
        """The same, for `ask`: what it refuses is recorded when the page's transaction is over."""

        def done(given: dict[str, Any]) -> HttpResponse:
            try:
                return do(given)
            except tuple(refusals.CODES) as refusal:
                self.note(request, refusal, entity_id=entity_id)
                raise

        return done

    def note(self, request: HttpRequest, refusal: Exception, *, entity_id: str = "") -> None:
        principal = principal_of(request)
        record = partial(
            refusals.note,
            refusal,
            entity_type=self.entity_type,
            entity_id=entity_id,
            tenant_id=principal.tenant_id,
            actor=principal.actor,
            request_id=request_id(),
        )
        self.after_commit(request, record)
