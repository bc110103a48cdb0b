"""Letters over HTTP: listed, read, previewed, written, sent again, noted as sent by other means."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from dsar.letters import facts, sending, writing
from dsar.letters.facts import Supposed
from dsar.letters.letters_serializers import (
    LetterIn,
    LetterMarkIn,
    LetterOut,
    LetterPreviewIn,
    LetterPreviewOut,
    LettersOut,
    LetterTextOut,
)
from dsar.models import DsarRequest, Letter, LetterKind, LetterState, LetterText
from dsar.requests import clocks
from kaireon.api.errors import Conflict, Gone, NotFound
from kaireon.api.serializers import ErrorBodySerializer, StrictSerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

_REFUSED = dict.fromkeys((400, 404, 409), ErrorBodySerializer)


class DsarLettersView(TenantAPIView):
    permissions = {"GET": Permission.READ_DSAR, "POST": Permission.MANAGE_DSAR}
    idempotent = True

    @extend_schema(responses={200: LettersOut, 404: ErrorBodySerializer}, operation_id="dsar_letters")
    def get(self, request: TenantRequest, request_id: Any) -> Response:
        """The letters of a request, oldest first, without what they say."""
        row = _found(request_id)
        kept = Letter.objects.filter(request=row, state=LetterState.KEPT).values_list("pk", flat=True)
        shown = listed(row)
        is_kept = LetterText.objects.filter(pk__in=kept).exists()
        return Response({"requestId": str(row.pk), "letters": shown, "addressKept": is_kept})

    @extend_schema(request=LetterIn, responses={201: LetterOut, **_REFUSED}, operation_id="dsar_letter_write")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Write one letter and send it, where letters are not written by themselves or could not be."""
        given = _given(LetterIn, request)
        row = DsarRequest.objects.select_for_update().filter(pk=request_id).first()
        if row is None:
            raise NotFound
        with _told():
            letter = writing.write(row, given["kind"], language=given.get("language", ""), now=clock.now())
        return Response(_one(row, letter, {letter.pk}), status=201)


class DsarLetterPreviewView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(
        request=LetterPreviewIn, responses={200: LetterPreviewOut, **_REFUSED}, operation_id="dsar_letter_preview"
    )
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """What a letter would say now; also before the request is rejected or extended. Nothing is written."""
        given = _given(LetterPreviewIn, request)
        row = _found(request_id)
        kind, language = given.pop("kind"), given.pop("language", "")
        with _told():
            return Response(writing.preview(row, kind, language=language, supposed=Supposed(**given), now=clock.now()))


class DsarLetterView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(
        responses={200: LetterTextOut, **dict.fromkeys((404, 410), ErrorBodySerializer)}, operation_id="dsar_letter"
    )
    def get(self, request: TenantRequest, request_id: Any, letter_id: Any) -> Response:
        """A letter with what it says and to whom. Recorded."""
        row, letter = _letter(request_id, letter_id)
        with _told():
            content = sending.read(letter, via="api")
        said = {name: content.get(name) or None for name in ("to", "evidence")}
        text = {"subject": content.get("subject", ""), "text": content.get("text", "")}
        return Response({**_one(row, letter, {letter.pk}), **said, **text})


class _Move(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True


class DsarLetterRetryView(_Move):
    @extend_schema(request=None, responses={200: LetterOut, **_REFUSED}, operation_id="dsar_letter_retry")
    def post(self, request: TenantRequest, request_id: Any, letter_id: Any) -> Response:
        """Send a failed letter again, under the same Message-ID."""
        row, letter = _letter(request_id, letter_id)
        with _told():
            return Response(_one(row, sending.retry(letter, now=clock.now()), {letter.pk}))


class DsarLetterMarkView(_Move):
    @extend_schema(request=LetterMarkIn, responses={200: LetterOut, **_REFUSED}, operation_id="dsar_letter_mark")
    def post(self, request: TenantRequest, request_id: Any, letter_id: Any) -> Response:
        """Note that a letter that could not be sent went by other means, and what shows that."""
        given = _given(LetterMarkIn, request)
        row, letter = _letter(request_id, letter_id)
        with _told():
            marked = sending.mark_sent(letter, evidence=given["evidence"], now=clock.now())
        return Response(_one(row, marked, _with_text([letter.pk])))


REFUSALS: dict[type[Exception], tuple[str, str]] = {
    sending.NotToBeSent: ("letter_not_open", "The letter was sent, or is about to be."),
    sending.TextGone: ("letter_gone", "What the letter said is gone: the person was erased, or its time is over."),
}


def listed(row: DsarRequest) -> list[dict[str, Any]]:
    letters = list(Letter.objects.of(row))
    there = _with_text([letter.pk for letter in letters])
    return [_one(row, letter, there) for letter in letters]


def _with_text(ids: Collection[UUID]) -> set[UUID]:
    return set(LetterText.objects.filter(pk__in=ids).values_list("pk", flat=True))


def _one(row: DsarRequest, letter: Letter, with_text: Collection[UUID]) -> dict[str, Any]:
    in_time = None
    if letter.kind == LetterKind.EXTENSION:
        in_time = sending.told_in_time(letter, clocks.clock_of(row))
    return {
        "id": str(letter.pk),
        "kind": letter.kind,
        "language": letter.language,
        "state": letter.state,
        "error": letter.error or None,
        "messageId": facts.message_id_of(letter.pk),
        "writtenAt": clock.rfc3339(letter.written_at),
        "settledAt": clock.rfc3339(letter.settled_at) if letter.settled_at else None,
        "toldInTime": in_time,
        "hasText": letter.pk in with_text,
    }


def _found(request_id: Any) -> DsarRequest:
    row = DsarRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFound
    return row


def _letter(request_id: Any, letter_id: Any) -> tuple[DsarRequest, Letter]:
    row = _found(request_id)
    letter = Letter.objects.of(row).filter(pk=letter_id).first()
    if letter is None:
        raise NotFound
    return row, letter


def _given(serializer: type[StrictSerializer], request: TenantRequest) -> dict[str, Any]:
    read = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    given: dict[str, Any] = read.validated_data
    return given


@contextmanager
def _told() -> Iterator[None]:
    """What services refuse, as answers."""
    try:
        yield
    except writing.LetterRefused as error:
        raise Conflict(str(error), code=error.code) from error
    except sending.TextGone as error:
        code, message = REFUSALS[sending.TextGone]
        raise Gone(message, code=code) from error
    except sending.NotToBeSent as error:
        code, message = REFUSALS[sending.NotToBeSent]
        raise Conflict(message, code=code) from error
