"""Random nests of samples, at all backends that run functions: right rows, or an error whose advice then works."""

import importlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probly.data_generator import FirstOrderDataGenerator, SimpleDataLoader
from probly.data_generator.testing.reference import softmax

pytestmark = pytest.mark.filterwarnings("ignore:.*uncompiled", "ignore:.*cannot be compiled")

ARRAYS = {"numpy": "numpy.asarray", "sklearn": "numpy.asarray", "torch": "torch.tensor", "jax": "jax.numpy.asarray"}
ARRAYS["tensorflow"] = "tensorflow.constant"


def total(value):
    """Return the sum of everything in one sample's input, text as its length."""
    if isinstance(value, dict):
        return sum(total(part) for name, part in value.items() if name not in ("label", "labels"))
    if isinstance(value, str):
        return len(value)
    return sum(map(total, value)) if isinstance(value, list | tuple) else float(np.sum(value))


def scores(totals):
    totals = np.asarray(totals, np.float32)[:, None]
    return np.concatenate([totals, -totals / 2, np.full_like(totals, 0.25)], axis=1)


def totals_of(batch):
    """Return the totals of the samples of a batch, whatever a framework made of it."""
    if isinstance(batch, dict):
        return sum(totals_of(part) for name, part in batch.items() if name not in ("label", "labels"))
    if isinstance(batch, tuple):
        return sum(map(totals_of, batch))
    if isinstance(batch, list):
        return np.array([total(as_numpy(one)) for one in batch])
    array = np.asarray(batch)
    if array.dtype.kind in "OSU":
        return np.array([len(one) for one in array.tolist()])
    return array.reshape(len(array), -1).sum(1)


def as_numpy(one):
    return one if isinstance(one, str | dict | list | tuple) else np.asarray(one)


def model_of(backend):
    module, _, name = ARRAYS[backend].rpartition(".")
    make = getattr(importlib.import_module(module), name)

    def model(*inputs, **named):
        batch = named or (inputs[0] if len(inputs) == 1 else inputs)
        return make(scores(totals_of(batch)))

    return model


class Sequence:
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Case:
    """Samples of one kind in a container, with what must come out, and the getters that an error may ask for."""

    def __init__(self, values, labels, form, container):
        self.values, self.labels, self.form, self.container = values, labels, form, container
        self.getters = {}

    def __repr__(self):
        return f"Case({self.values!r}, {self.labels!r}, {self.form!r}, {self.container!r})"

    def samples(self):
        labels = self.labels or [None] * len(self.values)
        if self.form == "triple":
            self.getters = {"input_getter": lambda sample: sample[0], "label_getter": lambda sample: sample[2]}
            return [(value, np.float32(7), label) for value, label in zip(self.values, labels, strict=True)]
        if self.form == "mapping":
            part = {} if self.labels is None else {"label": 0}
            return [
                {"input": value, **(part and {"label": label})}
                for value, label in zip(self.values, labels, strict=True)
            ]
        return self.values if self.labels is None else list(zip(self.values, labels, strict=True))

    def dataset(self):
        """Return the dataset and the options that say what it is."""
        samples = self.samples()
        if self.container in ("list", "sequence", "generator"):
            made = {"list": list, "sequence": Sequence, "generator": lambda all_of: (one for one in all_of)}
            return made[self.container](samples), {}
        if self.container == "loader":
            return SimpleDataLoader(samples, batch_size=3, shuffle=True, seed=0), {}
        return self.columns(samples, slice(None)) if self.container == "columns" else self.batches(samples)

    def columns(self, samples, rows):
        values, labels = self.values[rows], None if self.labels is None else np.array(self.labels[rows])
        column = np.stack(values) if isinstance(values[0], np.ndarray) else values
        if self.form == "mapping":
            return {"input": column, **({} if labels is None else {"label": labels})}, {}
        if self.form == "triple":
            return (column, np.full(len(values), 7, np.float32), labels), {}
        return ((column,) if labels is None else (column, labels)), {}

    def batches(self, samples):
        parts = [slice(start, start + 3) for start in range(0, len(samples), 3)]
        known = {} if self.container == "batches" and self.labels is not None else {"batched": True}
        return [self.columns(samples, part)[0] for part in parts], known


@st.composite
def cases(draw):
    rows = draw(st.integers(1, 8))
    kind = draw(st.sampled_from(["vector", "matrix", "text", "ragged", "nest"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    make = {
        "vector": lambda: random.normal(size=4).astype(np.float32),
        "matrix": lambda: random.normal(size=(2, 3)).astype(np.float32),
        "text": lambda: "x" * int(random.integers(1, 9)),
        "ragged": lambda: random.integers(0, 5, int(random.integers(1, 4))).astype(float).tolist(),
        "nest": lambda: {"a": random.normal(size=3).astype(np.float32), "b": random.normal(size=2).astype(np.float32)},
    }[kind]
    form = draw(st.sampled_from(["plain", "mapping", "triple"]))
    labels = draw(st.none() | st.just(random.integers(0, 3, rows).tolist())) if form != "triple" else [0, 1, 2] * rows
    containers = ["list", "sequence", "generator", "loader"]
    if kind != "nest":
        containers += ["columns", "batches", "told batches"]
    return Case([make() for _ in range(rows)], labels and labels[:rows], form, draw(st.sampled_from(containers)))


def remedy(case, error):
    """Return the options that the message of an error names."""
    says = " ".join([str(error), *getattr(error, "__notes__", ())])
    if "set input_getter" in says and "label_getter" in says:
        return case.getters or {"input_getter": lambda sample: sample, "label_getter": lambda sample: None}
    if "batched=True" in says and case.container == "batches":
        return {"batched": True}
    assert "batch_size=1" in says, says
    return {"batch_size": 1}


def run(backend, case, **options):
    dataset, known = case.dataset()
    generator = FirstOrderDataGenerator(
        model_of(backend), backend=backend, output_mode="logits", **{"batch_size": 4, **known, **options}
    )
    return generator.generate_distributions(dataset, progress=False)


@pytest.mark.parametrize("backend", ARRAYS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cases())
def test_rows_are_right_or_the_advice_works(backend, case):
    options = {}
    for _ in range(4):
        try:
            found = run(backend, case, **options)
            break
        except Exception as error:  # whatever it is, it has to say what to do
            failure, more = error, remedy(case, error)
        assert more.keys() - options.keys(), f"advice in a circle: {failure}"
        options |= more
    expected = softmax(scores([total(value) for value in case.values]))
    np.testing.assert_array_equal(found.indices, np.arange(len(case.values)))
    np.testing.assert_allclose(found.probabilities, expected, rtol=0, atol=1e-5)
    if case.labels is None:
        assert found.labels is None
    else:
        np.testing.assert_array_equal(found.labels, case.labels)
