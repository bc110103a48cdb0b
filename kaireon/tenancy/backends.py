"""Password sign-in with the account lock: 5 failures in a row lock it for 30 minutes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import verify_password
from django.db import InterfaceError, OperationalError
from django.db.models import F
from django.http import HttpRequest

from kaireon.api.logs import request_id
from kaireon.lib import clock
from kaireon.tenancy import auth_events, signals
from kaireon.tenancy.addresses import source_pseudonym
from kaireon.tenancy.context import Actor, platform_scope, transaction
from kaireon.tenancy.models import User

FAILURES_TO_LOCK = 5
LOCK_FOR = timedelta(minutes=30)


class LockingBackend(BaseBackend):
    """Unknown, wrong, locked and inactive look the same to who tries, and take as long."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **credentials: Any
    ) -> User | None:
        auth_events.attempted()
        email = (username or credentials.get("email") or "").strip().lower()
        now = clock.now()
        try:
            user = User.objects.filter(email=email).first()
        except (OperationalError, InterfaceError):
            # Nobody can say whether it would have failed; that it was tried is known.
            _refuse("unavailable", None, request)
            raise
        right, outdated = (
            verify_password(password or "", user.password) if user is not None else _spend_the_time(password)
        )
        reason = _fault(user, right=right, now=now)
        if user is None or reason:
            _refuse(reason, user, request)
            if user is not None and reason == "wrong_password":
                _count_failure(user)
            return None
        if outdated:
            _hash_anew(user, password or "")
        User.objects.filter(pk=user.pk).exclude(failed_logins=0, locked_until=None).update(
            failed_logins=0, locked_until=None
        )
        return user

    def get_user(self, user_id: Any) -> User | None:
        try:
            return User.objects.filter(pk=UUID(str(user_id)), is_active=True).first()
        except ValueError:
            return None


def _fault(user: User | None, *, right: bool, now: datetime) -> str:
    if user is None:
        return "unknown_user"
    if not user.is_active:
        return "inactive"
    if user.locked_until and user.locked_until > now:
        return "locked"
    return "" if right else "wrong_password"


def _refuse(reason: str, user: User | None, request: HttpRequest | None) -> None:
    auth_events.failed(reason, request)
    signals.login_failed.send(
        sender=LockingBackend,
        reason=reason,
        user=user,
        request_id=request_id(),
        source=source_pseudonym(request) if user is not None and request is not None else "",
    )


def _spend_the_time(password: str | None) -> tuple[bool, bool]:
    User().set_password(password or "")
    return False, False


def _hash_anew(user: User, password: str) -> None:
    """Bring a hash from an older release up to today's. Django's own way would write without an actor."""
    actor = Actor(id=str(user.pk), name=user.name, type="user")
    with platform_scope(actor=actor, request_id=request_id()), transaction():
        user.set_password(password)
        user.save(update_fields=["password"])


def _count_failure(user: User) -> None:
    rows = User.objects.filter(pk=user.pk)
    rows.update(failed_logins=F("failed_logins") + 1)
    rows.filter(failed_logins__gte=FAILURES_TO_LOCK).update(locked_until=clock.now() + LOCK_FOR, failed_logins=0)
