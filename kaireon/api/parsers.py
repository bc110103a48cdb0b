"""JSON in, strictly: UTF-8, no duplicate keys, no NaN, no NUL and no lone surrogate anywhere."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from kaireon.api.errors import PayloadTooLarge

MAX_DEPTH = 64


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        # Read by hand: Django limits `request.body` but not the stream that a parser gets.
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        data = stream.read(limit + 1)
        if len(data) > limit:
            raise PayloadTooLarge
        try:
            value = json.loads(data.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique)
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        except json.JSONDecodeError as error:
            raise ParseError(
                f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
            ) from error
        except ValueError as error:
            raise ParseError("The body holds a number that is too long.") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        _check_values(value, "")
        return value


def _refuse(constant: str) -> None:
    raise ParseError(f"The body holds {constant}, which is not JSON.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ParseError("The body names the same key twice.")
    return found


def _check_values(value: Any, path: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ParseError("The body is nested too deeply.")
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise ParseError(f"{path or 'body'}: text may not hold NUL or a lone surrogate.")
    elif isinstance(value, float) and not math.isfinite(value):
        # 1e999 is JSON; what Python makes of it is not.
        raise ParseError(f"{path or 'body'}: a number is too large.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_values(key, path, depth + 1)
            _check_values(item, f"{path}.{key}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{path}[{index}]", depth + 1)
