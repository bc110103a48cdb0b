"""A bucket, for what is to work on one too; the settings of each form of a file."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from tests.s3 import s3, s3_url

__all__ = ["s3", "s3_url"]

# The end of a file's name, and what makes new files so.
FORMS = {
    ".json": {},
    ".json.gz": {"EXPORT_INTERACTIONS_GZIP": True},
    ".parquet": {"EXPORT_INTERACTIONS_FORMAT": "parquet"},
}


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    """The end of the names of files that are written: to be parametrized, `indirect`."""
    with override_settings(**FORMS[request.param]):
        yield request.param
