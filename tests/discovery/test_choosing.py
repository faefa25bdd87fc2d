"""The backend of a model or a file where nobody names one: by class and suffix, without importing a framework."""

import re
import types
from pathlib import Path

import numpy as np
import pytest

import probly.data_generator as fod
from probly.data_generator.discovery import listing
from probly.data_generator.discovery.choosing import choose_backend
from probly.data_generator.installing import install_advice


@pytest.fixture
def bare(monkeypatch):
    """Hide every backend distribution but the core's."""
    real = listing.claims()
    monkeypatch.setattr(listing, "claims", lambda group=listing.BACKENDS: {n: real[n] for n in ("numpy", "agnostic")})


def told(distribution):
    return f"is not installed; {re.escape(install_advice(distribution))}$"


@pytest.mark.parametrize(
    ("name", "distribution"),
    [("torch", "torch"), ("pytorch", "torch"), ("jax", "jax"), ("tf", "tensorflow"), ("keras", "tensorflow")],
)
def test_known_backends_that_are_not_installed_name_their_distribution(bare, name, distribution):
    with pytest.raises(fod.BackendNotInstalledError, match=told(f"probly-data-generator-{distribution}")):
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
    with pytest.raises(fod.BackendNotInstalledError, match=told("probly-data-generator-sklearn")):
        fod.FirstOrderDataGenerator(RidgeClassifier().fit(inputs, labels), backend="auto")


def test_a_model_of_a_framework_with_a_broken_backend_is_not_given_to_the_agnostic_one(backends_installed):
    kind = types.new_class("Net")
    kind.__module__ = "exits.models"
    kind.__call__ = lambda self, batch: batch
    with pytest.raises(fod.BrokenBackendError, match="'exits'"):
        fod.FirstOrderDataGenerator(kind())


def test_automatic_choice_refuses_two_that_recognize_the_model(backends_installed):
    class Wanted:
        def __call__(self, batch):
            return batch

    with pytest.raises(fod.AmbiguousBackendError, match=r"recognized by 'greedy.*' and 'greedy.*'; choose one"):
        fod.FirstOrderDataGenerator(Wanted(), backend="auto")
    explicit = fod.FirstOrderDataGenerator(Wanted(), backend="greedy").generate_distributions(np.eye(2))
    assert explicit.meta["backend"] == "greedy"


def test_a_backend_that_fails_to_recognize_harms_nobody_but_its_own_models(backends_installed):
    def model(batch):
        return batch

    assert fod.FirstOrderDataGenerator(model).backend.info.name == "numpy"
    kind = types.new_class("Net")
    kind.__module__ = "fails-to-recognize.models"
    kind.__call__ = lambda self, batch: batch
    with pytest.raises(fod.BrokenBackendError, match="hook recognizes failed with AttributeError"):
        fod.FirstOrderDataGenerator(kind())


class Library:
    """A model of a library that has a backend."""

    def __call__(self, batch):
        return batch


class BuiltOnIt(Library):
    """A model of a library that is built on the first and has a backend, too."""


def test_of_two_backends_the_one_of_the_most_specific_class_gets_the_model(backends_installed):
    mine = types.new_class("Mine", (BuiltOnIt,))
    assert choose_backend(Library()).name == "library"
    assert choose_backend(BuiltOnIt()).name == "built-on-it"
    assert choose_backend(mine()).name == "built-on-it", "though a third one recognizes it without saying by what class"
    distributions = fod.FirstOrderDataGenerator(mine()).generate_distributions(np.eye(2))
    assert distributions.meta["backend"] == "built-on-it"


def test_a_backend_may_not_answer_with_a_class_that_is_not_the_models(backends_installed):
    kind = types.new_class("Named")
    kind.__module__ = "other-class.models"
    with pytest.raises(fod.BrokenBackendError, match="hook recognizes failed with ValueError"):
        choose_backend(kind())


@pytest.mark.parametrize("source", ["net.tiny", Path("folder/net.tiny"), ("module:build", "net.tiny"), "C:/net.tiny"])
def test_a_file_goes_to_the_backend_that_claims_its_suffix(source, backends_installed):
    assert choose_backend(source).name == "files"


def test_a_file_of_a_backend_that_is_not_installed_says_what_to_install(bare):
    with pytest.raises(ValueError, match=r"one of 'numpy', or install one of .*onnx, .*; for the first .*\[catboost\]"):
        choose_backend("net.onnx")


def test_files_of_nobody_and_of_two_are_refused(backends_installed):
    with pytest.raises(
        ValueError, match=r"no installed backend claims the suffix '\.nobodys': 'net\.nobodys'.*backend="
    ):
        choose_backend("net.nobodys")
    with pytest.raises(
        ValueError, match=r"'net\.nobodys', which is not there, and nothing is downloaded; set backend="
    ):
        choose_backend("net.nobodys")
    with pytest.raises(fod.AmbiguousBackendError, match=r"'net\.both' is recognized by '.*files' and '.*files'"):
        choose_backend("net.both")


def test_a_live_model_by_its_import_path_is_recognized_as_such(backends_installed):
    assert choose_backend(f"{__name__}:Library").name == "library"
