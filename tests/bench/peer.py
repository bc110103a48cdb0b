"""What the peers' writes have in common: Ada, signed in, and a request that passes the package's own middleware."""

from collections.abc import Callable
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import models
from django.db import transaction as django_transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tests.bench.order import values
from tests.bench.writer import Write

M = TypeVar("M", bound=models.Model)
View = Callable[[HttpRequest], HttpResponse]

_factory = RequestFactory()
_DONE = HttpResponse(status=201)


def prepare(_tenant_ids: list[str]) -> None:
    User.objects.create_user("ada", "ada@example.com")


def writes(model: type[M], middleware: Callable[[View], View] | None = None) -> Write:
    """One row in one transaction, inside `middleware`, which learns from the request who acts."""

    def view(request: HttpRequest) -> HttpResponse:
        with django_transaction.atomic():
            model._default_manager.create(tenant_id=request.tenant, **values(request.number))
        return _DONE

    respond = middleware(view) if middleware else view
    # Built once: reading the request and loading its user cost the same whatever package records.
    request = _factory.post("/orders", HTTP_X_CORRELATION_ID="req-1")
    request.user = User.objects.get(username="ada")

    def write(tenant: str, number: int) -> None:
        request.tenant, request.number = tenant, number
        respond(request)

    return write
