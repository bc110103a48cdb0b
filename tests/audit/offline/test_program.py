"""The program as an auditor runs it: alone, with nothing but a Python, and without a network."""

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from audit.offline import kaireon_verify
from tests.audit.offline.bundle import base64_of, key, line, raw, verifier_key, zipped

PROGRAM = Path(kaireon_verify.__file__)
README = PROGRAM.with_name("README.txt")
SOURCE = PROGRAM.read_text()

# Refuses whatever a program needs to reach others or to leave something behind, then runs it as `python3 PROGRAM`.
WALLS = """
import runpy, sys
def refuse(event, arguments):
    if event.split(".")[0] in ("socket", "subprocess", "os", "shutil", "ctypes", "urllib", "http") and event not in (
        "os.listdir", "os.scandir", "os.putenv", "os.unsetenv"
    ) or event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        sys.stderr.write("refused: " + event)
        sys.stderr.flush()
        __import__("os")._exit(99)
sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def pythons() -> list[str]:
    """The Python that runs this, and one for each other version from 3.9 on that is to be found."""
    found = {sys.version_info[:2]: sys.executable}
    places = [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *Path.home().glob(".pyenv/versions/*/bin")]
    for minor in range(9, 20):
        for place in places:
            candidate = place / f"python3.{minor}"
            if (3, minor) not in found and candidate.is_file() and runs(candidate):
                found[3, minor] = str(candidate)
    return [found[version] for version in sorted(found)]


def runs(python: Path) -> bool:
    # A shim of a version manager is there and does not run.
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


PYTHONS = pythons()


@pytest.fixture
def bundle(log, tmp_path):
    path = tmp_path / "bundle.zip"
    log = replace(log, witnesses={"w.example": key("witness")})
    path.write_bytes(log.bundle(5, 40).zip())
    return path


@pytest.fixture
def run(tmp_path):
    """Runs a copy of the program with python3 alone on its path, cut off from the network where the system lets us."""
    folder = tmp_path / "bin"
    folder.mkdir()
    copy = tmp_path / "elsewhere" / "kaireon_verify.py"
    copy.parent.mkdir()
    shutil.copy(PROGRAM, copy)

    def run(*arguments, python=sys.executable, before=(), program=("{program}",)):
        (folder / "python3").unlink(missing_ok=True)
        (folder / "python3").symlink_to(python)
        words = [
            *before,
            str(folder / "python3"),
            "-I",
            "-S",
            *(p.format(program=copy) for p in program),
            *map(str, arguments),
        ]
        return subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PATH": str(folder)}, timeout=120
        )

    return run


@pytest.mark.parametrize("python", PYTHONS)
def test_it_needs_a_python_and_nothing_else(run, bundle, log, python):
    done = run(bundle, "--pubkey", raw(log.keys[0]).hex(), python=python)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("INTACT at level pinned.\n")


def test_it_reaches_nobody_and_leaves_nothing(run, bundle, tmp_path):
    walls = tmp_path / "walls.py"
    walls.write_text(WALLS)
    run("--help")
    before = sorted(tmp_path.rglob("*"))

    done = run(bundle, program=(str(walls), "{program}"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("INTACT at level embedded.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_walls_hold(run, tmp_path):
    """Else the test above shows nothing."""
    walls = tmp_path / "walls.py"
    walls.write_text(WALLS)
    for number, tried in enumerate(
        ("import socket; socket.socket()", "open('left', 'w')", "import os; os.system('true')")
    ):
        other = tmp_path / f"other{number}.py"
        other.write_text(tried)
        done = run(program=(str(walls), str(other)))
        assert (done.returncode, done.stderr[:8]) == (99, "refused:"), tried


def test_it_runs_with_the_network_namespace_cut_off(run, bundle):
    """On a system that gives no namespaces to users, the walls above stand alone."""
    unshare = shutil.which("unshare")
    cut_off = [unshare, "--user", "--map-root-user", "--net"] if unshare else []
    if cut_off and subprocess.run([*cut_off, "true"], capture_output=True, check=False).returncode:
        cut_off = []
    done = run(bundle, before=cut_off)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_codes(run, log, bundle, tmp_path):
    pinned = verifier_key(log.origin, log.keys[0])
    witness = verifier_key("w.example", key("witness"), 4)
    stranger = raw(key("stranger")).hex()
    records = tmp_path / "records.ndjson"
    records.write_bytes(b"".join(line(record) + b"\n" for record in log.records))
    window = tmp_path / "window.ndjson"
    window.write_bytes(b"".join(line(record) + b"\n" for record in log.records[7:]))
    broken = tmp_path / "broken.zip"
    files = log.bundle().signed()
    broken.write_bytes(zipped({**files, "records.ndjson": files["records.ndjson"].replace(b"Ada", b"Eve", 1)}))
    expected = {
        (bundle,): (0, "INTACT at level embedded"),
        (bundle, "--pubkey", pinned): (0, "INTACT at level pinned."),
        (bundle, "--pubkey", pinned, "--witness", witness): (0, "INTACT at level pinned-witnessed"),
        (bundle, "--pubkey", pinned, "--witness", stranger): (3, "TOO LITTLE"),
        (bundle, "--pubkey", pinned, "--witness", stranger, "--require", "pinned"): (0, "INTACT at level pinned."),
        (bundle, "--witness", witness): (3, "TOO LITTLE"),
        (bundle, "--pubkey", stranger): (1, "BROKEN: keys.json: key_not_trusted: "),
        (bundle, "--require", "embedded"): (0, "INTACT"),
        (bundle, "--require", "pinned"): (3, "TOO LITTLE: everything holds, but only at level embedded"),
        (records,): (0, "INTACT at level chain"),
        (records, "--require", "chain"): (0, "INTACT"),
        (records, "--pubkey", pinned): (3, "TOO LITTLE"),
        (window,): (0, "INTACT at level window"),
        (window, "--require", "chain"): (3, "TOO LITTLE"),
        (broken,): (1, f"BROKEN: records.ndjson, seq 1, id {log.records[0]['id']}: hash_mismatch: "),
    }
    for arguments, (code, start) in expected.items():
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (code, ""), arguments
        assert done.stdout.startswith(start), arguments
        assert code != 1 or done.stdout.count("\n") == 1


@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_use_is_exit_2_and_one_line(run, bundle, tmp_path, as_json):
    (tmp_path / "empty").write_bytes(b"")
    pinned = raw(key("first")).hex()
    for arguments in (
        [],
        [tmp_path / "missing.zip"],
        [tmp_path],
        [tmp_path / "empty"],
        [bundle, bundle],
        [bundle, "--require", "everything"],
        [bundle, "--pub", pinned],
        [bundle, "--pubkey"],
        [bundle, "--pubkey", "nonsense"],
        [bundle, "--pubkey", pinned, "--pubkey", pinned],
        [bundle, "--pubkey", verifier_key("w.example", key("witness"), 4)],
        [bundle, "--witness", verifier_key("kaireon.example/acme", key("first"), 1)],
        ["/dev/zero"],
    ):
        done = run(*arguments, *(["--json"] if as_json else []))
        assert done.returncode == 2, arguments
        if as_json:
            assert done.stderr == ""
            said = json.loads(done.stdout)
            assert (said["intact"], said["exit"]) == (None, 2)
        else:
            assert done.stdout == ""
            assert done.stderr.startswith("NOT CHECKED: "), done.stderr
            assert done.stderr.count("\n") == 1


def test_a_key_in_a_file(run, log, bundle, tmp_path):
    for n, text in enumerate(
        (verifier_key(log.origin, log.keys[0]), raw(log.keys[0]).hex(), base64_of(raw(log.keys[0])))
    ):
        path = tmp_path / f"key{n}"
        path.write_text(text + "\n")
        assert run(bundle, "--pubkey", path).stdout.startswith("INTACT at level pinned.")


FIELDS = [
    *("intact", "exit", "level", "required", "message", "brokenFile", "brokenReason", "brokenAtSeq", "brokenAtId"),
    *("tenantId", "origin", "from", "to", "firstSeq", "lastSeq", "records", "treeSize", "rootHash", "keyId"),
    *("rotations", "witnesses", "requestId"),
]


def test_the_answer_as_json(run, log, bundle, tmp_path):
    done = run(bundle, "--json", "--pubkey", raw(log.keys[0]).hex(), "--witness", raw(key("witness")).hex())
    said = json.loads(done.stdout)

    assert list(said) == FIELDS
    del said["message"]
    nothing = dict.fromkeys(["brokenFile", "brokenReason", "brokenAtSeq", "brokenAtId", "from", "to", "requestId"])
    assert said == nothing | {
        "intact": True,
        "exit": 0,
        "level": "pinned-witnessed",
        "required": "pinned-witnessed",
        "tenantId": "acme",
        "origin": "kaireon.example/acme",
        "firstSeq": 5,
        "lastSeq": 40,
        "records": 36,
        "treeSize": 60,
        "rootHash": log.root(60).hex(),
        "keyId": said["keyId"],
        "rotations": 0,
        "witnesses": [{"name": "w.example", "at": "2026-02-01T00:00:00Z"}],
    }


def test_a_broken_record_as_json(run, log, tmp_path):
    files = log.bundle().signed()
    path = tmp_path / "broken.zip"
    path.write_bytes(zipped({**files, "records.ndjson": files["records.ndjson"].replace(b'"o-7"', b'"o-8"', 1)}))
    said = json.loads(run(path, "--json").stdout)

    assert list(said) == FIELDS
    assert said["message"].startswith("BROKEN: records.ndjson, seq 7, id ")
    told = {name: value for name, value in said.items() if value is not None and name != "message"}
    assert told == {
        "intact": False,
        "exit": 1,
        "brokenFile": "records.ndjson",
        "brokenReason": "hash_mismatch",
        "brokenAtSeq": 7,
        "brokenAtId": log.records[6]["id"],
    }


def test_the_page_of_the_format_lists_what_is_said():
    page = (Path(__file__).parents[3] / "docs" / "evidence.md").read_text()
    for name in FIELDS:
        assert f"`{name}`" in page
    for level in kaireon_verify.LEVELS:
        assert f"| `{level}` |" in page
    for name in kaireon_verify.FILES:
        assert f"`{name}`" in page


def test_names_from_a_bundle_cannot_play_with_the_terminal(run, tmp_path):
    path = tmp_path / "bundle.zip"
    path.write_bytes(zipped({"manifest.json": b"{}", "\x1b[2J\x1b[32mINTACT\n": b""}))
    done = run(path)

    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert done.stdout.count("\n") == 1


def test_an_answer_that_nobody_hears_is_not_a_yes(bundle):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-I", "-S", PROGRAM, bundle], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert (done.returncode, done.stderr) == (2, b"")


def test_a_failure_of_the_verifier_itself_is_exit_2(bundle, monkeypatch, capsys):
    def fail(*_arguments, **_keywords):
        raise ZeroDivisionError

    monkeypatch.setattr(kaireon_verify, "check", fail)
    assert kaireon_verify.main([str(bundle)]) == 2
    assert capsys.readouterr().err == "NOT CHECKED: this verifier failed (ZeroDivisionError).\n"


def test_it_is_written_in_python_3_9():
    ast.parse(SOURCE, feature_version=(3, 9))


# Everything it takes from the standard library; all of it is in 3.9, and in what came after. Add only what is too.
TAKEN = {
    *("argparse.Action", "argparse.ArgumentParser", "argparse.Namespace", "base64.b64decode", "base64.b64encode"),
    *("collections.abc.Callable", "collections.abc.Iterable", "collections.abc.Iterator", "collections.abc.Mapping"),
    *("collections.abc.Sequence", "dataclasses.dataclass", "dt.datetime", "dt.timezone", "hashlib.sha256"),
    *("hashlib.sha512", "io.SEEK_END", "json.JSONDecodeError", "json.JSONDecoder", "json.JSONEncoder", "json.dumps"),
    *("json.loads", "os.O_WRONLY", "os.devnull", "os.dup2", "os.open", "pathlib.Path", "re.compile", "re.escape"),
    *("stat.S_IFMT", "stat.S_IFREG", "struct.Struct", "struct.unpack_from", "struct.unpack", "sys.argv", "sys.exit"),
    *("sys.stderr", "sys.stdout", "typing.Any", "typing.BinaryIO", "typing.NoReturn", "zlib.crc32"),
    *("zlib.decompressobj", "zlib.error", "__future__.annotations"),
}


def test_it_takes_nothing_that_python_3_9_lacks():
    modules, taken = set(), set()
    tree = ast.parse(SOURCE)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            taken |= {f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            taken.add(f"{node.value.id}.{node.attr}")

    assert taken == TAKEN
    # Newer methods of old types, which only running on 3.9 would show.
    newer = {"bit_count", "removeprefix", "hexdigest_file", "pairwise", "batched", "add_note", "is_relative_to", "walk"}
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & newer
    assert not [
        keyword
        for keyword in ast.walk(tree)
        if isinstance(keyword, ast.keyword) and keyword.arg in ("strict", "slots", "kw_only")
    ]


def test_the_page_for_the_auditor_is_one_page_and_about_nobody():
    text = README.read_text()
    lines = text.split("\n")

    assert len(lines) <= 66
    assert max(map(len, lines)) <= 80
    assert text.isascii()
    assert "{" not in text
    for level in kaireon_verify.LEVELS:
        assert level in text
    for name in kaireon_verify.FILES:
        assert name in text or name in ("manifest.sig", "README.txt")
