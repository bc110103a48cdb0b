"""Files that are missing, that are there twice, or that should not be there."""

import pytest

from audit.offline import kaireon_verify
from tests.audit.offline.bundle import zipped


@pytest.mark.parametrize("name", [name for name in kaireon_verify.FILES if name != "manifest.json"])
def test_a_missing_file(files, name, check_broken):
    del files[name]
    broken = check_broken(zipped(files))

    assert (broken.file, broken.reason) == (name, "unsafe_zip")
    assert "missing" in broken.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("more.txt", "does not belong"),
        ("folder/", "does not belong"),
        ("folder/manifest.json", "does not belong"),
        ("MANIFEST.JSON", "does not belong"),
        ("manifest.json ", "does not belong"),
        ("\u202emanifest.json", "does not belong"),
        ("../manifest.json", "leads out"),
        ("../../../../etc/cron.d/x", "leads out"),
        ("/etc/passwd", "leads out"),
        ("\\\\server\\share", "leads out"),
        ("C:\\windows\\x", "leads out"),
        ("..\\x", "leads out"),
    ],
)
def test_a_file_that_should_not_be_there(files, check_broken, name, message):
    broken = check_broken(zipped({**files, name: b"x"}))

    assert broken.reason == "unsafe_zip"
    assert message in broken.message
    assert broken.file.isprintable()
    assert broken.file.isascii()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", kaireon_verify.FILES)
def test_a_file_that_is_there_twice(files, check_broken, name):
    for content in (files[name], b"another"):
        for order in ([*files.items(), (name, content)], [(name, content), *files.items()]):
            broken = check_broken(zipped(order))
            assert (broken.file, broken.reason) == (name, "unsafe_zip")
            assert "twice" in broken.message
