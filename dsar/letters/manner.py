"""How a tenant writes to subjects: by itself or not, from whom, in which language unless the subject's is known."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

import audit
from dsar.letters import words
from dsar.models import LetterSettings
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept

FIELDS = ("automatic", "language", "sender", "contact", "authority", "handover")
_LONGEST = 300


_CHOSEN = Kept(lambda: LetterSettings.objects.order_by("pk")[:1])


class MannerRefused(ValueError):
    """The setting cannot be so. Says why; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@requires_transaction
def of_tenant() -> LetterSettings:
    """What the tenant chose, or what holds for one that chose nothing: no letter is written by itself."""
    return _CHOSEN.first() or LetterSettings()


@requires_transaction
def change(given: dict[str, Any], *, now: datetime) -> LetterSettings:
    """Change some of FIELDS; recorded as `dsar.letter.settings`. Raises MannerRefused."""
    row = LetterSettings.objects.select_for_update().first() or LetterSettings()
    for name, value in given.items():
        setattr(row, name, value if name == "automatic" else _checked(name, str(value).strip()))
    row.changed_at = now
    audit.action("dsar.letter.settings", entity=row)
    row.save()
    return row


def _checked(name: str, value: str) -> str:
    if len(value) > _LONGEST or not value.isprintable():
        raise MannerRefused(name, f"One line of at most {_LONGEST} characters.")
    if name == "language" and value not in words.LANGUAGES:
        raise MannerRefused(name, f"One of {', '.join(words.LANGUAGES)}.")
    if name == "sender" and value:
        try:
            validate_email(value)
        except ValidationError as e:
            raise MannerRefused(name, "An e-mail address.") from e
    return value
