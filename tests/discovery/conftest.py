"""One folder with all these distributions, really built as wheels and installed, for the tests of this folder."""

import sys
from pathlib import Path

import pytest

from tests.discovery.plugins import RULE_BREAKERS, TINY_WRAPPERS, WORKING
from tests.tiny import GOOD_BACKEND, build_projects, build_wheel, install

EXAMPLES = Path(__file__).parents[2] / "examples" / "wrappers"
WRAPPERS = "probly.data_generator.wrappers"


@pytest.fixture(scope="session")
def backends_site(tmp_path_factory):
    """Install one distribution per behaviour: broken ones, duplicates, aliases."""
    folder = tmp_path_factory.mktemp("wheels")
    wheels = []
    for name, source in {**RULE_BREAKERS, **WORKING}.items():
        module = f"tiny_{name.replace('-', '_')}"
        wheels.append(build_wheel(folder, f"tiny-{name}", {f"{module}.py": source}, {name: module}))
    for name in ("tiny-first", "tiny-second"):
        module = name.replace("-", "_")
        wheels.append(build_wheel(folder, name, {f"{module}.py": GOOD_BACKEND}, {"twice": module}))
    wheels.append(
        build_wheel(folder, "tiny-alias", {"tiny_alias.py": GOOD_BACKEND}, {"alias": "tiny_alias", "aka": "tiny_alias"})
    )
    needy = GOOD_BACKEND + "\n@hookimpl\ndef load_model(source, device):\n    import framework_of_nobody\n"
    requires = ["probly-data-generator", "framework-of-nobody>=1"]
    wheels.append(
        build_wheel(folder, "tiny-needy", {"tiny_needy.py": needy}, {"needy": "tiny_needy"}, requires=requires)
    )
    target = tmp_path_factory.mktemp("site")
    install(target, *wheels)
    return target


@pytest.fixture
def backends_installed(backends_site, monkeypatch):
    """Put the tiny distributions on the path of this process."""
    monkeypatch.syspath_prepend(backends_site)
    yield
    for name in [name for name in sys.modules if name.startswith("tiny_")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def wrappers_site(tmp_path_factory):
    """Install the two examples and a few tiny wrappers."""
    folder, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    examples = (EXAMPLES / "timing", EXAMPLES / "forward_cache")
    wheels = build_projects(folder, tmp_path_factory.mktemp("projects"), *examples)
    assert len(wheels) == 2
    for name, source in TINY_WRAPPERS.items():
        entry = "both" if name in ("first", "second") else name
        module = f"tiny_wrapper_{name}"
        wheels.append(build_wheel(folder, f"tiny-{name}", {f"{module}.py": source}, {entry: module}, group=WRAPPERS))
    install(target, *wheels)
    return target


@pytest.fixture
def installed(wrappers_site, monkeypatch):
    """Put the wrappers on the path of this process."""
    monkeypatch.syspath_prepend(wrappers_site)
    yield
    for name in [name for name in sys.modules if name.startswith(("tiny_wrapper", "first_order_"))]:
        del sys.modules[name]
