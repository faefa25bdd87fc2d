"""Each check of the suite fails on a backend that breaks what it checks, and nothing switches a check off unseen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probly.data_generator.testing import BackendConformance
from tests.testing import misbehaving
from tests.testing.misbehaving import honest
from tests.tiny import GOOD_BACKEND, build_wheel, install


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install one distribution with all these backends, and another backend with a framework of its own."""
    folder = tmp_path_factory.mktemp("misbehaving")
    names = [*misbehaving.BACKENDS, *misbehaving.HONEST]
    entry_points = {name: f"tests.testing.misbehaving:backend_{name.replace('-', '_')}" for name in names}
    wheels = [
        build_wheel(folder, "tiny-misbehaving", {}, entry_points),
        build_wheel(folder, "tiny-framework", {"tiny_framework.py": ""}, {}),
        build_wheel(
            folder, "tiny-other", {"tiny_other.py": GOOD_BACKEND}, {"other": "tiny_other"}, requires=["tiny-framework"]
        ),
    ]
    target = tmp_path_factory.mktemp("site")
    install(target, *wheels)
    return target


@pytest.fixture
def installed(site, monkeypatch):
    """Put them on the path of this process and of its children."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield
    sys.modules.pop("tiny_framework", None)


def suite(name, kind=honest.Dummies, **declared):
    """Return the conformance suite, pointed at a backend."""
    checks = kind()
    for attribute, value in {"backend": name, **declared}.items():
        setattr(checks, attribute, value)
    return checks


@pytest.mark.parametrize("name", misbehaving.BACKENDS)
@pytest.mark.filterwarnings("ignore:generated")
def test_the_check_fails(name, installed):
    _, check, arguments = misbehaving.BACKENDS[name]
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        getattr(suite(name), check)(*arguments)
    assert caught.type not in (AttributeError, NotImplementedError), "the check was not reached"


@pytest.mark.parametrize("name", misbehaving.BACKENDS)
def test_the_same_check_passes_on_the_honest_backend(name, installed):
    _, check, arguments = misbehaving.BACKENDS[name]
    getattr(suite(misbehaving.INSTEAD.get(name, "honest")), check)(*arguments)


def test_every_check_has_a_backend_that_fails_it():
    checks = {name for name in dir(BackendConformance) if name.startswith("test_")}
    assert checks == {check for _, check, _ in misbehaving.BACKENDS.values()}


def test_an_import_of_its_own_framework_is_noticed(installed):
    """Here one that no other backend requires."""
    loads = "test_the_backend_is_listed_and_loading_imports_no_framework"
    with pytest.raises(AssertionError):
        getattr(suite("honest", framework_modules=("numpy",)), loads)()
    getattr(suite("honest", framework_modules=("colorsys",)), loads)()


def test_a_framework_that_is_not_needed_is_no_control(installed):
    with pytest.raises(AssertionError, match="runs even without its own colorsys"):
        suite("honest", framework_modules=("colorsys",)).test_no_other_framework_is_needed()


# What a framework cannot do must be refused.

REFUSALS = {
    "functions": ("honest", "files-only", "test_more_axes_are_refused"),
    "posterior": ("no-posterior", "honest", "test_the_posterior_of_a_bayesian_layer_is_its_mu_and_rho"),
}


@pytest.mark.parametrize("capability", REFUSALS)
def test_what_a_framework_cannot_do_must_be_refused(capability, installed):
    accepting, refusing, check = REFUSALS[capability]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(suite(accepting, cannot={capability}), check)()
    getattr(suite(refusing, cannot={capability}), check)()


def test_what_returns_logits_cannot_be_said_to_return_probabilities(installed):
    with pytest.raises(AssertionError):
        suite("honest", cannot={"logits"}).test_rows_agree_with_the_reference("arrays")
    with pytest.raises(AssertionError):
        suite("honest", honest.Trained).test_rows_agree_with_the_reference("arrays")
    suite("honest", honest.Trained, cannot={"logits"}).test_rows_agree_with_the_reference("arrays")


class WithoutModels(BackendConformance):
    """Builds no model with weights of its own."""

    classifier = honest.Trained.classifier


class WithoutReference(BackendConformance):
    """Has a reference that no backend can miss."""

    classifier = honest.Constant.classifier


def test_a_model_without_weights_must_come_with_rows_that_differ(installed):
    declared = {"cannot": {"weights", "logits"}, "device": "cpu"}
    suite("honest", WithoutModels, **declared).test_cnn_agrees_with_numpy()
    with pytest.raises(AssertionError, match="rows that differ"):
        suite("honest", WithoutReference, **declared).test_cnn_agrees_with_numpy()
    with pytest.raises(NotImplementedError, match="override classifier"):
        suite("honest", WithoutModels).test_cnn_agrees_with_numpy()


def test_only_numpys_arrays_lack_bfloat16(installed):
    suite("honest", WithoutModels, cannot={"bfloat16"}).test_bfloat16_is_upcast()
    with pytest.raises(AssertionError):
        suite("honest", WithoutModels, cannot={"bfloat16"}, array=memoryview).test_bfloat16_is_upcast()


def test_what_a_subclass_builds_itself_is_checked_whatever_it_cannot(installed):
    """ONNX takes no functions, but has models that return their inputs."""
    with pytest.raises(AssertionError):
        suite("hides-nan", Builds, cannot={"functions"}).test_forward_returns_the_models_own_outputs("neither")


class Builds(honest.Dummies):
    def identity(self, example):
        return lambda batch: batch


def test_two_hooks_pass_the_suite(site, tmp_path):
    """Optional hooks are optional, and the core answers the others."""
    (tmp_path / "test_two_hooks.py").write_text(TWO_HOOKS)
    # What it imports is asked of every other backend.
    others = "not imports_no_framework and not no_other_framework"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", others, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd()), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


TWO_HOOKS = """
from tests.testing.misbehaving.honest import Dummies as Suite

class TestTwoHooks(Suite):
    backend = "two-hooks"
    cannot = frozenset({"posterior"})
    expected_failures = {"test_bfloat16_is_upcast": "NumPy has none: https://example.org/1"}
"""


# What would switch a check off unseen.


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"cannot": frozenset({"logit"})},
            r"cannot: expected names out of functions, logits, posterior, weights, bfloat16, got logit",
        ),
        ({"test_runs_repeat_exactly": None}, "test_runs_repeat_exactly would replace a check"),
        ({"expected_failures": {"test_runs": "https://example.org"}}, "there is no check called 'test_runs'"),
        ({"expected_failures": {"mlp": "https://example.org"}}, "there is no check called 'mlp'"),
        ({"expected_failures": {"test_runs_repeat_exactly": "later"}}, "expected a reason with a link, got 'later'"),
    ],
)
def test_declarations_that_would_hide_a_check_are_refused(declared, message):
    with pytest.raises(TypeError, match=message):
        type("TestMine", (BackendConformance,), declared)


def test_a_mixin_cannot_replace_a_check():
    class Mine:
        def test_runs_repeat_exactly(self):
            pass

    with pytest.raises(TypeError, match="test_runs_repeat_exactly would replace a check"):
        type("TestMine", (Mine, BackendConformance), {})


DECLARING = """
from tests.frameworks.numpy import TestNumpy as Suite

class TestDeclares(Suite):
    cannot = frozenset()
    expected_failures = {
        "test_bfloat16_is_upcast": "true: https://example.org/1",
        "test_runs_repeat_exactly": "no longer true: https://example.org/2",
    }
"""


def test_an_expected_failure_that_passes_is_a_failure(tmp_path):
    (tmp_path / "test_declares.py").write_text(DECLARING)
    command = [sys.executable, "-m", "pytest", "-rxf", "-p", "no:cacheprovider", "-k", "bfloat16 or repeat"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "XFAIL test_declares.py::TestDeclares::test_bfloat16_is_upcast - true: https://example.org/1" in done.stdout
    assert done.stdout.count("[XPASS(strict)] no longer true: https://example.org/2") >= 1
    assert "1 failed" in done.stdout
    assert "1 xfailed" in done.stdout
