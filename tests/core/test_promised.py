"""What users were promised, the same on every backend: import paths, soft-target loaders, reports, exchanged files."""

import functools
import importlib
import subprocess
import sys
import types

import numpy as np
import pytest

from probly.data_generator import Distributions, StoreError, create_data_generator
from probly.data_generator.installing import install_advice
from probly.data_generator.testing import reference
from tests.conftest import WITH_WEIGHTS
from tests.frameworks import suite as framework

MODULES = {
    "numpy": "first_order_datagenerator",
    "torch": "torch_first_order_generator",
    "jax": "jax_first_order_generator",
    "tensorflow": "tensorflow_generator",
}
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=30)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))


def promised(name):
    """Return the module of a promised path; a backend without one is named where the agnostic generator is made."""
    module = importlib.import_module(f"probly.data_generator.{MODULES.get(name, MODULES['numpy'])}")
    if name in MODULES:
        return module
    named = functools.partial(module.FirstOrderDataGenerator, backend=name)
    return types.SimpleNamespace(**{**vars(module), "FirstOrderDataGenerator": named})


@pytest.fixture(params=WITH_WEIGHTS)
def name(request):
    return request.param


@pytest.fixture
def distributions(name):
    mode = "probs" if "logits" in framework(name).cannot else "logits"
    made = promised(name).FirstOrderDataGenerator(model=framework(name).mlp(WEIGHTS), batch_size=8, output_mode=mode)
    return made.generate_distributions((INPUTS, LABELS), progress=True)


def test_backends_agree_with_each_other():
    rows = {}
    for name in WITH_WEIGHTS:
        made = promised(name).FirstOrderDataGenerator(framework(name).mlp(WEIGHTS), batch_size=8)
        rows[name] = made.generate_distributions((INPUTS, LABELS)).probabilities
    for name, given in rows.items():
        for other, others in rows.items():
            np.testing.assert_allclose(given, others, rtol=0, atol=1e-6, err_msg=f"{name} and {other}")


def test_the_promised_class_fixes_its_backend(name, distributions):
    assert distributions.meta["backend"] == name
    np.testing.assert_allclose(distributions.probabilities, EXPECTED, rtol=0, atol=1e-6)


def test_automatic_choice(name):
    from probly.data_generator import FirstOrderDataGenerator

    assert FirstOrderDataGenerator(framework(name).mlp(WEIGHTS)).backend.info.name == name


def test_files_are_read_by_every_backend(name, distributions, tmp_path):
    made = promised(name).FirstOrderDataGenerator(framework(name).mlp(WEIGHTS))
    made.save_distributions(tmp_path / "dists.json", distributions, meta={"note": name})
    for other in WITH_WEIGHTS:
        reader = promised(other).FirstOrderDataGenerator(framework(other).mlp(WEIGHTS))
        loaded, meta = reader.load_distributions(tmp_path / "dists.json")
        assert loaded == distributions
        assert meta["note"] == name
        np.testing.assert_array_equal(loaded.labels, LABELS)


def collected(loader):
    """Return the parts of all batches of a loader as NumPy arrays."""
    parts = list(zip(*loader, strict=True))
    return [np.concatenate([np.asarray(batch) for batch in part]) for part in parts]


@pytest.mark.parametrize("shuffle", [False, True])
def test_output_dataloader_keeps_each_distribution_with_its_sample(name, distributions, shuffle):
    loader = promised(name).output_dataloader(
        base_dataset=framework(name).dataset(INPUTS, LABELS),
        distributions=distributions,
        batch_size=8,
        shuffle=shuffle,
    )
    for _ in range(2):
        inputs, labels, rows = collected(loader)
        assert len(inputs) == len(INPUTS)
        assert rows.dtype == np.float32
        positions = [int(np.argmin(np.abs(INPUTS - value).sum(axis=1))) for value in inputs]
        assert sorted(positions) == list(range(len(INPUTS)))
        assert (positions == list(range(len(INPUTS)))) != shuffle
        np.testing.assert_array_equal(labels, LABELS[positions])
        np.testing.assert_array_equal(rows, distributions.probabilities[positions])


def test_output_dataloader_yields_the_frameworks_arrays(name, distributions):
    loader = promised(name).output_dataloader((INPUTS, LABELS), distributions, batch_size=8)
    first = next(iter(loader))
    assert len(first) == 3
    own = name if name in MODULES else "numpy"  # without a promised module, it is the agnostic one's
    assert all(isinstance(part, type(framework(own).array(INPUTS))) for part in first)
    assert tuple(first[2].shape) == (8, 3)


def test_samples_without_labels_give_pairs(name, distributions):
    loader = promised(name).output_dataloader(INPUTS, distributions, batch_size=8)
    inputs, rows = collected(loader)
    np.testing.assert_array_equal(inputs, INPUTS)
    np.testing.assert_array_equal(rows, distributions.probabilities)


def test_labels_are_left_out_for_trainers_of_pairs(name, distributions):
    given = {"memory": (INPUTS, LABELS), "its own": framework(name).dataset(INPUTS, LABELS)}
    for kind, base in given.items():
        inputs, rows = collected(promised(name).output_dataloader(base, distributions, batch_size=8, labels=False))
        np.testing.assert_array_equal(inputs, INPUTS, err_msg=kind)
        np.testing.assert_array_equal(rows, distributions.probabilities, err_msg=kind)
        value, row = promised(name).FirstOrderDataset(base, distributions, labels=False)[7]
        np.testing.assert_array_equal(np.asarray(value), INPUTS[7], err_msg=kind)
        np.testing.assert_array_equal(np.asarray(row), distributions[7], err_msg=kind)


def test_input_getter_of_the_output_loader(name, distributions):
    loader = promised(name).output_dataloader(
        [(value, int(label)) for value, label in zip(INPUTS, LABELS, strict=True)],
        dict(distributions),
        batch_size=8,
        input_getter=lambda sample: sample[0] * 2,
    )
    np.testing.assert_array_equal(collected(loader)[0], INPUTS * 2)


def test_label_getter_of_the_output_loader(name, distributions):
    triples = [(value, 7, int(label)) for value, label in zip(INPUTS, LABELS, strict=True)]
    getters = {"input_getter": lambda sample: sample[0], "label_getter": lambda sample: sample[2]}
    loader = promised(name).output_dataloader(triples, dict(distributions), batch_size=8, **getters)
    inputs, labels, rows = collected(loader)
    np.testing.assert_array_equal(inputs, INPUTS)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(rows, distributions.probabilities)
    with pytest.raises(ValueError, match=r"3 parts .*input_getter.*label_getter"):
        promised(name).FirstOrderDataset(triples, distributions)[0]


def test_a_missing_distribution_is_noticed_before_the_first_epoch(name, distributions):
    partial = {index: row for index, row in distributions.items() if index != 11}
    with pytest.raises(KeyError, match=r"No distribution for index 11 \(1 of 30"):
        promised(name).output_dataloader((INPUTS, LABELS), partial)
    dataset = promised(name).FirstOrderDataset((INPUTS, LABELS), partial)
    assert len(dataset) == 30
    assert len(dataset[10]) == 3
    with pytest.raises(KeyError, match="No distribution for index 11"):
        dataset[11]
    with pytest.raises(IndexError, match="index 30 is out of range for 30"):
        dataset[30]


def test_first_order_dataset_gives_the_frameworks_float32(name, distributions):
    value, label, row = promised(name).FirstOrderDataset(framework(name).dataset(INPUTS, LABELS), distributions)[7]
    np.testing.assert_array_equal(np.asarray(value), INPUTS[7])
    assert int(label) == LABELS[7]
    np.testing.assert_array_equal(np.asarray(row), distributions[7])
    assert np.asarray(row).dtype == np.float32


def test_prepares_batch_inp(name):
    made = promised(name).FirstOrderDataGenerator(framework(name).mlp(WEIGHTS), input_getter=lambda sample: sample["x"])
    assert made.prepares_batch_inp({"x": 3}) == 3
    assert promised(name).prepares_batch_inp((1, 2)) == 1


def test_reports(name, tmp_path):
    made = create_data_generator(
        framework=name, model=framework(name).mlp(WEIGHTS), dataset=(INPUTS, LABELS), batch_size=8, device=None
    )
    assert made.get_info()["dataset_size"] is None
    with pytest.raises(RuntimeError, match="call generate"):
        made.save(tmp_path / "report.json")
    report = made.generate()
    predicted = EXPECTED.argmax(axis=1)
    assert report["info"]["framework"] == name
    assert report["info"]["dataset_size"] == 30
    assert report["info"]["batch_size"] == 8
    assert report["metrics"]["accuracy"] == np.mean(predicted == LABELS)
    likelihood = EXPECTED[np.arange(30), LABELS]
    np.testing.assert_allclose(report["metrics"]["negative_log_likelihood"], -np.log(likelihood).mean(), rtol=1e-5)
    one_hot = np.eye(3)[LABELS]
    np.testing.assert_allclose(report["metrics"]["brier_score"], ((EXPECTED - one_hot) ** 2).sum(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        report["metrics"]["mean_entropy"], -(EXPECTED * np.log(EXPECTED)).sum(1).mean(), rtol=1e-5
    )
    assert report["class_distribution"] == {
        "predicted": {str(c): int((predicted == c).sum()) for c in range(3)},
        "ground_truth": {str(c): int((c == LABELS).sum()) for c in range(3)},
    }
    np.testing.assert_allclose(report["confidence"]["mean"], EXPECTED.max(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(report["confidence"]["std"], EXPECTED.max(1).std(), rtol=1e-5)
    made.save(tmp_path / "report.json")
    assert made.load(tmp_path / "report.json") == report
    assert isinstance(made.generate_distributions(), Distributions)


def test_reports_without_labels_and_without_rows():
    report = create_data_generator("numpy", lambda batch: batch, np.full((4, 2), 0.5)).generate()
    assert report["metrics"]["accuracy"] is None
    assert report["class_distribution"] == {"predicted": {"0": 4, "1": 0}, "ground_truth": None}
    empty = create_data_generator("numpy", lambda batch: batch, np.empty((0, 2))).generate()
    assert empty["confidence"] == {"mean": None, "std": None}
    assert empty["info"]["dataset_size"] == 0


@pytest.mark.parametrize(
    ("labels", "accuracy"),
    [(np.array([[0, 1], [0, 1]]), 0.5), (np.array([[1], [0]]), 0.5), (np.array([1.0, 0.0]), 0.5), (["a", "b"], None)],
)
def test_labels_of_other_kinds(labels, accuracy):
    rows = np.array([[0.1, 0.9], [0.2, 0.8]])
    if accuracy is not None:
        rows = np.array([[0.1, 0.9], [0.8, 0.2]]) if np.ndim(labels) == 2 and np.shape(labels)[1] == 2 else rows
    report = create_data_generator("numpy", lambda batch: batch, (rows, labels)).generate()
    assert report["metrics"]["accuracy"] == accuracy


def test_a_label_that_is_no_class_is_left_out_and_counted():
    made = create_data_generator("numpy", lambda batch: batch, (np.full((2, 2), 0.5), np.array([0, 2])))
    report = made.generate()
    assert report["metrics"]["accuracy"] == 1.0
    assert report["labels"]["labelled"] == 1
    assert "1 label is none of the classes, such as 2" in report["labels"]["note"]


@pytest.mark.parametrize("text", ["", "[]", '{"info": {}}', "3"])
def test_damaged_reports(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    made = create_data_generator("numpy", abs, [])
    with pytest.raises(StoreError, match="not a report"):
        made.load(tmp_path / "report.json")


@pytest.mark.parametrize("absent", ["torch", "jax", "tensorflow"])
def test_the_promised_path_of_an_absent_backend_names_what_to_install(absent):
    hide = f"""
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("probly_data_generator_{absent}"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Hide())
from probly.data_generator.discovery import listing
real = listing.claims
listing.claims = lambda: {{k: v for k, v in real().items() if v[0].distribution != "probly-data-generator-{absent}"}}
try:
    import probly.data_generator.{MODULES[absent]}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=True)
    assert install_advice(f"probly-data-generator-{absent}") in done.stdout
