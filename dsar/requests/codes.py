"""Codes that are mailed to a subject: made, limited, compared in constant time. Of each only a keyed hash is kept."""

import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

import audit
from dsar.models.mailed_code import MailedCode
from kaireon.lib.masking import KeyedHash, keyed_hashes
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import keyring

CODE_DIGITS = 8
CODE_LIVES = timedelta(minutes=30)
RESEND_AFTER = timedelta(minutes=1)
MOST_CODES = 3
MOST_WRONG = 5
_PURPOSE = "dsar identity code"


class CodeRefused(RuntimeError):
    """No code can be sent. `code` is a snake_case fact; nothing personal."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CodeTooSoon(CodeRefused):
    """A code was sent a moment ago. `seconds` says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__("code_too_soon", f"A code was sent a moment ago: wait {seconds} s.")
        self.seconds = seconds


class Verdict(StrEnum):
    PROVED = "proved"
    WRONG = "wrong_code"
    EXPIRED = "code_expired"
    LOCKED = "identity_locked"


def may_send(row: MailedCode, *, now: datetime, most: int = MOST_CODES) -> None:
    """Raises CodeTooSoon, and CodeRefused with `identity_locked` or `too_many_codes`."""
    if row.wrong_codes >= MOST_WRONG:
        raise CodeRefused(Verdict.LOCKED, "Too many wrong codes: an officer has to make sure otherwise.")
    if row.codes_sent >= most:
        raise CodeRefused("too_many_codes", f"{most} codes were sent: an officer has to make sure otherwise.")
    if row.sent_at is not None and now < row.sent_at + RESEND_AFTER:
        raise CodeTooSoon(ceil((row.sent_at + RESEND_AFTER - now).total_seconds()))


@requires_transaction
def make(row: MailedCode, *, verb: str, owner: object, now: datetime) -> str:
    """A new code for the locked `row`, which is saved; the one before ends. Recorded as `verb`.

    It is good for `owner` alone, by its id.
    """
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
    audit.action(verb, entity=row)
    hashed = KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)
    row.code_hash = hashed(f"{owner}:{code}")
    row.sent_at, row.expires_at, row.codes_sent = now, now + CODE_LIVES, row.codes_sent + 1
    row.save()
    return code


@requires_transaction
def check(row: MailedCode, code: str, *, verb: str, owner: object, now: datetime) -> Verdict:
    """Whether `code` is the one that was made for the locked `row`. A wrong one is counted, and recorded as `verb`:
    commit the transaction whatever the verdict. The caller ends the right one.
    """
    if row.wrong_codes >= MOST_WRONG:
        return Verdict.LOCKED
    if not row.code_hash or row.expires_at is None or row.expires_at <= now:
        return Verdict.EXPIRED
    given = keyed_hashes(f"{owner}:{code}", keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)
    if any(hmac.compare_digest(one, row.code_hash) for one in given):
        return Verdict.PROVED
    audit.action(verb, entity=row)
    row.wrong_codes += 1
    row.save()
    return Verdict.LOCKED if row.wrong_codes >= MOST_WRONG else Verdict.WRONG
