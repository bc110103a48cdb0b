"""A write as a view of the product makes it: the actor's scope, a transaction that says so, one row.

The peers' writes are the same, inside the package's own middleware, which learns from the request who acts.
"""

from collections.abc import Callable
from typing import TypeVar

from auditlog.middleware import AuditlogMiddleware
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pghistory.middleware import HistoryMiddleware
from simple_history.middleware import HistoryRequestMiddleware

from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, platform_scope, scope, transaction
from kaireon.tenancy.models import TenantModel, User
from tests.bench.append.order import values
from tests.bench.append.ours.models import AuditlogOrder, Order, PghistoryOrder, SimpleHistoryOrder, UnauditedOrder
from tests.bench.append.writer import Write

M = TypeVar("M", bound=TenantModel)
View = Callable[[HttpRequest], HttpResponse]

ADA = Actor(id="0190a5e0-0000-7000-8000-00000000000a", name="Ada", type="user")
_DONE = HttpResponse(status=201)


def prepare(tenant_ids: list[str]) -> None:
    for tenant in tenant_ids:
        tenants.create_tenant(tenant_id=tenant, name=tenant.title(), actor=Actor.system("bench"))
    with platform_scope(actor=Actor.system("bench")), transaction():
        User(id=ADA.id, email="ada@example.com", name=ADA.name).save(force_insert=True)


def unaudited() -> Write:
    return _writes(UnauditedOrder)


def audited() -> Write:
    return _writes(Order)


def with_auditlog() -> Write:
    return _through(AuditlogMiddleware, AuditlogOrder)


def with_simple_history() -> Write:
    return _through(HistoryRequestMiddleware, SimpleHistoryOrder)


def with_pghistory() -> Write:
    return _through(HistoryMiddleware, PghistoryOrder)


def _writes(model: type[M]) -> Write:
    def write(tenant: str, number: int) -> None:
        with scope(tenant_id=tenant, actor=ADA, request_id=f"req-{number}"), transaction():
            model.objects.create(**values(number))

    return write


def _through(middleware: Callable[[View], View], model: type[M]) -> Write:
    write_row = _writes(model)

    def view(request: HttpRequest) -> HttpResponse:
        write_row(request.tenant, request.number)
        return _DONE

    respond = middleware(view)
    # Built once: reading the request and loading its user cost the same whatever package records.
    request = RequestFactory().post("/orders", HTTP_X_CORRELATION_ID="req-1")
    with platform_scope(actor=Actor.system("bench")), transaction():
        request.user = User.objects.get(pk=ADA.id)

    def write(tenant: str, number: int) -> None:
        request.tenant, request.number = tenant, number
        respond(request)

    return write
