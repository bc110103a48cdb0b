"""No routes: writes come from the writers."""

from typing import Any

urlpatterns: list[Any] = []
