"""One row of an ingest call or a file, read strictly: each field by its own rule, each fault by its own message.

The three tables at the end say what a row of each kind may hold. Messages never repeat a value.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from customers.models.consent import ConsentStatus
from customers.models.customer import normal_email
from customers.models.interaction import InteractionKind
from kaireon.lib.canonical import NotCanonical, exact

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# Clocks differ; nothing has happened tomorrow.
SKEW = timedelta(hours=24)
FIRST_BIRTH = date(1880, 1, 1)
MAX_JSON_BYTES = 16 * 1024
MAX_QUANTITY = 10**12
MAX_AMOUNT = Decimal(10) ** 14

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Unreadable(ValueError):
    """A value does not fit its field. The message says what would."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a row; `field` is "" when it is the row itself."""

    field: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """Where a value goes and how it is read; `empty` is what null and absence mean, unless it is required."""

    column: str
    read: Callable[[Any, datetime], Any]
    required: bool = False
    empty: Any = ""


def read_row(fields: Mapping[str, Field], row: object, *, now: datetime) -> tuple[dict[str, Any], list[Fault]]:
    """The columns that the row gives, and every fault in it. Columns are complete only when there is no fault."""
    if not isinstance(row, dict):
        return {}, [Fault("", "must be an object.")]
    faults = [Fault(str(name)[:64], "unknown field.") for name in row if name not in fields]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in row:
            if field.required:
                faults.append(Fault(name, "is required."))
            continue
        value = row[name]
        if value is None:
            if field.required:
                faults.append(Fault(name, "may not be null."))
            values[field.column] = field.empty() if callable(field.empty) else field.empty
            continue
        try:
            values[field.column] = field.read(value, now)
        except Unreadable as e:
            faults.append(Fault(name, str(e)))
    return values, faults


def text(most: int, *, least: int = 0, lines: bool = False) -> Callable[[Any, datetime], str]:
    """Text in NFC without outer spaces."""
    control = _CONTROL_BUT_LINES if lines else _CONTROL

    def read(value: Any, _now: datetime) -> str:
        if not isinstance(value, str):
            raise Unreadable("must be text.")
        if control.search(value):
            raise Unreadable("may not hold control characters, NUL or half a surrogate pair.")
        clean = unicodedata.normalize("NFC", value.strip())
        if not least <= len(clean) <= most:
            raise Unreadable(f"must have {least} to {most} characters.")
        return clean

    return read


_line = text(254)


def email(value: Any, now: datetime) -> str:
    clean = normal_email(_line(value, now))
    if clean and not _EMAIL.fullmatch(clean):
        raise Unreadable("must be an e-mail address.")
    return clean


def country(value: Any, now: datetime) -> str:
    clean = _line(value, now).upper()
    if clean and not (len(clean) == 2 and clean.isascii() and clean.isalpha()):
        raise Unreadable("must be two letters, ISO 3166-1 alpha-2.")
    return clean


def language(value: Any, now: datetime) -> str:
    clean = _line(value, now)
    if clean and not (len(clean) <= 35 and _LANGUAGE.fullmatch(clean)):
        raise Unreadable("must be a language tag, BCP 47, such as en or pt-BR.")
    return clean


def currency(value: Any, now: datetime) -> str:
    clean = _line(value, now).upper()
    if clean and not (len(clean) == 3 and clean.isascii() and clean.isalpha()):
        raise Unreadable("must be three letters, ISO 4217.")
    return clean


def slug(most: int) -> Callable[[Any, datetime], str]:
    """A name for machines, in lower case."""

    def read(value: Any, now: datetime) -> str:
        clean = _line(value, now).lower()
        if not (len(clean) <= most and _SLUG.fullmatch(clean)):
            raise Unreadable(f"must be 1 to {most} letters a to z, digits, '.', '_' or '-'.")
        return clean

    return read


def one_of(*choices: str) -> Callable[[Any, datetime], str]:
    known = frozenset(choices)

    def read(value: Any, now: datetime) -> str:
        clean = _line(value, now).lower()
        if clean not in known:
            raise Unreadable(f"must be one of {', '.join(choices)}.")
        return clean

    return read


def birth_date(value: Any, now: datetime) -> date:
    clean = _line(value, now)
    try:
        found = date.fromisoformat(clean)
    except ValueError:
        raise Unreadable("must be a date, YYYY-MM-DD.") from None
    if len(clean) != 10 or not FIRST_BIRTH <= found <= now.date():
        raise Unreadable(f"must be a date, YYYY-MM-DD, from {FIRST_BIRTH} to today.")
    return found


def moment(value: Any, now: datetime) -> datetime:
    """ISO 8601 with an offset, or a day alone, which means its beginning in UTC."""
    found = bound(_line(value, now))
    if not EARLIEST <= found <= now + SKEW:
        raise Unreadable("must lie between 1970 and now.")
    return found


def bound(text: str, *, is_end: bool = False) -> datetime:
    """A moment in UTC from ISO 8601 with an offset. A day alone means its beginning, or its end. Raises Unreadable."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and len(text) == len("2026-01-15"):
            found = found.replace(tzinfo=UTC) + timedelta(days=is_end)
        # An offset can carry a moment out of the calendar.
        in_utc = found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("must be a moment in ISO 8601, such as 2026-01-15T09:00:00Z.") from None
    if found.tzinfo is None:
        raise Unreadable("needs an offset from UTC, such as Z or +02:00.")
    return in_utc


def quantity(value: Any, _now: datetime) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,13}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable("must be a whole number.")
    if not -MAX_QUANTITY <= value <= MAX_QUANTITY:
        raise Unreadable(f"must be a whole number from -{MAX_QUANTITY} to {MAX_QUANTITY}.")
    return value


def amount(value: Any, _now: datetime) -> Decimal:
    """A number or its decimal text, at most four decimals. Send text where every cent counts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        raise Unreadable("must be a decimal number.")
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        raise Unreadable("must be a decimal number.") from None
    if not found.is_finite() or abs(found) >= MAX_AMOUNT:
        raise Unreadable("must be a decimal number of at most 14 digits before the point.")
    rounded = found.quantize(Decimal("0.0001"))
    if rounded != found:
        raise Unreadable("may have at most four decimals.")
    return rounded


def json_object(value: Any, _now: datetime) -> dict[str, Any]:
    """An object; numbers that JSON cannot carry exactly become text."""
    if not isinstance(value, dict):
        raise Unreadable("must be an object.")
    try:
        safe = exact(value)
        written = json.dumps(safe, ensure_ascii=False, allow_nan=False)
    except NotCanonical as e:
        raise Unreadable("is nested too deeply.") from e
    if len(written.encode()) > MAX_JSON_BYTES:
        raise Unreadable(f"must be at most {MAX_JSON_BYTES} bytes as JSON.")
    if "\ufffd" in written and safe != value:
        raise Unreadable("may not hold NUL or half a surrogate pair.")
    assert isinstance(safe, dict)  # noqa: S101  `exact` gives a mapping for a mapping
    return safe


_CUSTOMER_ID = Field(column="customer_id", read=text(128, least=1), required=True)

CUSTOMER: dict[str, Field] = {
    "customerId": _CUSTOMER_ID,
    "email": Field(column="email", read=email),
    "phone": Field(column="phone", read=text(64)),
    "name": Field(column="name", read=text(200)),
    "birthDate": Field(column="birth_date", read=birth_date, empty=None),
    "address": Field(column="address", read=text(1000, lines=True)),
    "country": Field(column="country", read=country),
    "language": Field(column="language", read=language),
    "attributes": Field(column="attributes", read=json_object, empty=dict),
    "lastActivityAt": Field(column="last_activity_at", read=moment, required=False, empty=None),
}

INTERACTION: dict[str, Field] = {
    "customerId": _CUSTOMER_ID,
    "externalId": Field(column="external_id", read=text(128, least=1), required=True),
    "kind": Field(column="kind", read=one_of(*InteractionKind.values), required=True),
    "occurredAt": Field(column="occurred_at", read=moment, required=True),
    "channel": Field(column="channel", read=slug(32)),
    "offer": Field(column="offer", read=text(128)),
    "quantity": Field(column="quantity", read=quantity, empty=None),
    "amount": Field(column="amount", read=amount, empty=None),
    "currency": Field(column="currency", read=currency),
    "context": Field(column="context", read=json_object, empty=dict),
}

CONSENT: dict[str, Field] = {
    "customerId": _CUSTOMER_ID,
    "channel": Field(column="channel", read=slug(32), required=True),
    "purpose": Field(column="purpose", read=slug(64), required=True),
    "status": Field(column="status", read=one_of(*ConsentStatus.values), required=True),
    "recordedAt": Field(column="recorded_at", read=moment, required=True),
    "source": Field(column="source", read=text(128)),
    "policyVersion": Field(column="policy_version", read=text(64)),
}
