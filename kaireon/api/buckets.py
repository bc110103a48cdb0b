"""A bucket of an S3 API behind the breakers of every storage."""

from storages.backends.s3 import S3Storage

from kaireon.api.storage import Guarded


class GuardedBucket(Guarded, S3Storage):  # type: ignore[misc]
    def place(self) -> str:
        return f"s3:{self.bucket_name}"
