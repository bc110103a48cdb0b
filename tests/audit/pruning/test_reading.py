"""Who asks for what went is told where it lies."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit.models import Tombstone
from tests.audit.log import records
from tests.audit.pruning.old_log import applied, approved
from tests.caller import error_of, with_key
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


class TestReading:
    @pytest.fixture
    def stone(self, size: int) -> Tombstone:
        return applied(approved()).tombstone

    def test_a_record_that_went_is_unknown_and_its_archive_named(self, size: int) -> None:
        [old] = records(ACME, seq=3)
        stone = applied(approved()).tombstone
        for path in (f"/audit-logs/{old.pk}", f"/audit-logs/{old.pk}/proof"):
            error = error_of(with_key("aud").get(path))
            assert (error["status"], error["code"]) == (404, "not_found")
            assert stone.archive_name in error["message"]
            assert stone.archive_name not in error_of(with_key("mallory").get(path))["message"]
        with pytest.raises(CommandError, match=stone.archive_name):
            call_command("audit_proof", tenant=ACME, record=str(old.pk))

    def test_a_range_that_begins_in_the_archive_is_refused_by_its_name(self, stone: Tombstone, tmp_path: Path) -> None:
        begin, aud = "2020-01-01", with_key("aud")
        for answer in (
            aud.get(f"/audit-logs/bundle?from={begin}"),
            aud.get(f"/audit-export?startDate={begin}"),
            with_key("ada").post("/audit-exports", {"format": "ndjson", "from": begin}),
        ):
            error = error_of(answer)
            assert (error["status"], error["code"], stone.archive_name in error["message"]) == (410, "pruned", True)
        for format_ in ("bundle", "ndjson"):
            with pytest.raises(CommandError, match=f"--from .*{stone.archive_name}"):
                call_command("audit_export", tenant=ACME, format=format_, since=begin, output=tmp_path / "x")
        # Nothing that is kept lies in this one.
        error = error_of(aud.get(f"/audit-logs/bundle?to={begin}"))
        assert (error["status"], stone.archive_name in error["message"]) == (404, True)

    def test_lists_and_exports_give_what_is_kept(self, stone: Tombstone) -> None:
        listed = with_key("aud").get("/audit-logs?from=2020-01-01&limit=100").json()
        assert min(r["seq"] for r in listed["logs"]) == stone.last_seq + 1
        exported = with_key("aud").get("/audit-export").json()
        assert exported["data"][0]["seq"] == stone.last_seq + 1
        package = with_key("aud").get("/audit-export?format=soc2").json()
        assert package["integrity"]["intact"]
        assert package["controlAreas"]["data_disposal"]["actions"]["audit_log.prune"] == 1
        assert [(r["firstSeq"], r["lastSeq"]) for r in package["removed"]] == [(1, stone.last_seq)]

    def test_verification_over_http_begins_there(self, stone: Tombstone) -> None:
        assert with_key("aud").get("/audit-logs/verify").json()["intact"]
        answer = with_key("aud").post("/audit-export", {"action": "verify_integrity", "startDate": "2020-01-01"}).json()
        assert answer["chainIntact"]
