"""What the public page and its mails say, a file a language. Laws, grounds, data and days are called as in letters."""

from datetime import date, datetime

from django.utils import translation
from django.utils.dateformat import format as formatted

from dsar.letters import words as letters
from dsar.letters.words.language import Language
from dsar.public.words import de, en, es, fr
from dsar.public.words.language import PageWords

LANGUAGES: dict[str, PageWords] = {"en": en.WORDS, "de": de.WORDS, "fr": fr.WORDS, "es": es.WORDS}
DEFAULT = "en"


def known(tag: str) -> str | None:
    """The language of the page that a BCP 47 tag means, by its first part; None when there is none."""
    first = letters.known(tag)
    return first if first in LANGUAGES else None


def of(tag: str) -> PageWords:
    """The words of this language, or of the default one."""
    return LANGUAGES[known(tag) or DEFAULT]


def here() -> PageWords:
    """The words of the language that is active; see `django.utils.translation`."""
    return of(translation.get_language() or DEFAULT)


def letters_here() -> Language:
    return letters.LANGUAGES[here().tag]


def day(value: date) -> str:
    """As the active language writes it."""
    words = letters_here()
    text = formatted(value, words.date)
    return text.replace("1 ", f"{words.first} ", 1) if value.day == 1 else text


def moment(value: datetime) -> str:
    """The day, and the time of day."""
    return f"{day(value)}, {value:%H:%M}"
