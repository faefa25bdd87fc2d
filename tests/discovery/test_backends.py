"""Finding, loading and refusing backends, with distributions that are really installed."""

import subprocess
import sys
import types

import numpy as np
import pytest

import probly.data_generator as fod
from probly.data_generator import hookspecs
from probly.data_generator.discovery import listing
from tests.tiny import GOOD_BACKEND, build_wheel, install

RULE_BREAKERS = {
    "import-error": "import module_that_does_not_exist",
    "exits": "raise SystemExit(3)",
    "lacks-forward": GOOD_BACKEND + "\ndel forward\n",
    "renames": GOOD_BACKEND + "\n@hookimpl\ndef forward(network, inputs, output_mode):\n    return inputs\n",
    "default": GOOD_BACKEND
    + "\n@hookimpl\ndef forward(model, inputs, output_mode, batch_size=64):\n    return inputs\n",
    "varargs": GOOD_BACKEND + "\n@hookimpl\ndef forward(model, inputs, *args):\n    return inputs\n",
    "misspelt": GOOD_BACKEND + "\n@hookimpl\ndef recognises(model):\n    return True\n",
}
SAYS = {
    "import-error": "ModuleNotFoundError: No module named 'module_that_does_not_exist'",
    "exits": "SystemExit: 3",
    "lacks-forward": "lacks the hook forward",
    "renames": "network",
    "default": "batch_size=64; remove the default",
    "varargs": r"got \*args",
    "misspelt": "recognises",
}
WORKING = {
    "returns-none": GOOD_BACKEND + "\n@hookimpl\ndef forward(model, inputs, output_mode):\n    return None\n",
    "loads-none": GOOD_BACKEND + "\n@hookimpl\ndef load_model(source, device):\n    return None\n",
    "greedy": GOOD_BACKEND + "\n@hookimpl\ndef recognizes(model):\n    return type(model).__name__ == 'Wanted'\n",
    "fails-to-recognize": GOOD_BACKEND + "\n@hookimpl\ndef recognizes(model):\n    return model.no_such_attribute\n",
    "greedy-too": GOOD_BACKEND + "\n@hookimpl\ndef recognizes(model):\n    return type(model).__name__ == 'Wanted'\n",
}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
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
def installed(site, monkeypatch):
    """Put the tiny distributions on the path of this process."""
    monkeypatch.syspath_prepend(site)
    yield
    for name in [name for name in sys.modules if name.startswith("tiny_")]:
        del sys.modules[name]


def test_listing_imports_nothing_and_survives_broken_plugins(site):
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(site)!r})\n"
        "before = set(sys.modules)\n"
        "import probly.data_generator as fod\n"
        "names = sorted(fod.list_backends())\n"
        "print(names, [m for m in sys.modules if m.startswith('tiny_')])\n"
        "print([m for m in ('torch', 'jax', 'tensorflow', 'keras', 'sklearn', 'tqdm') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, frameworks = done.stdout.splitlines()
    assert names.endswith(" []")
    assert "'alias'" in names
    assert "'import-error'" in names
    assert "'twice'" not in names, "an ambiguous name is nobody's"
    assert frameworks == "[]"


@pytest.mark.parametrize("name", RULE_BREAKERS)
def test_a_broken_backend_says_why(installed, name):
    with pytest.raises(fod.BrokenBackendError, match=SAYS[name]) as caught:
        fod.FirstOrderDataGenerator(abs, backend=name)
    assert f"backend {name!r} (tiny-{name} 1.0) is installed but broken" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_broken_backend_harms_nobody_else(installed):
    distributions = fod.FirstOrderDataGenerator(lambda batch: batch).generate_distributions(np.eye(2))
    assert distributions.meta["backend"] == "numpy"


def test_none_is_never_an_answer(installed):
    with pytest.raises(ValueError, match="hook forward returned None"):
        fod.FirstOrderDataGenerator(abs, backend="returns-none").generate_distributions(np.eye(2))
    with pytest.raises(fod.BrokenBackendError, match="hook load_model returned None"):
        fod.FirstOrderDataGenerator(abs, backend="loads-none")


def test_two_distributions_with_one_name_are_refused(installed):
    with pytest.raises(fod.AmbiguousBackendError, match=r"'twice': claimed by tiny-first 1.0 and tiny-second 1.0"):
        fod.FirstOrderDataGenerator(abs, backend="twice")


def test_two_names_of_one_distribution_are_aliases(installed):
    info = fod.list_backends()["alias"]
    assert info.aliases == ("aka", "alias")
    assert listing.find_backend("aka") == info
    assert fod.FirstOrderDataGenerator(abs, backend="aka").backend.info.name == "alias"


@pytest.mark.parametrize(
    ("folder", "content"),
    [
        ("written.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-written\nVersion: 1.5\n\nVersion: 9\n"),
        ("written.dist-info/METADATA", "Metadata-Version: 2.1\r\nName: tiny-written\r\nVersion: 1.5\r\n\r\nHello"),
        ("written.dist-info/METADATA", "metadata-version: 2.1\nname: tiny-written\nversion:\t1.5\n"),
        ("written.dist-info/METADATA", "Name: tiny-written\nName: other\nVersion: 1.5\n"),
        ("written.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: tiny-written\nVersion: 1.5\n\nName: other\n"),
    ],
    ids=["usual", "windows", "lower-case", "twice", "egg"],
)
def test_name_and_version_are_those_of_the_metadata_however_written(folder, content, tmp_path, monkeypatch):
    file = tmp_path / folder
    file.parent.mkdir()
    file.write_bytes(content.encode())
    (file.parent / "entry_points.txt").write_text("[probly.data_generator.backends]\nwritten = tiny_written\n")
    monkeypatch.syspath_prepend(tmp_path)
    info = fod.list_backends()["written"]
    assert (info.distribution, info.version) == ("tiny-written", "1.5")


def test_a_copy_of_a_distribution_later_on_the_path_is_no_second_claim(site, tmp_path, monkeypatch):
    shadowed = build_wheel(tmp_path, "tiny-alias", {"tiny_older.py": "raise OSError"}, {"alias": "tiny_older"})
    install(tmp_path, shadowed)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(site)
    assert listing.find_backend("alias").entry_point.value == "tiny_alias"


def test_unknown_backends_suggest_close_names():
    with pytest.raises(
        ValueError, match=r"Unknown framework: numpi \(installed backends: .*numpy.*\); did you mean 'numpy'"
    ):
        fod.create_data_generator(framework="numpi", model=abs, dataset=[])
    with pytest.raises(fod.UnknownBackendError, match="Unknown framework: nope"):
        fod.create_data_generator(framework="nope", model=abs, dataset=[])


@pytest.fixture
def bare(monkeypatch):
    """Hide every backend distribution but the core's."""
    real = listing.claims()
    monkeypatch.setattr(listing, "claims", lambda: {name: real[name] for name in ("numpy", "agnostic")})


@pytest.mark.parametrize(
    ("name", "distribution"),
    [("torch", "torch"), ("pytorch", "torch"), ("jax", "jax"), ("tf", "tensorflow"), ("keras", "tensorflow")],
)
def test_known_backends_that_are_not_installed_name_their_distribution(bare, name, distribution):
    with pytest.raises(fod.BackendNotInstalledError, match=f"pip install probly-data-generator-{distribution}"):
        fod.FirstOrderDataGenerator(abs, backend=name)


def test_a_model_of_a_known_framework_without_backend_is_not_given_to_the_agnostic_one(bare):
    kind = types.new_class("Net")
    kind.__module__ = "torch.nn"
    kind.__call__ = lambda self, batch: batch
    with pytest.raises(ImportError, match="probly-data-generator-torch"):
        fod.FirstOrderDataGenerator(kind(), backend="auto")


def test_a_model_with_predict_proba_needs_no_backend_of_its_own(bare):
    """Its framework has a backend of ours that is not installed; the agnostic one calls the model's own method."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier

    inputs, labels = np.eye(3), ["a", "b", "c"]
    model = LogisticRegression().fit(inputs, labels)
    distributions = fod.FirstOrderDataGenerator(model, backend="auto").generate_distributions(inputs)
    assert distributions.meta["backend"] == "numpy"
    assert distributions.class_names == labels
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(inputs), atol=1e-7)
    with pytest.raises(fod.BackendNotInstalledError, match="pip install probly-data-generator-sklearn"):
        fod.FirstOrderDataGenerator(RidgeClassifier().fit(inputs, labels), backend="auto")


def test_a_model_of_a_framework_with_a_broken_backend_is_not_given_to_the_agnostic_one(installed):
    kind = types.new_class("Net")
    kind.__module__ = "exits.models"
    kind.__call__ = lambda self, batch: batch
    with pytest.raises(fod.BrokenBackendError, match="'exits'"):
        fod.FirstOrderDataGenerator(kind())


def test_a_backend_without_its_framework_says_what_to_install(site, monkeypatch):
    """The plugin is there, what it requires is not."""
    monkeypatch.syspath_prepend(site)
    with pytest.raises(fod.BrokenBackendError, match=r"pip install --force-reinstall tiny-needy"):
        fod.FirstOrderDataGenerator(abs, backend="needy")
    with pytest.raises(ModuleNotFoundError, match="of_the_user"):
        fod.FirstOrderDataGenerator("module_of_the_user:model", backend="numpy")


def test_automatic_choice_refuses_two_that_recognize_the_model(installed):
    class Wanted:
        def __call__(self, batch):
            return batch

    with pytest.raises(fod.AmbiguousBackendError, match=r"recognized by 'greedy.*' and 'greedy.*'; choose one"):
        fod.FirstOrderDataGenerator(Wanted(), backend="auto")
    explicit = fod.FirstOrderDataGenerator(Wanted(), backend="greedy").generate_distributions(np.eye(2))
    assert explicit.meta["backend"] == "greedy"


def test_a_backend_that_fails_to_recognize_harms_nobody_but_its_own_models(installed):
    def model(batch):
        return batch

    assert fod.FirstOrderDataGenerator(model).backend.info.name == "numpy"
    kind = types.new_class("Net")
    kind.__module__ = "fails-to-recognize.models"
    kind.__call__ = lambda self, batch: batch
    with pytest.raises(fod.BrokenBackendError, match="hook recognizes failed with AttributeError"):
        fod.FirstOrderDataGenerator(kind())


def test_each_generator_has_a_manager_of_its_own():
    first, second = (fod.FirstOrderDataGenerator(abs, backend="numpy").backend.hook for _ in range(2))
    assert first is not second


class Timing:
    """A wrapper around two hooks."""

    def __init__(self):
        self.calls = []

    @hookspecs.hookimpl(wrapper=True)
    def forward(self, model, inputs, output_mode):
        self.calls.append((output_mode, len(inputs)))
        return (yield)

    @hookspecs.hookimpl(wrapper=True)
    def load_model(self, source, device):
        loaded = yield
        self.calls.append(("load", device))
        return loaded


def test_wrappers_see_every_call():
    timing = Timing()
    generator = fod.FirstOrderDataGenerator(
        lambda batch: batch, output_mode="logits", batch_size=4, backend="numpy", wrappers=[timing]
    )
    generator.generate_distributions(np.zeros((6, 2)))
    assert timing.calls == [("load", "cpu"), ("load", "cpu"), ("logits", 4), ("logits", 2)]


def test_a_wrapper_must_wrap():
    class Replaces:
        @hookspecs.hookimpl
        def forward(self, model):
            return np.ones((1, 1))

    class Misspelt:
        @hookspecs.hookimpl(wrapper=True)
        def forwards(self, model):
            return (yield)

    for wrapper, says in ((Replaces(), "would replace the hook forward"), (Misspelt(), "does not fit.*forwards")):
        with pytest.raises(TypeError, match=says):
            fod.FirstOrderDataGenerator(abs, backend="numpy", wrappers=[wrapper])


def test_the_hooks_are_called_per_batch_never_per_sample():
    timing = Timing()
    generator = fod.FirstOrderDataGenerator(
        lambda batch: batch, output_mode="logits", batch_size=50, backend="numpy", wrappers=[timing]
    )
    generator.generate_distributions([(np.zeros(2), 0)] * 100)
    assert len([call for call in timing.calls if call[0] == "logits"]) == 2


def test_every_required_hook_is_specified_once():
    specified = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}
    assert specified == {*hookspecs.REQUIRED, *hookspecs.OPTIONAL}
    assert all(getattr(getattr(hookspecs, name), f"{hookspecs.PROJECT}_spec")["firstresult"] for name in specified)
