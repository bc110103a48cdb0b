"""Settings of the spool that cannot work."""

from pathlib import Path

import pytest
from django.conf import settings

from audit.spool.checks import the_spool_can_be_written_to


class TestCheck:
    def test_a_folder_that_cannot_be_written_to_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert the_spool_can_be_written_to(None) == []
        monkeypatch.setattr(settings, "AUDIT_SPOOL_DIR", str(tmp_path / "file" / "spool"))
        assert the_spool_can_be_written_to(None) == []
        (tmp_path / "file").write_text("")
        assert [error.id for error in the_spool_can_be_written_to(None)] == ["kaireon.E050"]

    def test_a_spool_too_small_for_anything_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "AUDIT_SPOOL_BYTES", 10)
        assert [error.id for error in the_spool_can_be_written_to(None)] == ["kaireon.E051"]
