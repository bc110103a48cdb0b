"""Invented people, one for each number, the same on every machine. Nobody real: addresses of example domains, telephone
numbers nobody has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from typing import TypeVar

from customers.demo.locales import LOCALES, Locale

_T = TypeVar("_T")

_FIRST_BIRTH = date(1938, 1, 1)
_BIRTH_DAYS = (date(2005, 12, 31) - _FIRST_BIRTH).days + 1

# RFC 2606 section 3: reserved, so that no mail of a demo reaches anybody.
_DOMAINS = ("example.com", "example.org", "example.net")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One invented person. `full_name` is written in the order and script of the language."""

    number: int
    full_name: str
    given_name: str
    family_name: str
    email: str
    phone: str
    birth_date: date
    address: str
    city: str
    postal_code: str
    country: str
    language: str
    script: str


class _Dice:
    """Choices drawn from a number: a hash, not `random`, whose sequence may differ between versions of Python."""

    __slots__ = ("_entropy",)

    def __init__(self, number: int) -> None:
        self._entropy = int.from_bytes(blake2b(b"kaireon demo %d" % number).digest())

    def below(self, bound: int) -> int:
        self._entropy, drawn = divmod(self._entropy, bound)
        return drawn

    def one_of(self, choices: Sequence[_T]) -> _T:
        return choices[self.below(len(choices))]

    def fill(self, pattern: str) -> str:
        """The pattern with a digit for each #."""
        count = pattern.count("#")
        digits = iter(f"{self.below(10**count):0{count}d}")
        return "".join(next(digits) if character == "#" else character for character in pattern) if count else pattern


def identity(number: int) -> Identity:
    """The person with this number (0 and up). E-mail addresses are unique, as they contain it; names repeat.

    Raises ValueError below 0.
    """
    if number < 0:
        raise ValueError("people are numbered from 0")
    dice = _Dice(number)
    locale = dice.one_of(LOCALES)
    is_woman = bool(dice.below(2))
    given = dice.one_of(locale.women if is_woman else locale.men)
    family = dice.one_of(locale.families)[is_woman]
    place = dice.one_of(locale.places)
    return Identity(
        number=number,
        full_name=_full_name(locale, given.native, family.native),
        given_name=given.native,
        family_name=family.native,
        email=f"{given.latin}.{family.latin}.{number}@{dice.one_of(_DOMAINS)}",
        phone=dice.fill(locale.phone),
        birth_date=_FIRST_BIRTH + timedelta(days=dice.below(_BIRTH_DAYS)),
        address=locale.address.format(street=dice.one_of(locale.streets), number=1 + dice.below(180)),
        city=place.city,
        postal_code=dice.fill(place.postal_code),
        country=locale.country,
        language=locale.language,
        script=locale.script,
    )


def _full_name(locale: Locale, given: str, family: str) -> str:
    names = (family, given) if locale.family_first else (given, family)
    return locale.joined.join(names)
