import pytest

from tests.packaging import environments


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    return environments.built_wheels(tmp_path_factory.mktemp("dist"))
