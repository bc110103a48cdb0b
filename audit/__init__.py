"""What happened: recorded in the change's own transaction, sequenced right after, provable ever after."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.services import action, record, record_each

__all__ = ["action", "record", "record_each"]


def __getattr__(name: str) -> object:
    # The package is imported while apps load; its services need them loaded.
    if name in __all__:
        from audit import services

        return getattr(services, name)
    raise AttributeError(name)
