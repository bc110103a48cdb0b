import pytest
from rest_framework.test import APIClient


@pytest.fixture
def http(db: str) -> APIClient:
    return APIClient()
