"""Nothing goes that is not in a whole archive."""

import psycopg
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from audit.models import Checkpoint
from audit.pruning import archive
from kaireon.tenancy.context import transaction
from tests.audit.pruning.evidence import holds
from tests.audit.pruning.old_log import applied, approved, triggers_off
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


class TestArchive:
    def test_what_does_not_verify_is_written_again(self, size: int) -> None:
        request = approved()
        name = archive.name_of(ACME, 1, size)
        default_storage.save(name, ContentFile(b"PK\x03\x04 and nothing"))
        assert applied(request).tombstone.archive_name == name
        with default_storage.open(name) as stored:
            assert holds(stored.read()).last == size

    def test_a_whole_one_is_taken_as_it_is(self, size: int) -> None:
        with ADA.here():
            with transaction():
                checkpoint = Checkpoint.objects.get(tenant_id=ACME, tree_size=size)
            first = archive.keep(checkpoint, 1)
            assert archive.keep(checkpoint, 1) == first
        assert applied(approved()).tombstone.archive_sha256 == first.sha256

    def test_a_record_that_was_changed_is_not_archived_away(self, size: int, superuser: psycopg.Connection) -> None:
        request = approved()
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_record SET user_name = 'x' WHERE tenant_id = 'acme' AND seq = 7")
        with pytest.raises(archive.ArchiveRefused, match=r"records\.ndjson"):
            applied(request)
        assert stones() == []

    def test_storage_that_shows_something_else_is_not_trusted(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        request = approved()
        save = default_storage.save
        monkeypatch.setattr(default_storage, "save", lambda name, content: save(name, ContentFile(b"lost")))
        with pytest.raises(archive.ArchiveRefused):
            applied(request)
        assert stones() == []
