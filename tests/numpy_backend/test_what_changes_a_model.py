"""What changes a plain object or function: each change is refused by a store, by its digest or by the probe."""

import ctypes
import functools
import re
import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly.data_generator.testing import reference
from probly.data_generator.toolkit.digest import digest_state
from tests.numpy_backend import settings

INPUTS = reference.samples(rows=20, shape=(3,))[0]
PLACES = np.arange(3.0)
SCALE, WEIGHTS = 2.0, {"dense": [np.ones(3), 1.0]}


class Settings:
    scale = 2.0


class Layer:
    __slots__ = ("bias",)

    def __init__(self, bias=1.0):
        self.bias = np.full(3, bias)


class Model:
    """A model with an attribute of each sort."""

    def __init__(self, scale=2.0, bias=1.0, names=("a", "b", "c"), after=np.tanh, powers=(1, 2)):
        self.scale, self.layers, self.settings = np.full(3, scale), [Layer(bias)], {"of": {"names": list(names)}}
        self.after, self.powers = after, set(powers)

    def predict_proba(self, rows):
        places = [sorted(self.settings["of"]["names"]).index(name) for name in self.settings["of"]["names"]]
        return reference.softmax(
            self.after(rows * self.scale + self.layers[0].bias * PLACES * max(self.powers))[:, places]
        )

    def scores(self, rows):
        return 2 * np.log(self.predict_proba(rows))


class Called:
    """An object without attributes."""

    def __call__(self, rows):
        return rows * SCALE


class Inherits(Called):
    pass


def plain(rows, by=PLACES, *, plus=0.0):
    return rows * by + plus


def with_global(rows):
    return rows * SCALE


def with_globals(rows):
    return rows * WEIGHTS["dense"][0]


def through_another(rows):
    return with_global(rows) + 1


def with_module(rows):
    return rows * settings.scale


def with_class(rows):
    return rows * Settings.scale


def with_attribute(rows):
    return rows * with_attribute.scale


with_attribute.scale = 2.0


def closing_over(value):
    return lambda rows: rows * value


def inner(value):
    def outer(rows):
        def one(row):
            return row * value

        return np.stack([one(row) for row in rows])

    return outer


def compiled(expression):
    """Return a function of other code."""
    return eval(f"lambda rows: {expression}", {"np": np})


def other_default(value):
    made = types.FunctionType(plain.__code__, globals(), "plain", (value,))
    made.__kwdefaults__ = {"plus": 0.0}
    return made


class Named(dict):
    """A mapping with an attribute."""

    def __init__(self, scale):
        super().__init__(shift=1.0)
        self.scale = scale

    def __call__(self, rows):
        return rows * self.scale + self["shift"]


def sparse(scale):
    weights = scipy.sparse.csr_array(np.diag([1.0, scale, 3.0]))
    return lambda rows: rows @ weights


def table(scale):
    weights = pd.DataFrame({"a": [1.0, 2.0, scale], "b": [3.0, 1.0, 2.0]}, index=list("xyz"))
    return lambda rows: rows @ weights.to_numpy()


def categories(order):
    names = pd.Categorical(["a", "b", "c"], categories=list(order))
    return lambda rows: rows * names.codes


CHANGES = {
    "an attribute of a mapping": (Named(2.0), Named(3.0)),
    "a sparse matrix": (sparse(2.0), sparse(3.0)),
    "a table": (table(2.0), table(3.0)),
    "the order of categories": (categories("abc"), categories("cab")),
    "an array": (Model(), Model(scale=3.0)),
    "an array of an object in a list": (Model(), Model(bias=2.0)),
    "text in a dict in a dict": (Model(), Model(names=("a", "c", "b"))),
    "a function": (Model(), Model(after=np.sin)),
    "a function of one's own": (Model(after=lambda rows: rows), Model(after=lambda rows: rows * 2)),
    "a set": (Model(), Model(powers=(1, 3))),
    "the object of a method": (Model().scores, Model(scale=3.0).scores),
    "another method": (Model().scores, Model().predict_proba),
    "a variable of a closure": (closing_over(2.0), closing_over(3.0)),
    "an array of a closure": (closing_over(np.arange(3.0)), closing_over(np.arange(3.0)[::-1].copy())),
    "an object of a closure": (closing_over(Model().scale), closing_over(Model(scale=3.0).scale)),
    "a variable of a function in it": (inner(2.0), inner(3.0)),
    "a partial's argument": (functools.partial(np.multiply, 2.0), functools.partial(np.multiply, 3.0)),
    "a partial's keyword": (functools.partial(plain, plus=PLACES), functools.partial(plain, plus=PLACES * 2)),
    "a partial's function": (functools.partial(np.multiply, PLACES), functools.partial(np.add, PLACES)),
    "a default": (other_default(PLACES), other_default(PLACES * 2)),
    "code": (compiled("rows * 2"), compiled("rows + 2 * rows**2")),
    "a constant in code": (compiled("rows * 2"), compiled("rows * 3")),
    "a name in code": (compiled("np.sin(rows)"), compiled("np.cos(rows)")),
    "a function in code": (compiled("np.array(list(map(lambda row: row * 2, rows)))"),
                           compiled("np.array(list(map(lambda row: row * 3, rows)))")),
    "a function in numpy.vectorize": (np.vectorize(compiled("rows * 2")), np.vectorize(compiled("rows * 3"))),
}  # fmt: skip


def run(model, path):
    made = FirstOrderDataGenerator(model, backend="numpy")
    return made.generate_distributions(INPUTS, out=path, progress=False)


def call(model):
    return getattr(model, "predict_proba", model)(INPUTS)


REFUSED = "model digest: the store has 'sha256:"


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(tmp_path, change):
    model, changed = CHANGES[change]
    assert not np.array_equal(call(model), call(changed)), "the change matters"
    run(model, tmp_path / "a.fod")
    with pytest.raises(StoreError, match=REFUSED):
        run(changed, tmp_path / "a.fod")


ELSEWHERE = {
    "a global": (with_global, globals(), "SCALE", 3.0),
    "an array of a global": (with_globals, WEIGHTS, "dense", [np.ones(3) * 2, 1.0]),
    "a global of a function that it calls": (through_another, globals(), "SCALE", 3.0),
    "a module's number": (with_module, vars(settings), "scale", 3.0),
    "a function's attribute": (with_attribute, vars(with_attribute), "scale", 3.0),
    "a global of an object without attributes": (Called(), globals(), "SCALE", 3.0),
    "a global of its base": (Inherits(), globals(), "SCALE", 3.0),
}


@pytest.mark.parametrize("change", ELSEWHERE)
def test_what_a_function_reads_elsewhere_counts(tmp_path, monkeypatch, change):
    model, place, name, value = ELSEWHERE[change]
    first = run(model, tmp_path / "a.fod")
    monkeypatch.setitem(place, name, value)
    with pytest.raises(StoreError, match=REFUSED):
        run(model, tmp_path / "a.fod")
    monkeypatch.undo()
    assert run(model, tmp_path / "a.fod") == first


def test_a_class_that_a_function_reads_counts(tmp_path, monkeypatch):
    run(with_class, tmp_path / "a.fod")
    monkeypatch.setattr(Settings, "scale", 3.0)
    with pytest.raises(StoreError, match=REFUSED):
        run(with_class, tmp_path / "a.fod")


def test_the_code_of_an_object_without_attributes_counts(tmp_path, monkeypatch):
    run(Called(), tmp_path / "a.fod")
    monkeypatch.setattr(Called, "__call__", lambda self, rows: rows * 3)
    with pytest.raises(StoreError, match=REFUSED):
        run(Called(), tmp_path / "a.fod")


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(Model, "predict_proba", lambda self, rows: reference.softmax(-rows)),
        lambda patch: patch.setitem(globals(), "PLACES", np.arange(3.0) * 2),
        lambda patch: patch.setattr(reference, "softmax", lambda rows: np.full(rows.shape, 1 / 3)),
    ],
    ids=["code", "a global", "a library"],
)
def test_what_methods_do_and_read_is_probed(tmp_path, monkeypatch, change):
    """A class may have much that has nothing to do with its rows: its code is not looked at, its attributes are."""
    run(Model(), tmp_path / "a.fod")
    change(monkeypatch)
    with pytest.raises(StoreError, match="the model or its preprocessing has changed"):
        run(Model(), tmp_path / "a.fod")


class Engine:
    """A model in C, as libraries of inference have them."""

    def __init__(self, scale):
        self.handle = ctypes.pointer(ctypes.c_double(scale))

    def __call__(self, rows):
        return rows * self.handle.contents.value


def test_an_object_in_c_is_not_seen_but_probed(tmp_path):
    # The type of such a pointer is of whoever asked for it first in a process.
    assert re.search(r"not seen: (\w+\.)*LP_c_double$", digest_state(Engine(2.0)))
    assert digest_state(Engine(2.0).handle) == "not seen"
    run(Engine(2.0), tmp_path / "a.fod")
    with pytest.raises(StoreError, match="the model or its preprocessing has changed"):
        run(Engine(3.0), tmp_path / "a.fod")


def test_what_counts_calls_changes_nothing():
    def counting(rows):
        counting.calls = getattr(counting, "calls", 0) + 1
        Settings.calls = getattr(Settings, "calls", 0) + 1
        return rows

    first = digest_state(counting)
    counting(INPUTS)
    assert digest_state(counting) == first
