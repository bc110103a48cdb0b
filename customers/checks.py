"""System checks of what an environment says about exported interactions."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register

from customers.exporting import formats


@register
def exports_have_a_form(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        formats.chosen()
    except formats.NotChosen as e:
        return [Error(str(e), hint=e.remedy, id="kaireon.E080")]
    return []
