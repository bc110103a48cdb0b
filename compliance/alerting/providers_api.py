"""Notification providers over HTTP: /api/v1/notifications/providers. What is secret goes in and never comes out."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from compliance.alerting import notifications, providers
from compliance.alerting.serializers import (
    NotificationOut,
    ProviderChangeIn,
    ProviderIn,
    ProviderOut,
    ProvidersOut,
    shown_notification,
    shown_provider,
)
from compliance.models import NotificationProvider
from compliance.refusing import RefusingView
from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest


class ProviderView(RefusingView):
    refused_verb = "notification_provider.refused"
    entity_type = "NotificationProvider"

    @contextmanager
    def translating(self) -> Iterator[None]:
        """What services refuse, as answers."""
        try:
            yield
        except providers.ProviderNotFound as e:
            raise NotFound from e
        except providers.ProviderRefused as e:
            raise BadRequest(str(e), field=e.field, code=e.code) from e
        except providers.ProviderInUse as e:
            raise Conflict(str(e), code=e.code) from e


class ProvidersView(ProviderView):
    permissions = {"GET": Permission.READ_ALERTS, "POST": Permission.MANAGE_ALERTS}
    idempotent = True

    @extend_schema(
        parameters=[OpenApiParameter("page", int), OpenApiParameter("limit", int, description="At most 100.")],
        responses=ProvidersOut,
        operation_id="notification_providers_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """Who is told of alerts and how, by name; of an address only its host."""
        page = page_of(request, NotificationProvider.objects.present().order_by("name", "pk"))
        shown = [shown_provider(row) for row in page.items]
        return Response(page.answer(providers=shown))

    @extend_schema(
        request=ProviderIn,
        responses={201: ProviderOut, 400: ErrorBodySerializer},
        operation_id="notification_providers_create",
    )
    def post(self, request: TenantRequest) -> Response:
        """Make a provider: a signed webhook, a Slack or Teams channel, or e-mail."""
        read = ProviderIn(data=request.data)
        read.is_valid(raise_exception=True)
        with self.translating():
            row = providers.create(now=clock.now(), **read.validated_data)
        return Response(shown_provider(row), status=201)


class NotificationProviderView(ProviderView):
    permissions = {
        "GET": Permission.READ_ALERTS,
        "PATCH": Permission.MANAGE_ALERTS,
        "DELETE": Permission.MANAGE_ALERTS,
    }

    @extend_schema(responses={200: ProviderOut, 404: ErrorBodySerializer}, operation_id="notification_providers_read")
    def get(self, request: TenantRequest, provider_id: UUID) -> Response:
        """One provider, and whether its newest notification arrived."""
        return Response(shown_provider(_find(provider_id)))

    @extend_schema(
        request=ProviderChangeIn,
        responses={200: ProviderOut, **dict.fromkeys((400, 404), ErrorBodySerializer)},
        operation_id="notification_providers_change",
    )
    def patch(self, request: TenantRequest, provider_id: UUID) -> Response:
        """Change what is given. A webhook gets another address only together with its secret."""
        _find(provider_id)
        read = ProviderChangeIn(data=request.data)
        read.is_valid(raise_exception=True)
        with self.translating():
            row = providers.change(provider_id, given=read.validated_data, now=clock.now())
        return Response(shown_provider(row))

    @extend_schema(
        responses={204: None, **dict.fromkeys((404, 409), ErrorBodySerializer)},
        operation_id="notification_providers_remove",
    )
    def delete(self, request: TenantRequest, provider_id: UUID) -> Response:
        """Remove a provider that no rule tells of its alerts."""
        with self.translating():
            providers.remove(provider_id, now=clock.now())
        return Response(status=204)


class ProviderTestView(ProviderView):
    permission = Permission.MANAGE_ALERTS
    rates = {"POST": Rate("provider-test", per_minute=10)}
    idempotent = True

    @extend_schema(
        request=None,
        responses={202: NotificationOut, 404: ErrorBodySerializer},
        operation_id="notification_providers_test",
    )
    def post(self, request: TenantRequest, provider_id: UUID) -> Response:
        """Send a test; whether it arrived stands in the provider's `last` a moment later."""
        with self.translating():
            row = providers.locked(provider_id)
        return Response(shown_notification(notifications.test(row, now=clock.now())), status=202)


def _find(provider_id: UUID) -> NotificationProvider:
    row = NotificationProvider.objects.present().filter(pk=provider_id).first()
    if row is None:
        raise NotFound
    return row
