"""A bucket, for what is to work on one too."""

from tests.s3 import s3, s3_url

__all__ = ["s3", "s3_url"]
