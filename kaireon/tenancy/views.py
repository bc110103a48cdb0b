"""TenantAPIView: every endpoint on tenant data, in its tenant's scope, inside one transaction."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db import transaction as django_transaction
from django.http import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kaireon.api import throttles
from kaireon.api.errors import BadRequest, Forbidden, Unauthenticated
from kaireon.api.logs import request_id
from kaireon.api.throttles import Rate
from kaireon.tenancy import context, idempotency, signals
from kaireon.tenancy.context import Actor
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Permission

logger = logging.getLogger("kaireon.api")


class TenantRequest(Request):
    """DRF's request, knowing who asks."""

    @property
    def principal(self) -> Principal:
        return self.user  # type: ignore[return-value]

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def tenant_id(self) -> str:
        return self.principal.tenant_id

    def may(self, permission: Permission) -> bool:
        return permission in self.principal.permissions


class TenantAPIView(APIView):
    """An endpoint on tenant data.

    `permission`, or `permissions` by method, says who may; `rates` limits methods; `idempotent` honours
    Idempotency-Key on POST, where `echoes` are fields of the answer that repeat the body's and are not kept for it;
    `atomic = False` leaves transactions to the handler. Any error answer rolls back.
    """

    permission: ClassVar[Permission | None] = None
    permissions: ClassVar[dict[str, Permission]] = {}
    rates: ClassVar[dict[str, Rate]] = {}
    idempotent: ClassVar[bool] = False
    echoes: ClassVar[tuple[str, ...]] = ()
    atomic: ClassVar[bool] = True

    request: TenantRequest

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return csrf_exempt(super().as_view(**initkwargs))

    @classmethod
    def permission_for(cls, method: str) -> Permission | None:
        return cls.permissions.get(method, cls.permission)

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> TenantRequest:
        return TenantRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self._after_commit: list[Callable[[], object]] = []
        self.headers = self.default_response_headers
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        try:
            response = self._answer(drf_request)
        except Exception as error:  # noqa: BLE001  every exception becomes the one error shape
            response = self.handle_exception(error)
        self.response = self.finalize_response(drf_request, response, *args, **kwargs)
        return self.response

    def after_commit(self, call: Callable[[], object]) -> None:
        """Run `call` once the transaction is committed: wake-ups and other things that cannot be rolled back."""
        self._after_commit.append(call)

    def before_transaction(self) -> None:
        """What must happen in a transaction of its own before the reader's, such as draining the audit inbox."""

    def _answer(self, request: TenantRequest) -> Response:
        self.initial(request, *self.args, **self.kwargs)
        method = request.method or ""
        handler = getattr(self, method.lower(), self.http_method_not_allowed)
        handler = handler if method.lower() in self.http_method_names else self.http_method_not_allowed
        with context.scope(tenant_id=request.tenant_id, actor=request.actor, request_id=request_id()):
            response = self._once(request, handler)
            for call in self._after_commit:
                call()
        return response

    def _once(self, request: TenantRequest, handler: Callable[..., Response]) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not (key and self.idempotent and request.method == "POST"):
            return self._in_transaction(request, handler, None)
        if len(key) > 255 or not key.isprintable():
            raise BadRequest("must be printable and at most 255 characters.", field="Idempotency-Key")
        fingerprint = hashlib.sha256(b"\0".join((request.get_full_path().encode(), request.body))).hexdigest()
        claim = idempotency.claim(principal=request.actor.id, key=key, fingerprint=fingerprint)
        if claim.replay is not None:
            return self._echoed(request, claim.replay)
        try:
            response = self._in_transaction(request, handler, claim)
        except BaseException:
            claim.give_up()
            raise
        if response.status_code >= 400:
            claim.give_up()
        return response

    def _echoed(self, request: TenantRequest, replay: Response) -> Response:
        """A kept answer with what is not kept of it: the same body came again, so it is there."""
        given = request.data
        if self.echoes and isinstance(given, Mapping):
            replay.data = {**replay.data, **{name: str(given[name]).strip() for name in self.echoes if name in given}}
        return replay

    def _in_transaction(
        self, request: TenantRequest, handler: Callable[..., Response], claim: idempotency.Claim | None
    ) -> Response:
        self.before_transaction()
        if not self.atomic:
            response = handler(request, *self.args, **self.kwargs)
            if claim and response.status_code < 400:
                with context.transaction():
                    claim.answer(response, without=self.echoes)
            return response
        with context.transaction():
            response = handler(request, *self.args, **self.kwargs)
            if response.status_code >= 400:
                django_transaction.set_rollback(True)
            elif claim:
                claim.answer(response, without=self.echoes)
        return response

    def check_permissions(self, request: Any) -> None:
        if request.user is None:
            raise Unauthenticated
        method = request.method if request.method != "HEAD" else "GET"
        if method == "OPTIONS" or not hasattr(self, method.lower()):
            return
        needed = self.permission_for(method)
        if needed is None or not request.may(needed):
            signals.access_refused.send(
                sender=type(self), principal=request.principal, reason=str(needed), request_id=request_id()
            )
            raise Forbidden

    def check_throttles(self, request: Any) -> None:
        if rate := self.rates.get(request.method):
            throttles.take(rate, f"{request.tenant_id}:{request.actor.id}")
