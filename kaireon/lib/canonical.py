"""One byte sequence for each JSON value (RFC 8785), and values that have one (RFC 7493, I-JSON).

`canonical` writes, `exact` prepares a Python value for it, `loads_exact` reads JSON text without changing a number.
A value that went through `exact` or `loads_exact` always has a canonical form; `canonical` itself refuses the rest.
"""

import base64
import json
import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
import rfc8785

from kaireon.lib import clock

# The integers that every reader of JSON gives back unchanged (RFC 7493 section 2.2).
SAFE_INTEGER = 2**53 - 1

# Deeper values are refused or kept as text, by count: the interpreter's own limit depends on who calls, and a hash must
# not depend on that.
MAX_DEPTH = 200

# Below this character code points are in the order of UTF-16 code units, by which RFC 8785 section 3.2.3 sorts keys.
_FIRST_SURROGATE = "\ud800"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

_ALWAYS_PLAIN = frozenset((str, bool, type(None)))

_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False, allow_nan=False
).encode


class NotCanonical(ValueError):
    """The value has no canonical JSON form. The message names the kind of trouble, never the value.

    Pass it through `exact` first when it comes from outside.
    """


class LoneSurrogate(NotCanonical):
    """Text holds half a UTF-16 pair, which no UTF-8 can carry."""


class NestedTooDeeply(NotCanonical):
    """The value is nested deeper than can be written, or contains itself."""


class NotJson(ValueError):
    """The text is not JSON. The message gives the position, never the text."""


# Each exception below is raised `from None`: the ones underneath carry the value they met, which may be personal.


def canonical(value: Any) -> bytes:
    """RFC 8785 canonical JSON in UTF-8.

    Takes None, bool, int within ±(2^53-1), finite float, str, list, tuple and dict with text keys.
    Raises NotCanonical (LoneSurrogate, NestedTooDeeply) for everything else.
    """
    try:
        if _is_plain(value):
            return _encoded(value)
        return rfc8785.dumps(value)
    except UnicodeEncodeError:
        raise LoneSurrogate("text with half of a surrogate pair has no canonical form") from None
    except RecursionError:
        raise NestedTooDeeply("nested too deeply for a canonical form") from None
    except rfc8785.IntegerDomainError:
        raise NotCanonical("an integer beyond ±(2^53-1) has no canonical form") from None
    except rfc8785.FloatDomainError:
        raise NotCanonical("NaN and infinity have no canonical form") from None
    except rfc8785.CanonicalizationError as e:
        if isinstance(e.__context__, UnicodeEncodeError):
            raise LoneSurrogate("text with half of a surrogate pair has no canonical form") from None
        raise NotCanonical("a key that is not text, or a type that JSON does not know, has no canonical form") from None


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # It goes 254 levels deep; and half pairs are refused here in one way for all.
        return _encode(value).encode()


def _is_plain(value: Any) -> bool:
    """Whether the C encoders write this value exactly as RFC 8785 does.

    It differs on floats, on integers out of range, on keys that are not text and on the order of keys beyond U+D7FF.
    Exact types only: a subclass may print itself otherwise.
    """
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not (key.isascii() or max(key) < _FIRST_SURROGATE):
                return False
            # The most common members are decided here, without another call.
            if type(item) not in _ALWAYS_PLAIN and not _is_plain(item):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    if kind is int:
        return bool(-SAFE_INTEGER <= value <= SAFE_INTEGER)
    return kind is str or kind is bool or value is None


def exact(value: object) -> object:
    """A copy that JSON can carry and `canonical` can write, with nothing rounded.

    | from                                   | to                                                    |
    |----------------------------------------|-------------------------------------------------------|
    | int, float within ±(2^53-1)            | itself                                                |
    | int, float beyond, NaN, infinity       | text: its digits, `NaN`, `Infinity`, `-Infinity`      |
    | Decimal                                | text, always, so that a column has one type           |
    | datetime with zone                     | RFC 3339 in UTC, six decimals, Z                      |
    | datetime without zone, date, time      | ISO 8601 as it is                                     |
    | timedelta                              | seconds as decimal text                               |
    | UUID; Enum                             | text; its value                                       |
    | bytes, bytearray, memoryview           | base64 text                                           |
    | set, frozenset                         | list in canonical order                               |
    | text, keys included                    | NUL and lone surrogates replaced by U+FFFD            |

    Two keys that become the same get apart again by further U+FFFD, in the order of the mapping.
    Raises NestedTooDeeply beyond MAX_DEPTH levels and NotCanonical, naming the type, for a type not listed.
    """
    return _exact(value, MAX_DEPTH)


def _exact(value: object, levels: int) -> object:  # noqa: PLR0911 - one line per row of the table above
    if value is None or value is True or value is False:
        return value
    if isinstance(value, Enum):
        return _exact(value.value, levels)
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, int):
        return int(value) if -SAFE_INTEGER <= value <= SAFE_INTEGER else _digits(value)
    if isinstance(value, float):
        return float(value) if abs(value) <= SAFE_INTEGER else _spelled(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, Mapping):
        return _exact_mapping(value, _deeper(levels))
    if isinstance(value, list | tuple):
        below = _deeper(levels)
        return [_exact(item, below) for item in value]
    if isinstance(value, AbstractSet):
        below = _deeper(levels)
        return sorted((_exact(item, below) for item in value), key=canonical)
    return _scalar_text(value)


def _exact_mapping(value: Mapping[object, object], levels: int) -> dict[str, object]:
    copy: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(key, Mapping | list | tuple | AbstractSet):
            raise NotCanonical(f"{type(key).__name__} cannot be a key in JSON")
        name = _exact(key, levels)
        text = name if isinstance(name, str) else json.dumps(name)
        while text in copy:
            text += _REPLACEMENT
        copy[text] = _exact(item, levels)
    return copy


def _scalar_text(value: object) -> str:
    match value:
        case datetime():
            return clock.rfc3339(value) if value.utcoffset() is not None else value.isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(Decimal(value // timedelta(microseconds=1)).scaleb(-6))
        case UUID():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
    raise NotCanonical(f"{type(value).__name__} has no exact form in JSON")


def _deeper(levels: int) -> int:
    if not levels:
        raise NestedTooDeeply(f"nested deeper than {MAX_DEPTH} levels")
    return levels - 1


def _storable(text: str) -> str:
    # PostgreSQL's text holds no NUL and UTF-8 no half pairs.
    return str(text) if text.isascii() and "\x00" not in text else _UNSTORABLE.sub(_REPLACEMENT, text)


def _digits(number: int) -> str:
    # Python refuses to print more than 4,300 decimal digits, but prints any number in hexadecimal.
    return str(int(number)) if number.bit_length() < 10_000 else f"{int(number):#x}"


def _spelled(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return str(int(number))


def _decimal_text(number: Decimal) -> str:
    if number.is_nan():
        return "NaN"
    if number.is_infinite():
        return "Infinity" if number > 0 else "-Infinity"
    # Plain digits as PostgreSQL's numeric prints them, but not a megabyte of zeros for 1E+1000000.
    return format(number, "f") if -1000 < number.adjusted() < 1000 else str(number)


def _read_int(literal: str) -> int | str:
    if len(literal) > len("-9007199254740991"):
        return literal
    number = int(literal)
    return number if -SAFE_INTEGER <= number <= SAFE_INTEGER else literal


def _read_float(literal: str) -> float | str:
    number = float(literal)
    if not number:
        # 1e-400 is read as 0.0 too, and must not become it.
        return literal if literal.lower().partition("e")[0].strip("-0.") else number
    # Large ones too: 1e21 is an exact double, but jsonb gives it back as an integer that no double is trusted with.
    if abs(number) > SAFE_INTEGER or Decimal(repr(number)) != Decimal(literal):
        return literal
    return number


def _refuse_constant(_literal: str) -> None:
    raise NotJson("NaN and infinity are not JSON")


_decode = json.JSONDecoder(parse_int=_read_int, parse_float=_read_float, parse_constant=_refuse_constant).decode
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def loads_exact(text: str) -> object:
    """Read JSON text, `jsonb::text` above all, so that every number keeps its value.

    A number becomes int or float when an IEEE double gives it back unchanged and within ±(2^53-1), otherwise text,
    digit for digit: `1e21`, 2^53+1, 0.1000000000000000055. NUL and lone surrogates become U+FFFD. What is nested deeper
    than MAX_DEPTH comes back as the text itself, so that no stored value is unreadable. Raises NotJson.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return _storable(text)
    try:
        value: object = _decode(text)
    except json.JSONDecodeError as e:
        raise NotJson(f"not JSON at character {e.pos}") from None
    # Only an escape can bring in what `_storable` takes out, or a raw half pair, which has no UTF-8 either.
    return value if "\\u" not in text and (text.isascii() or not _UNSTORABLE.search(text)) else exact(value)


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match.group()
        if token in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in ("]", "}"):
            depth -= 1
    return deepest
