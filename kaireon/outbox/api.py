"""Dead letters over HTTP: GET and POST /api/v1/admin/dlq. Their payloads are never answered."""

from typing import Any

from django.db import IntegrityError
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from kaireon.api.errors import BadRequest, Conflict
from kaireon.api.paging import page_of
from kaireon.api.serializers import PageOut, StrictSerializer
from kaireon.lib import clock
from kaireon.outbox import dead_letters, services
from kaireon.outbox.models import DeadLetter, DeadLetterQuerySet, LetterState
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

MOST_EVENTS = 1000


class DeadLetterOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField(source="source", help_text="message, job or decision.")
    sourceId = serializers.UUIDField(source="source_ref")
    queue = serializers.CharField()
    topic = serializers.CharField()
    classification = serializers.CharField()
    errorType = serializers.CharField(source="error_type")
    attempts = serializers.IntegerField()
    replays = serializers.IntegerField()
    state = serializers.CharField()
    diedAt = serializers.DateTimeField(source="died_at")
    archivedAt = serializers.DateTimeField(source="archived_at", allow_null=True)


class DlqOut(PageOut):
    events = DeadLetterOut(many=True)
    depth = serializers.DictField(child=serializers.IntegerField(), help_text="Open dead letters by queue.")
    level = serializers.CharField(help_text="OK to 10 open, WARNING to 100, CRITICAL above; of the fullest queue.")


class DlqIn(StrictSerializer):
    action = serializers.RegexField(r"^(retry|purge)$", error_messages={"invalid": "is retry or purge."})
    eventIds = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=MOST_EVENTS)
    topic = serializers.CharField(required=False, max_length=64)


class DlqAnswer(serializers.Serializer[Any]):
    action = serializers.CharField()
    affected = serializers.IntegerField()
    skipped = serializers.DictField(
        child=serializers.IntegerField(), help_text="By reason: not_open, not_archived, not_replayable, not_found."
    )
    more = serializers.BooleanField(help_text="The topic has more: ask again.")


class DeadLettersView(TenantAPIView):
    permission = Permission.RUN_JOBS
    idempotent = True

    @extend_schema(
        parameters=[
            OpenApiParameter(name, str, description=text)
            for name, text in (
                ("queue", "Only of this queue."),
                ("topic", "Only of this topic or job type."),
                ("state", "open (default), replayed or purged."),
            )
        ]
        + [OpenApiParameter("page", int), OpenApiParameter("limit", int, description="Default 50, at most 200.")],
        responses=DlqOut,
        operation_id="dlq_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """Dead letters, newest first, and how many are open."""
        state = request.query_params.get("state", LetterState.OPEN)
        if state not in LetterState.values:
            raise BadRequest(f"must be one of {', '.join(LetterState.values)}.", field="state")
        letters: DeadLetterQuerySet = DeadLetter.objects.filter(state=state).order_by("-died_at", "-pk")
        for name in ("queue", "topic"):
            if value := request.query_params.get(name):
                letters = letters.filter(**{name: _plain(value, name)})
        page = page_of(request, letters, default=50, cap=200)
        depths = dead_letters.depths()
        return Response(
            page.answer(
                events=DeadLetterOut(page.items, many=True).data,
                depth=depths,
                level=dead_letters.level(max(depths.values(), default=0)),
            )
        )

    @extend_schema(request=DlqIn, responses=DlqAnswer, operation_id="dlq_act")
    def post(self, request: TenantRequest) -> Response:
        """Retry dead letters, or purge archived ones: those of `eventIds`, those of `topic`, or what is in both.

        409 `legal_hold` while the class `jobs` is held and something would be purged.
        """
        given = DlqIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        if not ("eventIds" in asked or "topic" in asked):
            raise BadRequest("name the dead letters: eventIds, topic or both.", field="eventIds")
        letters, missing, more = _chosen(asked)
        now = clock.now()
        if asked["action"] == "retry":
            handled = dead_letters.retry(letters, now=now)
            self.after_commit(lambda: _wake(request.tenant_id))
        else:
            try:
                with transaction():
                    handled = dead_letters.purge(letters, now=now)
            except IntegrityError as e:
                raise Conflict("The class jobs is under legal hold: nothing was purged.", code="legal_hold") from e
        skipped = dict(handled.reasons) | ({"not_found": missing} if missing else {})
        return Response({"action": asked["action"], "affected": len(handled.done), "skipped": skipped, "more": more})


def _chosen(asked: dict[str, Any]) -> tuple[DeadLetterQuerySet, int, bool]:
    """The letters asked for, how many ids are nobody's, and whether a topic has more than are done at once."""
    letters: DeadLetterQuerySet = DeadLetter.objects.order_by("died_at", "pk")
    if "topic" in asked:
        letters = letters.filter(topic=asked["topic"])
    if "eventIds" in asked:
        wanted = set(asked["eventIds"])
        found = set(letters.filter(pk__in=wanted).values_list("pk", flat=True))
        return DeadLetter.objects.filter(pk__in=found).order_by("died_at", "pk"), len(wanted - found), False
    rest = letters.open() if asked["action"] == "retry" else letters.open().exclude(archived_at=None)
    ids = list(rest.values_list("pk", flat=True)[: MOST_EVENTS + 1])
    chosen = DeadLetter.objects.filter(pk__in=ids[:MOST_EVENTS]).order_by("died_at", "pk")
    return chosen, 0, len(ids) > MOST_EVENTS


def _plain(value: str, name: str) -> str:
    if "\x00" in value or len(value) > 64:
        raise BadRequest("is not a name.", field=name)
    return value


def _wake(tenant_id: str) -> None:
    services.send_wake(tenant_id)
