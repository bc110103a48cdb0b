"""What the admin shows on every page: navigation, the tenant switcher, and the home page's figures."""

from typing import Any

from django.http import HttpRequest


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    return context


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    return []


def tenant_switcher(request: HttpRequest) -> list[dict[str, Any]]:
    return []
