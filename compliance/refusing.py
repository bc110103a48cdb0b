"""Endpoints that record what somebody wanted to change and was refused, by its fact and field, never by its value."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response

from audit import events
from kaireon.api.errors import ApiError
from kaireon.api.logs import request_id
from kaireon.api.serializers import UNKNOWN_FIELD
from kaireon.tenancy.views import TenantAPIView

# Bad input, what is not there or another tenant's, and what the present state does not allow. Who may not at all, or
# too often, is recorded elsewhere.
RECORDED = (400, 404, 409)


class RefusingView(TenantAPIView):
    """Records in the caller's own tenant, as `refused_verb`, what a write was refused for.

    `refused_id` is what it was about, and `refused_more` what else may be said of it without quoting anybody.
    `quiet` changes nothing, so nothing is recorded; of `noted_already` the service has done it.
    """

    refused_verb: ClassVar[str]
    entity_type: ClassVar[str]
    quiet: ClassVar[bool] = False
    noted_already: ClassVar[tuple[type[Exception], ...]] = ()

    def handle_exception(self, exc: Exception) -> Response:
        # Here the transaction is over, which took everything else back.
        changes = {} if self.quiet or self.request.method in SAFE_METHODS else fact_of(exc)
        if changes and not isinstance(exc.__cause__, self.noted_already):
            events.record(
                tenant_id=self.request.tenant_id,
                actor=self.request.actor,
                request_id=request_id(),
                action=self.refused_verb,
                entity_type=self.entity_type,
                entity_id=self.refused_id(),
                changes={**changes, **self.refused_more()},
            )
        return super().handle_exception(exc)

    def refused_id(self) -> str:
        return str(next(iter(self.kwargs.values()), ""))

    def refused_more(self) -> dict[str, Any]:
        return {}

    def given(self) -> dict[str, Any]:
        """What was sent, as it was sent; nothing when it is no JSON object."""
        try:
            data = self.request.data
        except exceptions.APIException:
            return {}
        return data if isinstance(data, dict) else {}


def fact_of(error: Exception) -> dict[str, str]:
    """`{reason, field?}` of a refusal that is recorded; nothing of any other."""
    if not isinstance(error, exceptions.APIException) or error.status_code not in RECORDED:
        return {}
    if isinstance(error, ApiError):
        reason, field = error.code, getattr(error, "field", "")
    else:
        reason, field = "invalid", _field(error.get_codes())
    return {"reason": reason, **({"field": field} if field else {})}


def _field(codes: Any) -> str:
    """The first field that is wrong. One that nobody declared is not repeated: its name is the sender's."""
    names: list[str] = []
    while isinstance(codes, Mapping) and codes:
        name, codes = next(iter(codes.items()))
        if codes == [UNKNOWN_FIELD]:
            break
        if isinstance(name, str) and name != "non_field_errors":
            names.append(name)
    return ".".join(names)
