"""JSON as a page of the admin shows it."""

import json
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder

register = template.Library()


@register.filter
def json_text(value: Any) -> str:
    """On as many lines as it takes to read it."""
    return json.dumps(value, sort_keys=True, indent=4, ensure_ascii=False, cls=DjangoJSONEncoder)
