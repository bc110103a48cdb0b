"""Files of reports: sealed, handed out, gone when their time is over."""

from datetime import timedelta
from typing import Any

import pytest

from compliance.reporting import files
from customers import removals
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.reporting.conftest import (
    again,
    content,
    days,
    kept,
    look,
    made,
    make,
    objects,
    recorded,
    work,
)

pytestmark = pytest.mark.usefixtures("db")


class TestFiles:
    def test_they_go_when_their_time_is_over_and_their_keys_at_once(self) -> None:
        make(formats=["pdf", "csv"])
        look(days(1))
        [run] = made()
        work(run)
        expires = again(run).expires_at
        assert expires is not None
        with ADA.here():
            assert files.expire(now=expires - timedelta(seconds=1)) == 0
            assert files.expire(now=expires, dry_run=True) == 2
            assert files.expire(now=expires) == 2
            assert files.expire(now=expires) == 0
            removals.remove_doomed(now=expires)
        assert objects() == []
        assert [(file.key_wrapped, str(file.file), bool(file.sha256)) for file in kept()] == [(None, "", True)] * 2
        assert len(recorded("report.file_expired")) == 2
        with pytest.raises(files.FileGone):
            content(run)

    def test_what_is_altered_or_gone_is_not_given_out(self) -> None:
        make()
        look(days(1))
        [run] = made()
        work(run)
        [path] = objects()
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ValueError, match="altered"):
            content(run)
        path.unlink()
        with pytest.raises(files.FileGone):
            content(run)
        assert recorded("report.download") == []

    def test_a_new_master_key_wraps_theirs_anew(self, settings: Any) -> None:
        from kaireon.tenancy.keyring import WRAPPED_KEYS, keyring

        make()
        look(days(1))
        [run] = made()
        work(run)
        before = content(run)
        with ADA.here(), transaction():
            assert WRAPPED_KEYS["reports"].behind() == 0
        settings.SEALING_KEYS = keyring().rotated().text()
        with ADA.here(), transaction():
            assert WRAPPED_KEYS["reports"].behind() == 1
            assert WRAPPED_KEYS["reports"].rewrap_some(10) == 1
            assert WRAPPED_KEYS["reports"].behind() == 0
        assert content(run) == before
