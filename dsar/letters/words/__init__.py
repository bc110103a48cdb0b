"""What letters say in each language beside their templates. A language is one file here and one folder of templates."""

from dsar.letters.words import de, en, es, fr
from dsar.letters.words.language import Language

LANGUAGES: dict[str, Language] = {"en": en.WORDS, "de": de.WORDS, "fr": fr.WORDS, "es": es.WORDS}
DEFAULT = "en"


def known(tag: str) -> str | None:
    """The language of ours that a BCP 47 tag means, by its first part; None when there is none."""
    first = tag.strip().replace("_", "-").split("-")[0].lower()
    return first if first in LANGUAGES else None
