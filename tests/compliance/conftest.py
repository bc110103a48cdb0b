import os

import pytest


@pytest.fixture
def app_url(db: str) -> str:
    return os.environ["DATABASE_URL"]


@pytest.fixture
def owner_url(db: str) -> str:
    return os.environ["OWNER_DATABASE_URL"]


@pytest.fixture(params=["app", "owner"])
def role_url(request: pytest.FixtureRequest, app_url: str, owner_url: str) -> str:
    """The address of the application role, then of the owner."""
    return {"app": app_url, "owner": owner_url}[request.param]
