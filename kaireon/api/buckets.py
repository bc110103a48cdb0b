"""A bucket of an S3 API behind the breakers of every storage."""

from storages.backends.s3 import S3Storage

from kaireon.api.storage import Guarded


class GuardedBucket(Guarded, S3Storage):  # type: ignore[misc]
    def place(self) -> str:
        return f"s3:{self.bucket_name}"

    def _names_after(self, folder: str, after: str) -> list[str]:
        prefix = f"{self._normalize_name(folder)}/"
        # Marker: the listing itself begins there, so that what lies before costs nothing.
        found = self.bucket.objects.filter(Prefix=prefix, Marker=prefix + after, Delimiter="/")
        return [entry.key.removeprefix(prefix) for entry in found]

    def _settle(self, name: str) -> None:
        """A bucket answers when it has written."""
