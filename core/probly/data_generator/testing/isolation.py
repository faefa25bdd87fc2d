"""The part of the suite on the plugin itself: hooks, what it imports and when, and what it says about itself."""

import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import importlib_metadata
import pytest

from probly.data_generator import hookspecs
from probly.data_generator.discovery.listing import BackendInfo, find_backend, list_backends
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.testing.suite import Suite

CORE: Final = "probly-data-generator"

# A finder that raises, or None in sys.modules, breaks libraries that look whether another one is there.
WITHOUT_MODULES: Final = """
import importlib.util, json, sys

class Blind:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)

hidden, module_name, file, name, backend = json.loads(sys.argv[1])
sys.meta_path[:] = map(Blind, sys.meta_path)
spec = importlib.util.spec_from_file_location(module_name, file)
module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
suite = getattr(module, name)()
suite.backend = backend
suite.test_rows_agree_with_the_reference("dataset")
assert not set(hidden) & set(sys.modules)
"""


class IsolationChecks(Suite):
    """A backend is found by its metadata, imports nothing early, and needs no other framework."""

    def test_the_backend_is_listed_and_loading_imports_no_framework(self) -> None:
        info = find_backend(self.backend)
        assert self.backend in info.aliases
        modules = sorted({*self.framework_modules, *modules_of_others(info, self.framework_modules)})
        code = (
            "import sys\n"
            "from probly.data_generator.discovery.listing import find_backend\n"
            "from probly.data_generator.discovery.loading import load_backend\n"
            f"load_backend(find_backend({self.backend!r}))\n"
            f"print([name for name in {modules!r} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert done.stdout.strip() == "[]"

    def test_no_other_framework_is_needed(self) -> None:
        """In a subprocess, what other installed backends require is hidden; then, as a control, what this one does."""
        others = modules_of_others(find_backend(self.backend), self.framework_modules)
        alone = self._run_without(others)
        assert alone.returncode == 0, f"without {', '.join(others)}:\n{alone.stderr}"
        own = self.framework_modules or ("numpy",)
        control = self._run_without([*others, *own])
        assert control.returncode != 0, f"it runs even without its own {', '.join(own)}; see framework_modules"

    def _run_without(self, hidden: Any) -> subprocess.CompletedProcess[str]:
        kind = type(self)
        case = [list(hidden), kind.__module__, inspect.getfile(kind), kind.__qualname__, self.backend]
        paths = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
        command = [sys.executable, "-c", WITHOUT_MODULES, json.dumps(case)]
        environment = {**os.environ, "PYTHONPATH": paths}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603

    def test_hooks_have_the_arguments_of_their_specifications(self) -> None:
        """And all that look like hooks are hooks: without its decorator, a function is never called."""
        info = find_backend(self.backend)
        callers = vars(load_backend(info).hook)
        plugin = info.entry_point.load()
        for name in hookspecs.REQUIRED:
            assert callers[name].get_hookimpls(), f"{name} is missing"
        for name, caller in callers.items():
            function = getattr(plugin, name, None)
            if function is None:
                continue
            assert caller.get_hookimpls(), f"{name} lacks @hookimpl"
            parameters = inspect.signature(function).parameters
            assert list(parameters) == [argument for argument in caller.spec.argnames if argument in parameters]

    def test_only_its_own_models_are_recognized(self) -> None:
        """Where the backend recognizes any; files are told by their suffix, without opening them."""
        backend = self.loaded_backend
        if not backend.has("recognizes"):
            return
        model = self.classifier().model
        found = backend.hook.recognizes(source=model)
        assert found is True or found in type(model).__mro__
        for foreign in (object(), abs, "text", 3, Path("weights.of-nobody"), Path("weights")):
            assert not backend.hook.recognizes(source=foreign)

    def test_unknown_options_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"no_such_option"):
            self.generator(self.classifier().model, options={"no_such_option": 1})

    def test_the_options_that_are_listed_are_known(self) -> None:
        """A value that none of them takes is refused, but not as that of an unknown option is."""
        if not self.loaded_backend.has("choices"):
            return
        listed = {**self.loaded_backend.hook.choices()}
        assert listed.pop("device", ["?"]), "at least the host's processor"
        model = self.classifier().model
        for name in listed:
            said = [self._refused(model, option).replace(option, "it") for option in (name, "no_such_option")]
            assert said[0] != said[1], f"{name} is listed, and load_model does not know it"

    def _refused(self, model: Any, option: str) -> str:
        """Return what is said of an option with a value that is none; nothing where it is taken."""
        try:
            self.generator(model, options={option: object()})
        except (TypeError, ValueError) as error:
            return str(error)
        return ""

    def test_metadata_says_where_the_rows_come_from(self) -> None:
        model, inputs, expected = self.classifier()
        names = [f"class {column}" for column in range(expected.shape[1])]
        generator = self.generator(model, model_name="mlp", class_names=names)
        distributions = generator.generate_distributions(inputs[:3], progress=False)
        meta, info = distributions.meta, find_backend(self.backend)
        assert meta["backend"] == info.name
        assert meta["model_name"] == "mlp"
        assert meta["num_classes"] == len(names)
        assert meta["class_names"] == names
        assert meta["versions"][info.distribution] == info.version
        assert "probly-data-generator" in meta["versions"]
        assert meta["timestamp"]
        with tempfile.TemporaryDirectory() as folder:
            generator.save_distributions(Path(folder) / "rows.json", distributions)
            loaded, read = generator.load_distributions(Path(folder) / "rows.json")
        assert loaded == distributions
        assert {name: read[name] for name in meta} == dict(meta), "metadata are what JSON can hold"


def modules_of_others(info: BackendInfo, framework_modules: tuple[str, ...]) -> list[str]:
    """Return the top-level modules that other installed backends require and this one, by its metadata, does not."""
    modules = importlib_metadata.packages_distributions()
    frameworks = {name for module in framework_modules for name in modules.get(module, ())}
    roots = {"pytest", CORE, info.distribution, *frameworks}
    own = {_normal(name) for name in _with_requirements(roots, set())}
    others = {other.distribution for other in list_backends().values()} - {info.distribution}
    needed = {_normal(name) for other in others for name in _requirements(other)} - own
    found = {module for module, names in modules.items() if {_normal(name) for name in names} & needed}
    return sorted(name for name in found - set(framework_modules) if not name.startswith("_"))


def _with_requirements(distributions: set[str], seen: set[str]) -> set[str]:
    for name in distributions - seen:
        seen.add(name)
        _with_requirements(set(_requirements(name)), seen)
    return seen


def _requirements(distribution: str) -> list[str]:
    try:
        lines = importlib_metadata.requires(distribution) or []
    except importlib_metadata.PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
