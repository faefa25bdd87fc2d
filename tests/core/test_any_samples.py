"""Random nests of samples, at all backends that run functions: right rows, or an error whose advice then works."""

import functools
import importlib
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probly.data_generator import FirstOrderDataGenerator, SimpleDataLoader
from probly.data_generator.testing.reference import softmax
from tests.frameworks.onnx import FLOAT, session
from tests.frameworks.onnx import model_of as model_of_onnx

pytestmark = pytest.mark.filterwarnings("ignore:.*uncompiled", "ignore:.*cannot be compiled")

ARRAYS = {"numpy": "numpy.asarray", "sklearn": "numpy.asarray", "torch": "torch.tensor", "jax": "jax.numpy.asarray"}
ARRAYS["tensorflow"] = "tensorflow.constant"
TEXT = 8  # TensorProto.STRING
BACKENDS = [*ARRAYS, "onnx"]


def total(value):
    """Return the sum of everything in one sample's input, text as its length."""
    if isinstance(value, dict):
        return sum(total(part) for name, part in value.items() if name not in ("label", "labels"))
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(total, value)) if isinstance(value, list | tuple) else float(value)


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
        return np.array([total(one) for one in array.tolist()])
    return array.reshape(len(array), -1).sum(1)


def padded(value):
    """Return numbers or texts, or lists of them, with what changes no sum behind them."""
    if np.ndim(value[0]):
        return np.stack([padded(one) for one in value])
    rest = 4 - len(value)
    return (
        np.array([*value, *[""] * rest], object) if isinstance(value[0], str) else np.pad(np.float32(value), (0, rest))
    )


def as_numpy(one):
    return one if isinstance(one, str | bytes | dict | list | tuple) else np.asarray(one)


def model_of(backend, case):
    if backend == "onnx":
        return session_of({"pair": "nest"}.get(case.kind, case.kind))
    module, _, name = ARRAYS[backend].rpartition(".")
    make = getattr(importlib.import_module(module), name)

    def model(*inputs, **named):
        batch = named or (inputs[0] if len(inputs) == 1 else inputs)
        if case.kind == "pair" and isinstance(batch, dict):  # torch has lists in place of tuples
            batch = {name: tuple(part) if isinstance(part, list) else part for name, part in batch.items()}
        return make(scores(totals_of(batch)))

    return model


@functools.cache
def session_of(kind):
    """Return the same model in ONNX, whose inputs have names and axes; a text is found by a vocabulary."""
    words = {"domain": "ai.onnx.ml", "keys_strings": ["x" * length for length in range(9)]}
    encode = ("LabelEncoder", "input", "numbers", {**words, "values_floats": [float(length) for length in range(9)]})
    nest = [("ReduceSum", f"{name} axes", f"{name}-sum", {"keepdims": 0}) for name in "ab"]
    nodes = {
        "number": [("Identity", "input", "total", {})],
        "text": [encode, ("Identity", "numbers", "total", {})],
        "texts": [encode, ("ReduceSum", "numbers axes", "total", {"keepdims": 0})],
        "nest": [*nest, ("Add", "a-sum b-sum", "total", {})],
    }.get(kind, [("ReduceSum", "input axes", "total", {"keepdims": 0})])
    nodes += [("Unsqueeze", "total one", "t", {}), ("Mul", "t by", "u", {}), ("Add", "u plus", "y", {})]
    weights = {"axes": np.arange(1, 3 if kind == "matrix" else 2), "one": np.array([1])}
    weights |= {"by": np.float32([1, -0.5, 0]), "plus": np.float32([0, 0, 0.25])}
    shape = {"text": ["N"], "number": ["N"], "matrix": ["N", 2, 3]}.get(kind, ["N", "M"])
    of_nest = {"a": (FLOAT, ["N", 3]), "b": (FLOAT, ["N", 2])}
    inputs = of_nest if kind == "nest" else {"input": (TEXT if kind in ("text", "texts") else FLOAT, shape)}
    domains = [("ai.onnx.ml", 3)]
    return session(model_of_onnx(nodes, inputs, {"y": (FLOAT, ["N", 3])}, weights, domains=domains))


class Sequence:
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def column_of(values):
    """Return values below each other, as one who keeps whole columns has them."""
    first = values[0]
    if isinstance(first, dict):
        return {name: column_of([value[name] for value in values]) for name in first}
    if isinstance(first, tuple):
        return tuple(map(column_of, zip(*values, strict=True)))
    return np.stack(values) if isinstance(first, np.ndarray | np.generic) else values


def own_loader(backend, samples, columns):
    """Return what the users of a framework read such samples with."""
    if backend == "torch":
        from torch.utils.data import DataLoader

        return DataLoader(Sequence(samples), batch_size=3, shuffle=True)
    if backend == "tensorflow":
        import tensorflow as tf

        made = tf.data.Dataset.from_tensor_slices(columns)
        return made.batch(3) if len(samples) % 2 else made
    if backend == "jax":
        from probly.data_generator.jax_first_order_generator import JaxDataLoader

        return JaxDataLoader(columns, batch_size=3, shuffle=True, seed=0)
    return SimpleDataLoader(columns, batch_size=3, shuffle=True, seed=0)


class Case:
    """Samples of one kind in a container, with what must come out, and the getters that an error may ask for."""

    def __init__(self, kind, values, labels, form, container, key="label"):
        self.kind, self.values, self.labels, self.form, self.container = kind, values, labels, form, container
        self.key, self.getters = key, {}

    def __repr__(self):
        return f"Case({', '.join(repr(value) for name, value in vars(self).items() if name != 'getters')})"

    def samples(self):
        labels = self.labels or [None] * len(self.values)
        if self.form == "triple":
            self.getters = {"input_getter": lambda sample: sample[0], "label_getter": lambda sample: sample[2]}
            return [(value, np.float32(7), label) for value, label in zip(self.values, labels, strict=True)]
        if self.form == "mapping":
            named = [{"input": value} for value in self.values]
            return named if self.labels is None else [
                {**one, self.key: label} for one, label in zip(named, labels, strict=True)
            ]  # fmt: skip
        return self.values if self.labels is None else list(zip(self.values, labels, strict=True))

    def value_of(self, sample):
        """Return the input of a sample, or of a batch where the dataset has batches."""
        if self.form == "mapping":
            return sample["input"]
        return sample[0] if isinstance(sample, tuple) else sample

    def dataset(self, backend):
        """Return the dataset and the options that say what it is."""
        samples = self.samples()
        if self.container == "own":
            return own_loader(backend, samples, self.columns(samples, slice(None))[0]), {}
        if self.container in ("list", "sequence", "generator"):
            made = {"list": list, "sequence": Sequence, "generator": lambda all_of: (one for one in all_of)}
            return made[self.container](samples), {}
        if self.container == "loader":
            return SimpleDataLoader(samples, batch_size=3, shuffle=True, seed=0), {}
        return self.columns(samples, slice(None)) if self.container == "columns" else self.batches(samples)

    def columns(self, samples, rows):
        values, labels = self.values[rows], None if self.labels is None else np.array(self.labels[rows])
        column = column_of(values)
        if self.form == "mapping":
            return {"input": column, **({} if labels is None else {self.key: labels})}, {}
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
    form = draw(st.sampled_from(["plain", "mapping", "triple"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    labelled = form == "triple" or draw(st.booleans())
    labels = random.integers(0, 3, rows).tolist() if labelled else None

    def vector(size):
        return random.normal(size=size).astype(np.float32)

    make = {
        "number": lambda: vector(()),
        "vector": lambda: vector(4),
        "matrix": lambda: vector((2, 3)),
        "text": lambda: "x" * int(random.integers(1, 9)),
        "texts": lambda: ["x" * int(random.integers(1, 9)) for _ in range(random.integers(1, 4))],
        "ragged": lambda: random.integers(0, 5, int(random.integers(1, 4))).astype(float).tolist(),
        "nest": lambda: {"a": vector(3), "b": vector(2)},
        "pair": lambda: (vector(3), vector(2)),
    }
    # A pair of inputs without a label is an input with a label.
    kind = draw(st.sampled_from(sorted(make.keys() - (set() if labelled or form == "mapping" else {"pair"}))))
    containers = ["list", "sequence", "generator", "loader", "columns", "batches", "told batches"]
    if kind not in ("texts", "ragged"):  # torch's and TensorFlow's own loaders fail at these
        containers.append("own")
    values = [make[kind]() for _ in range(rows)]
    return Case(
        kind, values, labels, form, draw(st.sampled_from(containers)), draw(st.sampled_from(["label", "labels"]))
    )


def remedy(case, error):
    """Return the way that the message of an error names, and the options that are this way."""
    says = " ".join([str(error), *getattr(error, "__notes__", ())])
    row = itertools.count()
    getters = case.getters or {"input_getter": case.value_of, "label_getter": lambda sample: None}
    ways = [
        (("set input_getter", "label_getter"), getters),
        (("pass batched=True or batched=False",), {"batched": len(case.values) % 2 == 1}),  # see own_loader
        (("set batched=True if the dataset yields batches",), {"batched": True}),
        (("bring them to one shape in input_getter",), {"input_getter": lambda sample: padded(case.value_of(sample))}),
        (("return a dict of them by name from input_getter",), {"input_getter": case.value_of}),
        (
            ("set label_getter, or index_getter to an index per row",),
            {"index_getter": lambda batch: [next(row) for _ in case.value_of(batch)]},
        ),
        (("batch_size=1",), {"batch_size": 1}),
    ]
    found = [(words[0], options) for words, options in ways if all(word in says for word in words)]
    assert found, says
    return found[0]


def run(backend, case, **options):
    dataset, known = case.dataset(backend)
    generator = FirstOrderDataGenerator(
        model_of(backend, case), backend=backend, output_mode="logits", **{"batch_size": 4, **known, **options}
    )
    return generator.generate_distributions(dataset, progress=False)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cases())
def test_rows_are_right_or_the_advice_works(backend, case):
    options, followed, found = {}, [], None
    while found is None:
        try:
            found = run(backend, case, **options)
        except Exception as error:  # whatever it is, it has to say what to do
            advised, failure = remedy(case, error), error
        if found is None:
            way, more = advised
            assert way not in followed, f"advice in a circle: {failure}"
            followed.append(way)
            options |= more
    expected = softmax(scores([total(value) for value in case.values]))
    np.testing.assert_array_equal(found.indices, np.arange(len(case.values)))
    np.testing.assert_allclose(found.probabilities, expected, rtol=0, atol=1e-5)
    if case.labels is None:
        assert found.labels is None
    else:
        np.testing.assert_array_equal(found.labels, case.labels)
