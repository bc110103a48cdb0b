"""In which form a file has its rows: lines (lines.py) are packed into it, and unpacked when somebody is taken out.

The name of a file says which form it has, and it keeps that for as long as it lies there.
"""

import gzip
import zlib
from abc import ABC, abstractmethod

from django.conf import settings


class Unreadable(ValueError):
    """A file is cut short or changed: whose rows it has cannot be known."""


class FormatUnknown(RuntimeError):
    """A file is as it was written, by a newer version than this: it stays, and so does what it says of somebody."""


class NotChosen(ValueError):
    """What the environment says of the form of new files is none. `remedy` says what to set."""

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


class Format(ABC):
    """The same lines give the same bytes; what was packed unpacks to the same lines."""

    # Of a file's name, behind its last dot or two.
    ending: str

    @abstractmethod
    def pack(self, lines: list[bytes]) -> bytes:
        """A file's content. The lines have no line ends."""

    @abstractmethod
    def unpack(self, content: bytes) -> list[bytes]:
        """Raises Unreadable and FormatUnknown."""


class Ndjson(Format):
    ending = "json"

    def pack(self, lines: list[bytes]) -> bytes:
        return b"\n".join([*lines, b""])

    def unpack(self, content: bytes) -> list[bytes]:
        return content.split(b"\n")[:-1]


class GzippedNdjson(Ndjson):
    ending = "json.gz"

    def pack(self, lines: list[bytes]) -> bytes:
        return gzip.compress(super().pack(lines), compresslevel=6, mtime=0)

    def unpack(self, content: bytes) -> list[bytes]:
        try:
            return super().unpack(gzip.decompress(content))
        except (gzip.BadGzipFile, EOFError, zlib.error) as e:
            raise Unreadable(str(e)) from e


class Parquet(Format):
    ending = "parquet"

    def pack(self, lines: list[bytes]) -> bytes:
        from customers.exporting import parquet

        return parquet.packed(lines)

    def unpack(self, content: bytes) -> list[bytes]:
        from customers.exporting import parquet

        return parquet.unpacked(content)


NDJSON = Ndjson()
GZIPPED_NDJSON = GzippedNdjson()
PARQUET = Parquet()
FORMATS: tuple[Format, ...] = (NDJSON, GZIPPED_NDJSON, PARQUET)
# What EXPORT_INTERACTIONS_FORMAT may say.
CHOICES = ("ndjson", "parquet")


def chosen() -> Format:
    """That of files that are cut from now on. Raises NotChosen."""
    name, compressed = settings.EXPORT_INTERACTIONS_FORMAT, settings.EXPORT_INTERACTIONS_GZIP
    if name not in CHOICES:
        known = " or ".join(CHOICES)
        raise NotChosen("EXPORT_INTERACTIONS_FORMAT is unknown.", remedy=f"Set it to {known}, or unset it for ndjson.")
    if name == "parquet":
        if compressed:
            raise NotChosen(
                "EXPORT_INTERACTIONS_GZIP does not go with EXPORT_INTERACTIONS_FORMAT=parquet.",
                remedy="Unset EXPORT_INTERACTIONS_GZIP: columns of Parquet are compressed as they are.",
            )
        return PARQUET
    return GZIPPED_NDJSON if compressed else NDJSON


def of(name: str) -> Format:
    """The form of a file of ours, by its name. Raises FormatUnknown."""
    for form in FORMATS:
        if name.endswith(f".{form.ending}"):
            return form
    raise FormatUnknown(name)
