"""What files declare, what is there, and bringing the one about by the other: what is so for every kind."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from audit import services as audit_log
from audit.models import AuditRecord
from compliance.drift import files
from compliance.models import Drift, Mode, PolicyVersion
from compliance.retention import policies
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, MALLORY
from tests.compliance import declared
from tests.compliance.declared import apply, check, folder, manage, of_acme

__all__ = ["folder"]

TEXT = """kaireon: 1
retention:
  interactions: {days: 365}
  decisions: {days: 90, mode: governance}
"""


def declare(folder: Path, text: str = TEXT, whose: str = ACME) -> Path:
    return declared.declare(folder, text, whose)


def decide(data_class: str, days: int, **more: Any) -> None:
    with ADA.here(), transaction():
        policies.upsert_policy(
            data_class=data_class, retention_days=days, actor=ADA.actor, now=clock.now(), reason="r", **more
        )


def days() -> dict[str, int]:
    with ADA.here(), transaction():
        return {v.data_class: v.retention_days for v in PolicyVersion.objects.newest()}


def verbs() -> list[str]:
    with ADA.here():
        audit_log.drain(ACME)
        with transaction():
            found = AuditRecord.objects.filter(entity_type="Drift").order_by("seq")
            return list(found.values_list("action", flat=True))


def test_a_change_in_the_admin_shows_as_drift_and_applying_the_file_removes_it(db: str, folder: Path) -> None:
    path = declare(folder)
    assert "2 changes made" in apply(path)
    assert of_acme(check())["drift"] == 0
    decide("interactions", 700)
    decide("metrics", 30)
    found = of_acme(check())
    assert (found["drift"], found["new"], found["resolved"]) == (2, 2, 0)
    assert found["differences"] == [
        {
            "kind": "retention",
            "name": "interactions",
            "what": "changed",
            "fields": {"days": {"declared": 365, "actual": 700}},
        },
        {
            "kind": "retention",
            "name": "metrics",
            "what": "undeclared",
            "fields": {
                "days": {"declared": None, "actual": 30},
                "anchor": {"declared": None, "actual": "clock"},
                "mode": {"declared": None, "actual": "normal"},
            },
        },
    ]
    # Found again, it is nothing new.
    assert of_acme(check())["new"] == 0
    declare(folder, TEXT + "  metrics: {days: 30}\n")
    assert "~ retention/interactions: days 365, is 700" in apply(path)
    # It waits for the cooling-off, as every shortening does, and is decided.
    assert of_acme(check())["drift"] == 0
    with ADA.here(), transaction():
        assert Drift.objects.open().count() == 0
    assert verbs() == ["config.drift_found", "config.drift_found", "config.drift_resolved", "config.drift_resolved"]


def test_what_differs_otherwise_than_before_is_said_once(db: str, folder: Path) -> None:
    declare(folder)
    check()
    decide("interactions", 400)
    check()
    check()
    assert verbs() == ["config.drift_found", "config.drift_found", "config.drift_changed"]


def test_a_dry_run_says_what_would_change_and_changes_nothing(db: str, folder: Path) -> None:
    path = declare(folder)
    decide("interactions", 30)
    said = json.loads(apply(path, "--dry-run", "--json"))
    assert said["dryRun"] is True
    assert [change["name"] for change in said["changes"]] == ["decisions", "interactions"]
    assert days() == {"interactions": 30}
    assert "2 changes would be made" in apply(path, "--dry-run")
    assert of_acme(check(dry_run=True))["drift"] == 2
    with ADA.here(), transaction():
        assert not Drift.objects.exists()


def test_what_cannot_be_brought_about_is_refused_as_a_whole(db: str, folder: Path) -> None:
    decide("decisions", 90, mode=Mode.COMPLIANCE)
    decide("metrics", 30)
    path = declare(folder, TEXT.replace("days: 90, mode: governance", "days: 60"))
    with pytest.raises(CommandError) as refused:
        apply(path)
    text = str(refused.value)
    assert "Nothing was changed" in text
    assert "may only be lengthened" in text
    assert "a policy is not taken away" in text
    assert days() == {"decisions": 90, "metrics": 30}
    # A shortening in governance mode asks for a second person.
    decide("deliveries", 90, mode=Mode.GOVERNANCE)
    with pytest.raises(CommandError, match="second person"):
        apply(declare(folder, "kaireon: 1\nretention:\n  deliveries: {days: 10}\n"))


def test_what_is_exported_is_what_is_there(db: str, folder: Path) -> None:
    decide("interactions", 365)
    decide("decisions", 90, mode=Mode.GOVERNANCE)
    text = manage("config_export", f"--tenant={ACME}")
    path = declare(folder, text)
    assert "interactions" in text
    assert apply(path) == "All is as declared.\n"
    assert of_acme(check())["drift"] == 0
    exported = json.loads(manage("config_export", f"--tenant={ACME}", "--json"))
    assert exported["retention"]["decisions"] == {"days": 90, "anchor": "clock", "mode": "governance"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with"),
        ("kaireon: 2\n", "kaireon: must be 1"),
        ("kaireon: true\n", "kaireon: must be 1"),
        ("kaireon: 1\nrules: {}\n", "rules: unknown section; known here are"),
        ("kaireon: 1\nschedules: {}\n", "schedules: unknown section"),
        ("kaireon: 1\nretention: [1]\n", "retention: must be a mapping"),
        ("kaireon: 1\nretention: {interactions: 365}\n", "retention.interactions: must say at least one of days"),
        ("kaireon: 1\nretention: {1: {days: 1}}\n", "retention.1: must be named by text"),
        ("kaireon: 1\nretention: {interaction: {days: 1}}\n", "unknown data class; known are"),
        ("kaireon: 1\nretention: {audit: {dayz: 1}}\n", "retention.audit.dayz: unknown; known are days, anchor, mode"),
        ("kaireon: 1\nretention: {audit: {days: 0}}\n", "retention.audit: days: must be a whole number"),
        ("kaireon: 1\nretention: {audit: {days: yes}}\n", "retention.audit: days: must be a whole number"),
        ("kaireon: 1\nretention: {audit: {mode: normal}}\n", "retention.audit: days: must be said"),
        ("kaireon: 1\nretention: {audit: {days: 9, mode: lax}}\n", "retention.audit: mode: must be one of"),
        ("kaireon: 1\nretention: {audit: {days: 9, anchor: 1}}\n", "retention.audit: anchor: must be text"),
        ("kaireon: 1\nretention:\n  audit: {days: 9}\n  audit: {days: 8}\n", "line 4: 'audit' is there twice"),
        ("kaireon: 1\nretention: {audit: &a {days: 9}, jobs: *a}\n", "line 2: aliases are not read"),
        ("kaireon: 1\nretention: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("kaireon: 1\n\tretention: {}\n", "line 2"),
        ("[" * 5000, "nested too deeply"),
        ("kaireon: 1\n? [a, b]\n: 1\n", "line 2: a name is one word or text"),
        ('kaireon: 1\nalertRules: {"a\\0b": {}}\n', "line 2: text has a NUL"),
        ('kaireon: 1\nretention: {audit: {days: 9, anchor: "\\ud800"}}\n', "line 2: text has a NUL, or half of"),
        (f"kaireon: 1\nalertRules: {{{'x' * 101}: {{metric: dead_letters}}}}\n", "one line of at most 100 characters"),
        ('kaireon: 1\nholdTemplates: {" x": {about: x}}\n', "no space around"),
        ("#" * (files.MOST_BYTES + 1), "is larger than 1024 KB"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_place_and_nothing_changes(db, folder, text, problem) -> None:
    path = declare(folder, text)
    with pytest.raises(CommandError, match=r"^acme\.yaml: ") as refused:
        apply(path)
    assert problem in str(refused.value)
    assert days() == {}
    ran = check()
    assert not ran.ok
    assert of_acme(ran)["errors"] == ["bad_config_file"]
    assert problem in of_acme(ran)["problem"]


def test_one_tenants_bad_file_does_not_stop_the_others(db: str, folder: Path) -> None:
    declare(folder, "kaireon: 1\nretention: {audit: {}}\n")
    declare(folder, "kaireon: 1\nretention: {audit: {days: 400}}\n", whose=MALLORY.tenant_id)
    ran = check()
    assert not ran.ok
    entries = {entry["tenantId"]: entry for entry in ran.body["perTenant"]}
    assert entries[MALLORY.tenant_id]["drift"] == 1
    with ADA.here(), transaction():
        assert not Drift.objects.exists()
    with MALLORY.here(), transaction():
        assert Drift.objects.get().what == "missing"


def test_without_files_nothing_is_declared(db: str, settings: Any, tmp_path: Path) -> None:
    settings.CONFIG_DIR = ""
    ran = check()
    assert ran.ok
    assert ran.body["skipped"] == "CONFIG_DIR is not set: nothing is declared in files."
    settings.CONFIG_DIR = str(tmp_path)
    declare(tmp_path)
    check()
    (tmp_path / f"{ACME}.yaml").unlink()
    found = of_acme(check())
    # What differed from a file that is gone differs from nothing.
    assert (found["declared"], found["resolved"]) == (False, 2)


def test_a_file_that_is_of_no_tenant_is_told(db: str, folder: Path, caplog: Any) -> None:
    for name in ("acmee.yaml", f"{ACME}.yml", ".hidden.yaml", "README.md"):
        (folder / name).write_text(TEXT)
    declare(folder, "kaireon: 1\n", whose=ACME)
    ran = check()
    assert (ran.ok, ran.body["platform"]["ofNobody"]) == (True, [f"{ACME}.yml", "acmee.yaml"])
    assert "config_file_of_nobody" in caplog.text


def test_a_folder_that_is_not_there_is_no_folder_without_files(db: str, folder: Path) -> None:
    """A volume that is not mounted must not close what was found."""
    declare(folder)
    check()
    folder.rename(folder.with_name("elsewhere"))
    ran = check()
    assert (ran.ok, of_acme(ran)["errors"]) == (False, ["config_dir_missing"])
    assert "CONFIG_DIR is no folder" in ran.body["error"]
    with ADA.here(), transaction():
        assert Drift.objects.open().count() == 2


def test_a_file_that_is_not_there_is_told(db: str, folder: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.yaml: there is no such file"):
        apply(folder / "none.yaml")
    with pytest.raises(CommandError, match="cannot be read"):
        apply(folder)
