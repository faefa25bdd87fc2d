"""Finding, loading and refusing backends, with distributions that are really installed."""

import subprocess
import sys

import numpy as np
import pytest

import probly.data_generator as fod
from probly.data_generator import hookspecs
from probly.data_generator.discovery import listing
from tests.discovery.plugins import RULE_BREAKERS, SAYS
from tests.tiny import build_wheel, install


def test_listing_imports_nothing_and_survives_broken_plugins(backends_site):
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(backends_site)!r})\n"
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
    assert "'two-hooks'" in names
    assert "'twice'" not in names, "an ambiguous name is nobody's"
    assert frameworks == "[]"


@pytest.mark.parametrize("name", RULE_BREAKERS)
def test_a_broken_backend_says_why(backends_installed, name):
    with pytest.raises(fod.BrokenBackendError, match=SAYS[name]) as caught:
        fod.FirstOrderDataGenerator(abs, backend=name)
    assert f"backend {name!r} (tiny-{name} 1.0) is installed but broken" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_broken_backend_harms_nobody_else(backends_installed):
    distributions = fod.FirstOrderDataGenerator(lambda batch: batch).generate_distributions(np.eye(2))
    assert distributions.meta["backend"] == "numpy"


def test_two_hooks_are_a_backend(backends_installed):
    generator = fod.FirstOrderDataGenerator(lambda batch: batch, backend="two-hooks")
    distributions = generator.generate_distributions([(np.array([0.25, 0.75]), 1), (np.array([1.0, 0.0]), 0)])
    np.testing.assert_array_equal(distributions.probabilities, [[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_array_equal(distributions.labels, [1, 0])
    with pytest.raises(ValueError, match="no Bayesian layer"):
        generator.get_posterior_distributions()


def test_a_backend_may_stand_around_what_the_core_answers(backends_installed):
    distributions = fod.FirstOrderDataGenerator(lambda batch: batch, backend="wraps-defaults").generate_distributions(
        np.eye(2)
    )
    np.testing.assert_array_equal(distributions.probabilities, np.eye(2))


def test_none_is_never_an_answer(backends_installed):
    with pytest.raises(fod.BrokenBackendError, match="hook forward returned None"):
        fod.FirstOrderDataGenerator(abs, backend="returns-none").generate_distributions(np.eye(2))
    for name in ("moves-none", "fetches-none"):
        with pytest.raises(fod.BrokenBackendError, match=f"backend '{name}': hook to_device returned None"):
            fod.FirstOrderDataGenerator(lambda batch: batch, backend=name).generate_distributions(np.eye(2))
    with pytest.raises(fod.BrokenBackendError, match="hook load_model returned None"):
        fod.FirstOrderDataGenerator(abs, backend="loads-none")


def test_what_is_loaded_has_a_device(backends_installed):
    says = r"hook load_model returned builtin_function_or_method, which has no attribute device; return an object with"
    with pytest.raises(fod.BrokenBackendError, match=says):
        fod.FirstOrderDataGenerator(abs, backend="loads-without-device")


def test_two_distributions_with_one_name_are_refused(backends_installed):
    with pytest.raises(fod.AmbiguousBackendError, match=r"'twice': claimed by tiny-first 1.0 and tiny-second 1.0"):
        fod.FirstOrderDataGenerator(abs, backend="twice")


def test_two_names_of_one_distribution_are_aliases(backends_installed):
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


def test_a_copy_of_a_distribution_later_on_the_path_is_no_second_claim(backends_site, tmp_path, monkeypatch):
    shadowed = build_wheel(tmp_path, "tiny-alias", {"tiny_older.py": "raise OSError"}, {"alias": "tiny_older"})
    install(tmp_path, shadowed)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(backends_site)
    assert listing.find_backend("alias").entry_point.value == "tiny_alias"


def test_unknown_backends_suggest_close_names():
    with pytest.raises(
        ValueError, match=r"Unknown framework: numpi \(installed backends: .*numpy.*\); did you mean 'numpy'"
    ):
        fod.create_data_generator(framework="numpi", model=abs, dataset=[])
    with pytest.raises(fod.UnknownBackendError, match="Unknown framework: nope"):
        fod.create_data_generator(framework="nope", model=abs, dataset=[])


def test_a_backend_without_its_framework_says_what_to_install(backends_site, monkeypatch):
    """The plugin is there, what it requires is not."""
    monkeypatch.syspath_prepend(backends_site)
    with pytest.raises(fod.BrokenBackendError, match=r"run: pip install --force-reinstall tiny-needy$"):
        fod.FirstOrderDataGenerator(abs, backend="needy")
    with pytest.raises(ModuleNotFoundError, match="of_the_user"):
        fod.FirstOrderDataGenerator("module_of_the_user:model", backend="numpy")


def test_each_generator_has_a_manager_of_its_own():
    first, second = (fod.FirstOrderDataGenerator(abs, backend="numpy").backend.hook for _ in range(2))
    assert first is not second


class Timing:
    """A wrapper around two hooks."""

    def __init__(self):
        self.calls = []

    @hookspecs.hookimpl(wrapper=True)
    def forward(self, model, inputs, batch_size):
        self.calls.append(("forward", len(inputs), batch_size))
        return (yield)

    @hookspecs.hookimpl(wrapper=True)
    def load_model(self, source, device):
        loaded = yield
        self.calls.append(("load", device))
        return loaded


def test_wrappers_see_every_call_and_a_model_is_loaded_once_per_run():
    timing = Timing()
    generator = fod.FirstOrderDataGenerator(
        lambda batch: batch, output_mode="logits", batch_size=4, backend="numpy", wrappers=[timing]
    )
    generator.generate_distributions(np.zeros((6, 2)))
    assert timing.calls == [("load", None), ("forward", 4, 4), ("forward", 2, 4)], "the first run takes what was loaded"
    generator.generate_distributions(np.zeros((2, 2)))
    assert timing.calls[3:] == [("load", None), ("forward", 2, 2)], "its weights may have changed in between"


def test_outputs_for_an_output_transform_must_not_be_cut():
    timing = Timing()
    generator = fod.FirstOrderDataGenerator(
        lambda batch: batch, output_transform=lambda rows: rows, batch_size=4, backend="numpy", wrappers=[timing]
    )
    generator.generate_distributions(np.full((6, 2), 0.5))
    assert timing.calls[1:] == [("forward", 4, None), ("forward", 2, None)]


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
    assert len([call for call in timing.calls if call[0] == "forward"]) == 2


def test_every_hook_is_specified_once():
    specified = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}
    known = [*hookspecs.REQUIRED, *hookspecs.DEFAULTED, *hookspecs.OPTIONAL]
    assert sorted(specified) == sorted(known)
    assert all(getattr(getattr(hookspecs, name), f"{hookspecs.PROJECT}_spec")["firstresult"] for name in specified)
