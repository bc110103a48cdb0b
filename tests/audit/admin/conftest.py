"""Who looks at the log."""

import pytest
from django.test import Client

from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.cast import AUD


@pytest.fixture
def client(sign_in: SignIn) -> Client:  # noqa: F811
    return sign_in(AUD)
