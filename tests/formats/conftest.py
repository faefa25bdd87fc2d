"""What all tests of the formats have."""

from tests.formats.common import installed_once  # noqa: F401  # for every test here
