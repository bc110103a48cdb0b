"""One error shape everywhere: {"error": {"code", "message", "status", "requestId"}}."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from redis.exceptions import RedisError
from rest_framework import exceptions, status
from rest_framework.response import Response

from kaireon.api.logs import request_id
from kaireon.lib.sealing import UnknownKeyVersion

logger = logging.getLogger("kaireon.api")


class ApiError(exceptions.APIException):
    """An answer other than success: `code` is a snake_case fact, the message says what to do."""

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "bad_request"
    default_detail = "The request cannot be understood."

    def __init__(self, message: str | None = None, *, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message or self.default_detail)
        self.code = code or self.default_code
        self.headers = headers or {}


class BadRequest(ApiError):
    """400, naming the field and the remedy."""

    def __init__(self, message: str, *, field: str = "", code: str = "bad_request"):
        super().__init__(f"{field}: {message}" if field else message, code=code)
        self.field = field


class Unauthenticated(ApiError):
    status_code = 401
    default_code = "unauthenticated"
    default_detail = "Send a valid API key or session."

    def __init__(self, message: str | None = None, *, code: str | None = None):
        # RFC 9110, 15.5.2: a 401 says how to authenticate.
        super().__init__(message, code=code, headers={"WWW-Authenticate": 'Bearer realm="kaireon"'})


class Forbidden(ApiError):
    status_code = 403
    default_code = "forbidden"
    default_detail = "Your role does not allow this."


class NotFound(ApiError):
    status_code = 404
    default_code = "not_found"
    default_detail = "There is no such object."


class Conflict(ApiError):
    status_code = 409
    default_code = "conflict"
    default_detail = "This is not possible in the present state."


class Gone(ApiError):
    status_code = 410
    default_code = "gone"
    default_detail = "This is no longer available."


class PayloadTooLarge(ApiError):
    status_code = 413
    default_code = "payload_too_large"
    default_detail = "The request body is too large: send at most 5 MB."


class Unprocessable(ApiError):
    status_code = 422
    default_code = "unprocessable"
    default_detail = "The request contradicts an earlier one."


class TooManyRequests(ApiError):
    status_code = 429
    default_code = "rate_limited"

    def __init__(self, retry_after: int):
        super().__init__(f"Too many requests: try again in {retry_after} s.", headers={"Retry-After": str(retry_after)})


class Unavailable(ApiError):
    status_code = 503
    default_code = "unavailable"
    default_detail = "A service we depend on does not answer: nothing was done, try again shortly."

    def __init__(self, message: str | None = None, *, code: str | None = None):
        super().__init__(message, code=code, headers={"Retry-After": "5"})


def body(*, code: str, message: str, status_code: int) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status_code, "requestId": request_id()}}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: every exception becomes the one shape; what nobody expected is logged and says nothing of itself."""
    error = _translated(error)
    if isinstance(error, ApiError):
        return _answer(error.code, str(error.detail), error.status_code, error.headers)
    if isinstance(error, exceptions.APIException):
        return _answer(_code(error), _message(error), error.status_code, _headers(error, context))
    # The traceback may carry rows: only the place and the kind are logged.
    logger.error("unexpected_error", exc_info=error)
    return _answer("internal_error", "Something went wrong on our side; it has been noted.", 500, {})


def _translated(error: Exception) -> Exception:  # noqa: PLR0911  a table, one line a kind
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, PermissionDenied):
        return Forbidden()
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLarge()
    if isinstance(error, OperationalError | InterfaceError | RedisError):
        logger.error("dependency_unavailable", extra={"error_type": type(error).__name__})
        return Unavailable()
    if isinstance(error, UnknownKeyVersion):
        logger.error("sealing_key_missing", extra={"error_type": type(error).__name__})
        return Unavailable(
            "A version of SEALING_KEYS that this needs is missing: the operator has to put it back.",
            code="sealing_key_missing",
        )
    if isinstance(error, DataError):
        return BadRequest("A value does not fit its field: check lengths and ranges.", code="value_out_of_range")
    if isinstance(error, IntegrityError):
        return Conflict("Somebody else changed the same thing at the same time: read it again and retry.")
    return error


def _answer(code: str, message: str, status_code: int, headers: dict[str, str]) -> Response:
    return Response(body(code=code, message=message, status_code=status_code), status=status_code, headers=headers)


def _code(error: exceptions.APIException) -> str:
    return "invalid" if isinstance(error, exceptions.ValidationError) else error.default_code


def _headers(error: exceptions.APIException, context: dict[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if isinstance(error, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return headers


def _message(error: exceptions.APIException) -> str:
    """The first fault, by the name of its field."""
    if not isinstance(error, exceptions.ValidationError):
        return str(error.detail)
    path, detail = _first(error.detail)
    return f"{path}: {detail}" if path else detail


def _first(detail: Any, path: str = "") -> tuple[str, str]:
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        return _first(value, path if key == "non_field_errors" else f"{path}.{key}".lstrip("."))
    if isinstance(detail, list):
        for index, item in enumerate(detail):
            if item:
                return _first(item, f"{path}[{index}]" if isinstance(item, dict) else path)
        return path, "invalid"
    return path, str(detail)


def django_response(code: str, message: str, status_code: int) -> JsonResponse:
    return JsonResponse(body(code=code, message=message, status_code=status_code), status=status_code)


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return django_response("not_found", "There is no such page or endpoint.", 404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return django_response("bad_request", "The request cannot be understood.", 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return django_response("forbidden", "You may not do this.", 403)


def server_error(request: HttpRequest) -> JsonResponse:
    return django_response("internal_error", "Something went wrong on our side; it has been noted.", 500)
