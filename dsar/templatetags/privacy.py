"""The public page's words in its templates."""

from datetime import date, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dsar.public import words

register = template.Library()


@register.simple_tag
def say(key: str, **values: object) -> SafeString:
    """A text of the page in its language; what it is given is escaped."""
    return format_html("{}", words.here().texts[key]) if not values else format_html(words.here().texts[key], **values)


@register.filter
def day(value: date) -> str:
    return words.day(value)


@register.filter
def moment(value: datetime) -> str:
    return words.moment(value)
