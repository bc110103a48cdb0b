"""Pages of a list: over the cap is clamped, a malformed value is 400."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request

from kaireon.api.errors import BadRequest

M = TypeVar("M", bound=Model)
MAX_PAGE = 1_000_000


@dataclass(frozen=True)
class Page(Generic[M]):
    items: list[M]
    total: int
    page: int
    limit: int

    def answer(self, **listed: Any) -> dict[str, Any]:
        """What is answered, as PageOut describes it: what is listed, of how many, and which page it is."""
        return {**listed, "total": self.total, "page": self.page, "limit": self.limit}


def whole_number(request: Request, name: str, *, default: int, least: int = 1, most: int) -> int:
    """A whole number from the query string, clamped to `most`. Raises BadRequest by its name."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) < least:
        raise BadRequest(f"must be a whole number from {least} to {most}.", field=name)
    return min(int(text), most)


def page_of(request: Request, queryset: QuerySet[M, Any], *, default: int = 50, cap: int = 100) -> Page[M]:
    """The page that `page` and `limit` of the query string ask for; the queryset must be ordered."""
    limit = whole_number(request, "limit", default=default, most=cap)
    page = whole_number(request, "page", default=1, most=MAX_PAGE)
    start = (page - 1) * limit
    return Page(items=list(queryset[start : start + limit]), total=queryset.count(), page=page, limit=limit)
