"""Pages on which something about holds is done: what is refused is recorded, as the API records it."""

from typing import TypeVar

from django.db.models import Model

from compliance.holding import refusals
from compliance.refusing_admin import RefusingAdmin

M = TypeVar("M", bound=Model)


class NotingAdmin(RefusingAdmin[M]):
    refused_verb = refusals.VERB

    def fact_of(self, refusal: Exception) -> dict[str, str]:
        return refusals.fact_of(refusal)
