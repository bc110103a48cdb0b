"""Alert rules over HTTP: /api/v1/alerts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from compliance.alerting import metrics, rules
from compliance.alerting.serializers import (
    AlertChangeIn,
    AlertHistoryOut,
    AlertIn,
    AlertMetricsOut,
    AlertOut,
    AlertSilenceIn,
    AlertsOut,
    shown_change,
    shown_metric,
    shown_rule,
)
from compliance.models import AlertChange, AlertRule, AlertState, Severity
from compliance.refusing import RefusingView
from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest

_PAGES = [OpenApiParameter("page", int), OpenApiParameter("limit", int, description="At most 100.")]


class AlertView(RefusingView):
    refused_verb = "alert_rule.refused"
    entity_type = "AlertRule"

    @contextmanager
    def translating(self) -> Iterator[None]:
        """What services refuse, as answers."""
        try:
            yield
        except rules.RuleNotFound as e:
            raise NotFound from e
        except rules.RuleRefused as e:
            raise BadRequest(str(e), field=e.field, code=e.code) from e
        except rules.NotAlerting as e:
            raise Conflict("No alert of this rule is open.", code=e.code) from e
        except rules.AlreadyAcknowledged as e:
            raise Conflict("Somebody has taken this alert on already.", code=e.code) from e


class AlertsView(AlertView):
    permissions = {"GET": Permission.READ_ALERTS, "POST": Permission.MANAGE_ALERTS}
    idempotent = True

    @extend_schema(
        parameters=[
            OpenApiParameter("state", enum=AlertState.values),
            OpenApiParameter("severity", enum=Severity.values),
            *_PAGES,
        ],
        responses={200: AlertsOut, 400: ErrorBodySerializer},
        operation_id="alerts_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """The alert rules by name, each with where it stands and the value that was found last."""
        rows = AlertRule.objects.present().order_by("name", "pk")
        for name, choices in (("state", AlertState.values), ("severity", Severity.values)):
            if value := request.query_params.get(name):
                if value not in choices:
                    raise BadRequest(f"must be one of {', '.join(choices)}.", field=name)
                rows = rows.filter(**{name: value})
        page = page_of(request, rows)
        shown = [shown_rule(row) for row in page.items]
        return Response(page.answer(alerts=shown))

    @extend_schema(request=AlertIn, responses={201: AlertOut, 400: ErrorBodySerializer}, operation_id="alerts_create")
    def post(self, request: TenantRequest) -> Response:
        """Make a rule. It is evaluated within a minute. A metric that does not exist is refused with those that do."""
        read = AlertIn(data=request.data)
        read.is_valid(raise_exception=True)
        with self.translating():
            rule = rules.create(given=read.given(), now=clock.now())
        return Response(shown_rule(rule), status=201)


class AlertRuleView(AlertView):
    permissions = {
        "GET": Permission.READ_ALERTS,
        "PATCH": Permission.MANAGE_ALERTS,
        "DELETE": Permission.MANAGE_ALERTS,
    }

    @extend_schema(responses={200: AlertOut, 404: ErrorBodySerializer}, operation_id="alerts_read")
    def get(self, request: TenantRequest, rule_id: UUID) -> Response:
        """One rule, and where it stands."""
        return Response(shown_rule(_find(rule_id)))

    @extend_schema(
        request=AlertChangeIn,
        responses={200: AlertOut, **dict.fromkeys((400, 404), ErrorBodySerializer)},
        operation_id="alerts_change",
    )
    def patch(self, request: TenantRequest, rule_id: UUID) -> Response:
        """Change what is given. A rule that is switched off closes its alert."""
        _find(rule_id)
        read = AlertChangeIn(data=request.data)
        read.is_valid(raise_exception=True)
        with self.translating():
            rule = rules.change(rule_id, given=read.given(), now=clock.now())
        return Response(shown_rule(rule))

    @extend_schema(responses={204: None, 404: ErrorBodySerializer}, operation_id="alerts_remove")
    def delete(self, request: TenantRequest, rule_id: UUID) -> Response:
        """Remove a rule and close its alert. Its history stays in the log."""
        with self.translating():
            rules.remove(rule_id, now=clock.now())
        return Response(status=204)


class AlertHistoryView(AlertView):
    permission = Permission.READ_ALERTS

    @extend_schema(
        parameters=_PAGES, responses={200: AlertHistoryOut, 404: ErrorBodySerializer}, operation_id="alerts_history"
    )
    def get(self, request: TenantRequest, rule_id: UUID) -> Response:
        """Each change of the rule's state, newest first, and who was told of it."""
        _find(rule_id)
        changes = AlertChange.objects.filter(rule=rule_id).order_by("-number")
        page = page_of(request, changes.prefetch_related("notifications__provider"))
        shown = [shown_change(change) for change in page.items]
        return Response(page.answer(alertId=str(rule_id), changes=shown))


class AlertAcknowledgeView(AlertView):
    permission = Permission.MANAGE_ALERTS
    idempotent = True

    @extend_schema(
        request=None,
        responses={200: AlertOut, **dict.fromkeys((404, 409), ErrorBodySerializer)},
        operation_id="alerts_acknowledge",
    )
    def post(self, request: TenantRequest, rule_id: UUID) -> Response:
        """Take the open alert on, until it ends."""
        with self.translating():
            rule = rules.acknowledge(rule_id, actor=request.actor, now=clock.now())
        return Response(shown_rule(rule))


class AlertSilenceView(AlertView):
    permission = Permission.MANAGE_ALERTS
    idempotent = True

    @extend_schema(
        request=AlertSilenceIn,
        responses={200: AlertOut, **dict.fromkeys((400, 404), ErrorBodySerializer)},
        operation_id="alerts_silence",
    )
    def post(self, request: TenantRequest, rule_id: UUID) -> Response:
        """Say nothing of the rule until then; it is evaluated all the same. `until` null speaks again."""
        _find(rule_id)
        read = AlertSilenceIn(data=request.data)
        read.is_valid(raise_exception=True)
        given: dict[str, Any] = read.validated_data
        with self.translating():
            rule = rules.silence(rule_id, until=given["until"], reason=given["reason"], now=clock.now())
        return Response(shown_rule(rule))


class AlertMetricsView(AlertView):
    permission = Permission.READ_ALERTS

    @extend_schema(responses=AlertMetricsOut, operation_id="alerts_metrics")
    def get(self, request: TenantRequest) -> Response:
        """What rules can watch."""
        return Response({"metrics": [shown_metric(metrics.METRICS[name]) for name in sorted(metrics.METRICS)]})


def _find(rule_id: UUID) -> AlertRule:
    rule = AlertRule.objects.present().filter(pk=rule_id).first()
    if rule is None:
        raise NotFound
    return rule
