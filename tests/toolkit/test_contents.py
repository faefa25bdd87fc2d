"""What plain objects and functions are known by, and what does not matter."""

import functools
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator.toolkit.digest import digest_files, digest_state, is_seen

WEIGHTS = {"dense": (np.ones((2, 2)), np.zeros(2))}
TEMPERATURE = 2.0
LOG, ARGUMENTS = logging.getLogger("contents"), type("Arguments", (), {"out": "a.fod"})()


class Model:
    """A model with an attribute of each sort, and one that leads back to itself."""

    def __init__(self, scale=1.0, activation=np.tanh, words=("a", "b"), after=None):
        self.scale, self.activation, self.words = scale, activation, list(words)
        self.layers, self.settings, self.me = [np.eye(2), np.ones(2)], {"eps": 1e-3, "of": {1, 2}}, self
        self.after = after or (lambda rows: rows)

    def __call__(self, rows):
        return self.after(self.activation(rows @ self.layers[0]) * self.scale)


def changed(change):
    model = Model()
    change(model)
    return model


CHANGES = {
    "a number": Model(scale=2.0),
    "a function": Model(activation=np.sin),
    "a function of one's own": Model(after=lambda rows: rows + 1),
    "text": Model(words=("a", "c")),
    "an order": Model(words=("b", "a")),
    "an array": changed(lambda model: model.layers[1].__setitem__(0, 2)),
    "a dtype": changed(lambda model: model.layers.__setitem__(1, np.ones(2, np.float32))),
    "a setting": changed(lambda model: model.settings.update(eps=1e-4)),
    "a set": changed(lambda model: model.settings["of"].add(3)),
    "another attribute": changed(lambda model: setattr(model, "more", 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_object_has_another_digest(change):
    assert digest_state(CHANGES[change]) != digest_state(Model())


def test_sharing_and_the_order_of_attributes_do_not_matter():
    ones = np.ones(2)
    assert digest_state([ones, ones]) == digest_state([ones, ones.copy()])
    assert digest_state({"a": 1, "b": 2}) == digest_state({"b": 2, "a": 1})
    assert digest_state(Model()) == digest_state(Model())
    generator = Model()
    generator.random = np.random.default_rng(1)
    other = Model()
    other.random = np.random.default_rng(2)
    assert digest_state(generator) == digest_state(other)


def closing_over(value):
    return lambda rows: rows * value


def test_functions_are_known_by_code_closure_defaults_and_globals(monkeypatch):
    def by_globals(rows):
        return rows @ WEIGHTS["dense"][0] / TEMPERATURE

    first = digest_state(by_globals)
    assert is_seen(first)
    monkeypatch.setitem(globals(), "TEMPERATURE", 3.0)
    assert digest_state(by_globals) != first
    monkeypatch.setitem(globals(), "TEMPERATURE", 2.0)
    assert digest_state(by_globals) == first
    monkeypatch.setitem(WEIGHTS, "dense", (np.ones((2, 2)) * 2, np.zeros(2)))
    assert digest_state(by_globals) != first
    functions = [
        closing_over(1.0), closing_over(2.0), closing_over(np.ones(2)), closing_over(Model()), closing_over(Model(2.0)),
        lambda rows, by=1: rows * by, lambda rows, by=2: rows * by, functools.partial(np.multiply, 2.0),
        functools.partial(np.multiply, 3.0), Model().__call__, Model(2.0).__call__,
    ]  # fmt: skip
    digests = [digest_state(function) for function in functions]
    assert len(set(digests)) == len(digests)
    assert all(map(is_seen, digests))
    assert digest_state(closing_over(Model())) == digest_state(closing_over(Model()))


def test_what_a_function_counts_is_no_part_of_it():
    calls = 0

    def model(rows):
        nonlocal calls
        calls += 1
        return rows

    first = digest_state(model)
    model(1)
    assert digest_state(model) == first


def test_what_cannot_be_seen_is_said():
    model = Model()
    model.lock = threading.Lock()
    assert digest_state(model).endswith(", not seen: _thread.lock")
    assert digest_state(model).partition(",")[0] != digest_state(Model())

    def asking(rows):
        LOG.info(ARGUMENTS.out)
        return rows

    found = digest_state(asking)
    assert found.startswith("not seen, but code sha256:")
    assert found.endswith("not seen: the global ARGUMENTS (Arguments), the global LOG (Logger)")
    for nothing in (len, np.asarray, os.path.join, np.tanh):
        assert not is_seen(digest_state(nothing)), nothing


def test_an_object_that_fails_when_it_is_looked_at_ends_nothing():
    class Hostile:
        def __reduce_ex__(self, protocol):
            raise RuntimeError

    assert not is_seen(digest_state(Hostile()))
    deep = []
    for _ in range(10**5):
        deep = [deep]
    assert digest_state(deep) == "not seen: RecursionError"


def test_digests_are_the_same_in_another_process():
    code = (
        "from tests.toolkit.test_contents import *; print(digest_state(Model()), digest_state(closing_over(WEIGHTS)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == [digest_state(Model()), digest_state(closing_over(WEIGHTS))]


def test_files_are_known_by_their_bytes(tmp_path):
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_bytes(b"one")
    (folder / "b").write_bytes(b"")
    first = digest_files(folder)
    (folder / "inner" / "a").write_bytes(b"two")
    assert digest_files(folder) != first
    (folder / "inner" / "a").write_bytes(b"one")
    assert digest_files(folder) == first
    assert digest_files(folder / "b") != digest_files(folder / "inner" / "a")
