"""Each check of the suite fails on a backend that breaks what it checks."""

import pytest

from probly.data_generator.testing import BackendConformance
from tests import misbehaving
from tests.test_conformance import conformance
from tests.tiny import build_wheel, install


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install one distribution whose entry points are all the misbehaving backends."""
    folder = tmp_path_factory.mktemp("misbehaving")
    names = {name: f"tests.misbehaving:backend_{name.replace('-', '_')}" for name in misbehaving.BACKENDS}
    eager = {"tiny_eager.py": "import colorsys\nfrom tests.misbehaving import Honest\nbackend = Honest()\n"}
    wheel = build_wheel(
        folder,
        "tiny-misbehaving",
        eager,
        {**names, "eager": "tiny_eager:backend", "honest": "tests.misbehaving:HONEST"},
    )
    target = tmp_path_factory.mktemp("site")
    install(target, wheel)
    return target


@pytest.fixture
def installed(site, monkeypatch):
    """Put them on the path of this process and of its children."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))


def suite(name, modules=()):
    """Return the conformance suite, pointed at a backend."""
    checks = conformance("numpy")()
    checks.backend = name
    checks.framework_modules = modules
    return checks


@pytest.mark.parametrize("name", misbehaving.BACKENDS)
@pytest.mark.filterwarnings("ignore:generated")
def test_the_check_fails(name, installed):
    _, check, arguments = misbehaving.BACKENDS[name]
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        getattr(suite(name), check)(*arguments)
    assert caught.type is not AttributeError, "the check was not reached"


@pytest.mark.parametrize("name", misbehaving.BACKENDS)
def test_the_same_check_passes_on_the_honest_backend(name, installed):
    _, check, arguments = misbehaving.BACKENDS[name]
    getattr(suite("honest"), check)(*arguments)


def test_an_eager_import_is_noticed(installed):
    with pytest.raises(AssertionError):
        suite("eager", ("colorsys",)).test_the_backend_is_listed_and_loading_imports_no_framework()
    suite("honest", ("colorsys",)).test_the_backend_is_listed_and_loading_imports_no_framework()


def test_every_check_has_a_backend_that_fails_it():
    checks = {name for name in dir(BackendConformance) if name.startswith("test_")}
    shown = {check for _, check, _ in misbehaving.BACKENDS.values()}
    shown.add("test_the_backend_is_listed_and_loading_imports_no_framework")
    # What these two check is the generator's own doing and has its tests in test_generator.py.
    shown |= {"test_metadata_says_where_the_rows_come_from", "test_the_best_device_is_found_and_recorded"}
    assert checks == shown
