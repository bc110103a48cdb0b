"""Customers, interactions and consents over HTTP: batches in, pages out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from customers import ingest, rows, serializers, wire
from customers.models import ConsentRecord, Customer, Interaction
from kaireon.api.errors import BadRequest, Forbidden, NotFound
from kaireon.api.paging import page_of
from kaireon.lib import clock
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

_PAGE = [
    OpenApiParameter("page", OpenApiTypes.INT, description="From 1."),
    OpenApiParameter("limit", OpenApiTypes.INT, description="Rows a page, 50 unless told, at most 100."),
]
_FILTERS = [
    OpenApiParameter("customerId", OpenApiTypes.STR, description="The tenant's own number of a customer."),
    OpenApiParameter("from", OpenApiTypes.DATETIME, description="ISO 8601 with offset, or a day: from then on."),
    OpenApiParameter("to", OpenApiTypes.DATETIME, description="The same: before then, or that day included."),
    *_PAGE,
]
_EMAIL = OpenApiParameter("email", OpenApiTypes.STR, description="For roles that may read personal values.")


class IngestView(TenantAPIView):
    """A list of rows, and a POST that takes up to 1,000 of them."""

    permissions = {"GET": Permission.READ_CUSTOMERS, "POST": Permission.INGEST}
    idempotent = True

    plural: ClassVar[str]
    entity: ClassVar[str]
    moment: ClassVar[str]

    def take(self, request: TenantRequest, store: Callable[..., ingest.Outcome]) -> Response:
        outcome = store(_batch(request.data, self.plural), now=clock.now())
        return Response(asdict(outcome))

    def show(self, request: TenantRequest, queryset: TenantQuerySet[Any]) -> Response:
        page = page_of(request, _between(request, queryset, self.moment))
        shown = wire.rows_out(self.entity, page.items, in_clear=request.may(Permission.READ_PERSONAL))
        return Response(page.answer(**{self.plural: shown}))


class CustomersView(IngestView):
    plural, entity, moment = "customers", "customer", "created_at"

    @extend_schema(parameters=[*_FILTERS, _EMAIL], responses=serializers.CustomersOut, operation_id="customers_list")
    def get(self, request: TenantRequest) -> Response:
        """The tenant's customers by their numbers. `from` and `to` look at their creation."""
        found = Customer.objects.order_by("customer_id")
        if number := _given(request, "customerId"):
            found = found.numbered(number)
        if email := _given(request, "email"):
            if not request.may(Permission.READ_PERSONAL):
                raise Forbidden("Your role may not look for personal values.")
            found = found.at_address(email)
        return self.show(request, found)

    @extend_schema(
        request=serializers.CustomersIn, responses={200: serializers.OutcomeOut}, operation_id="customers_ingest"
    )
    def post(self, request: TenantRequest) -> Response:
        """Create or update customers by their numbers. A field left out stays as it is; null empties it."""
        return self.take(request, ingest.ingest_customers)


class CustomerView(TenantAPIView):
    permission = Permission.READ_CUSTOMERS

    @extend_schema(responses=serializers.CustomerOut, operation_id="customers_read")
    def get(self, request: TenantRequest, customer_id: str) -> Response:
        """One customer, by the tenant's own number."""
        customer = Customer.objects.numbered(_storable(customer_id, "customerId")).first()
        if customer is None:
            raise NotFound("There is no customer with this number.")
        shown = wire.rows_out("customer", [customer], in_clear=request.may(Permission.READ_PERSONAL))
        return Response(shown[0])


class InteractionsView(IngestView):
    plural, entity, moment = "interactions", "interactionHistory", "occurred_at"

    @extend_schema(parameters=_FILTERS, responses=serializers.InteractionsOut, operation_id="interactions_list")
    def get(self, request: TenantRequest) -> Response:
        """What customers did, newest first. `from` and `to` look at when."""
        return self.show(request, _of_customer(request, Interaction.objects.newest_first()))

    @extend_schema(
        request=serializers.InteractionsIn, responses={200: serializers.OutcomeOut}, operation_id="interactions_ingest"
    )
    def post(self, request: TenantRequest) -> Response:
        """Store interactions of known customers, each externalId once."""
        return self.take(request, ingest.ingest_interactions)


class ConsentsView(IngestView):
    plural, entity, moment = "consents", "consentRecord", "recorded_at"

    @extend_schema(parameters=_FILTERS, responses=serializers.ConsentsOut, operation_id="consents_list")
    def get(self, request: TenantRequest) -> Response:
        """Statements of consent, newest first; those of erased customers are in it as evidence, without a number."""
        return self.show(request, _of_customer(request, ConsentRecord.objects.order_by("-recorded_at", "-id")))

    @extend_schema(
        request=serializers.ConsentsIn, responses={200: serializers.OutcomeOut}, operation_id="consents_ingest"
    )
    def post(self, request: TenantRequest) -> Response:
        """Store statements of consent, each (customer, channel, purpose, recordedAt) once."""
        return self.take(request, ingest.ingest_consents)


def _batch(data: object, plural: str) -> Sequence[object]:
    if not isinstance(data, dict):
        raise BadRequest(f'must be an object: {{"{plural}": […]}}.', field="body")
    if unknown := [name for name in data if name != plural]:
        raise BadRequest(f"unknown field; known are {plural}.", field=str(unknown[0])[:64])
    batch = data.get(plural)
    if not isinstance(batch, list) or not batch:
        raise BadRequest(f"must be a list of 1 to {ingest.MAX_ROWS} rows.", field=plural)
    if len(batch) > ingest.MAX_ROWS:
        raise BadRequest(
            f"{len(batch)} rows are too many: send at most {ingest.MAX_ROWS}.",
            field=plural,
            code="too_many_rows",
        )
    return batch


def _of_customer(request: Request, queryset: TenantQuerySet[Any]) -> TenantQuerySet[Any]:
    """Only what is about the customer that the filter names; nothing when there is none of that number."""
    if number := _given(request, "customerId"):
        return queryset.filter(customer__in=Customer.objects.numbered(number).values("pk"))
    return queryset


def _between(request: Request, queryset: TenantQuerySet[Any], column: str) -> TenantQuerySet[Any]:
    if since := _moment(request, "from"):
        queryset = queryset.filter(**{f"{column}__gte": since})
    if until := _moment(request, "to"):
        queryset = queryset.filter(**{f"{column}__lt": until})
    return queryset


def _given(request: Request, name: str) -> str:
    return _storable(request.query_params.get(name, ""), name)


def _storable(text: str, name: str) -> str:
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadRequest("may not hold NUL or half a surrogate pair.", field=name)
    return text


def _moment(request: Request, name: str) -> datetime | None:
    text = _given(request, name)
    try:
        return rows.bound(text, is_end=name == "to") if text else None
    except rows.Unreadable as e:
        raise BadRequest(str(e), field=name) from e
