"""The caching wrapper of the examples: what it remembers is right, and what it cannot see it does not remember."""

import functools
import logging

import numpy as np
import pytest

from probly.data_generator.hookspecs import hookimpl
from tests.conftest import BACKENDS
from tests.discovery import models
from tests.discovery.models import ByName, Filled, First, Halved, Linear, Named, Several, generator, inputs, plain_rows


def test_the_second_run_comes_from_the_cache(installed):
    model, data = Linear(), inputs()
    cached = generator(model, "forward-cache")
    before = Linear.calls
    first = cached.generate_distributions(data)
    assert Linear.calls - before == 5
    assert cached.generate_distributions(data) == first
    assert Linear.calls - before == 5, "the model was called again"
    assert first == plain_rows(model, data)


def test_half_known_data_call_the_model_half_as_often(installed):
    model, data = Linear(), inputs()
    cached = generator(model, "forward-cache", "timing")
    cached.generate_distributions(data)
    mixed = np.concatenate([data[:16], inputs(16, seed=2)])
    before = Linear.calls
    rows = cached.generate_distributions(mixed)
    assert Linear.calls - before == 2
    assert rows == plain_rows(model, mixed)
    assert cached.backend.wrappers[1].calls["forward"] == 9, "the wrapper outside sees every call"


def test_repeated_batches_of_one_run_come_from_the_cache(installed):
    before = Linear.calls
    rows = generator(Linear(), "forward-cache").generate_distributions(np.tile(inputs(8), (5, 1)))
    assert Linear.calls - before == 1
    assert rows == plain_rows(Linear(), np.tile(inputs(8), (5, 1)))


CHANGES = {
    "weights in place": lambda model, made: model.weights.__imul__(2),
    "other weights": lambda model, made: setattr(model, "weights", -model.weights),
    "another model with the same weights": lambda model, made: setattr(made, "model", redefined()),
    "device options": lambda model, made: setattr(made, "device", "host"),
}


def redefined():
    """Return a model with the name and the weights of Linear but other code, as an edited notebook cell gives one."""

    class Twin(Linear):
        def __call__(self, inputs):
            return 2 * super().__call__(inputs)

    Twin.__module__, Twin.__qualname__ = Linear.__module__, "Linear"
    return Twin()


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_answer_is_never_answered_from_the_cache(change, installed, monkeypatch):
    model, data = Linear(), inputs()
    made = generator(model, "forward-cache")
    made.generate_distributions(data)
    CHANGES[change](model, made)
    monkeypatch.setattr(models, "Linear", type(made.model))
    before = First.calls
    rows = made.generate_distributions(data)
    assert First.calls - before == 5
    assert rows == plain_rows(made.model, data)


def test_what_is_made_of_the_scores_is_no_part_of_the_answer(installed):
    model, data = Linear(), inputs()
    made = generator(model, "forward-cache")
    made.generate_distributions(data)
    before = First.calls
    made.output_mode = "auto"
    assert made.generate_distributions(data) == plain_rows(model, data)
    assert First.calls - before == 5, "those of the plain rows"


def test_weights_that_come_back_are_known(installed):
    model, data = Linear(), inputs()
    made = generator(model, "forward-cache")
    first, weights = made.generate_distributions(data), model.weights
    model.weights = -weights
    assert made.generate_distributions(data) != first
    model.weights, before = weights, Linear.calls
    assert made.generate_distributions(data) == first
    assert Linear.calls == before


@pytest.mark.parametrize(
    "change",
    [
        lambda data: np.nextafter(data, np.float32(9)),
        lambda data: data.astype(np.float64),
        lambda data: data[:, ::-1].copy(),
        lambda data: data[:39],
    ],
)
def test_other_inputs_are_never_answered_from_the_cache(change, installed):
    made = generator(Linear(), "forward-cache")
    made.generate_distributions(inputs())
    data = change(inputs())
    np.testing.assert_array_equal(made.generate_distributions(data), plain_rows(Linear(), data))


def test_inputs_are_told_apart_by_name_and_shape(installed):
    left, right = inputs(16), inputs(16, seed=2)
    made = generator(Named(), "forward-cache", batch_size=16, input_getter=lambda sample: sample)
    first = made.generate_distributions({"left": left, "right": right})
    before = Named.calls
    assert made.generate_distributions({"left": left, "right": right}) == first
    assert Named.calls == before
    swapped = made.generate_distributions({"right": left, "left": right})
    assert Named.calls == before + 1
    np.testing.assert_allclose(swapped, plain_rows(Named(), {"left": right, "right": left}, batch_size=16))


def test_masked_arrays_are_not_cached(installed):
    """Two of them may differ in their mask alone, which their bytes do not show."""
    made = generator(Filled(), "forward-cache")
    masked = np.ma.array(inputs(), mask=np.zeros((40, 5), bool))
    before = Linear.calls
    first = made.generate_distributions(masked)
    assert made.generate_distributions(masked) == first
    assert Linear.calls - before == 10


def test_tables_and_functions_are_not_cached(installed, caplog):
    import pandas as pd

    caplog.set_level(logging.INFO, "first_order_forward_cache")
    columns = [pd.DataFrame(inputs(8), columns=list(names)) for names in ("abcde", "edcba")]

    made = generator(ByName(), "forward-cache")
    for table in columns:
        assert made.generate_distributions(table) == plain_rows(ByName(), table)
    calls = []
    made = generator(lambda batch: calls.append(1) or batch, "forward-cache")
    for _ in range(2):
        made.generate_distributions(inputs(8))
    assert len(calls) == 2, "what a function refers to cannot be seen"
    assert "cannot be seen" in caplog.text


def test_scores_in_half_precision_are_not_cached(installed):
    """On the host they are float32, and would no longer be treated as what they are."""
    made = generator(Halved(), "forward-cache", output_mode="probs")
    rows = Linear()(inputs(8))
    rows = (np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)).astype(np.float32)
    before = First.calls
    for _ in range(2):
        np.testing.assert_allclose(made.generate_distributions(rows), rows, atol=1e-3)
    assert First.calls - before == 2


def test_outputs_for_an_output_transform_are_not_cached(installed):
    made = generator(Several(), "forward-cache", output_transform=lambda raw: np.exp(raw["scores"]) * 0 + 1 / 3)
    for _ in range(2):
        assert made.generate_distributions(inputs(8)).probabilities.shape == (8, 3)


def test_rows_that_somebody_overwrites_are_remembered_as_they_were(installed):
    class Spoils:
        @hookimpl(wrapper=True)
        def forward(self):
            answer = yield
            given = answer.copy()
            answer[:] = 0
            return given

    made = generator(Linear(), "forward-cache", Spoils())
    first = made.generate_distributions(inputs())
    for _ in range(2):  # nor does what was given out go back into the cache
        assert made.generate_distributions(inputs()) == first


def test_the_cache_keeps_to_its_memory_and_drops_what_was_used_longest_ago(installed):
    import first_order_forward_cache

    small = functools.partial(first_order_forward_cache.ForwardCache, max_bytes=2 * 8 * 3 * 4)
    made = generator(Linear(), small)
    cache = made.backend.wrappers[0]
    first, second, third = inputs(8, 1), inputs(8, 2), inputs(8, 3)
    for batch in (first, second, first, third):  # the second one is dropped
        made.generate_distributions(batch)
        assert cache.bytes == sum(rows.nbytes for rows in cache.rows.values()) <= cache.max_bytes
    before = Linear.calls
    made.generate_distributions(first)
    assert Linear.calls == before
    made.generate_distributions(second)
    assert Linear.calls == before + 1
    cache.clear()
    made.generate_distributions(second)
    assert Linear.calls == before + 2
    nothing = generator(Linear(), functools.partial(first_order_forward_cache.ForwardCache, max_bytes=0))
    assert nothing.generate_distributions(first) == plain_rows(Linear(), first)
    assert nothing.backend.wrappers[0].bytes == 0


def test_a_model_that_reuses_its_memory_spoils_no_remembered_row(installed):
    class Reusing(Linear):
        def __init__(self):
            super().__init__()
            self.memory = np.empty((8, 3), np.float32)

        def __call__(self, batch):
            rows = np.exp(batch @ self.weights)
            self.memory[:] = rows / rows.sum(axis=1, keepdims=True)
            return self.memory

    Reusing.__qualname__ = "Reusing"
    globals()["Reusing"] = Reusing
    model, data = Reusing(), inputs()
    made = generator(model, "forward-cache", output_mode="probs")
    first = made.generate_distributions(data)
    again = made.generate_distributions(data)
    np.testing.assert_array_equal(first, plain_rows(model, data, output_mode="probs"))
    np.testing.assert_array_equal(again, first)


if "torch" in BACKENDS:

    def torch_model():
        import torch

        class Counting(torch.nn.Sequential):
            calls = 0
            temperature = 1.0

            def forward(self, batch):
                Counting.calls += 1
                return super().forward(batch) / self.temperature

        Counting.__qualname__ = "Counting"
        globals()["Counting"] = Counting
        torch.manual_seed(0)
        return Counting(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))

    TORCH_CHANGES = {
        "an optimizer's step": lambda model: model[0].weight.data.add_(1.0),
        "an attribute": lambda model: setattr(model, "temperature", 3.0),
        "a submodule": lambda model: model.__setitem__(1, __import__("torch").nn.Tanh()),
    }

    @pytest.mark.parametrize("change", TORCH_CHANGES)
    def test_both_wrappers_on_torch(change, installed, caplog):
        caplog.set_level(logging.INFO, "first_order_timing")
        model, data = torch_model(), inputs()
        made = generator(model, "forward-cache", "timing", backend="torch")
        first = made.generate_distributions(data)
        called = model.calls
        assert made.generate_distributions(data) == first
        assert model.calls == called, "the model was called again"
        mixed = np.concatenate([data[:16], inputs(16, seed=2)])
        before = type(model).calls
        rows = made.generate_distributions(mixed)
        assert type(model).calls - before == 2
        assert rows == plain_rows(model, mixed, backend="torch")
        TORCH_CHANGES[change](model)
        changed = made.generate_distributions(data)
        assert changed != first
        assert changed == plain_rows(model, data, backend="torch")
        assert {"load_model", "iterate_batches", "next batch", "to_device", "forward", "to_device host"} <= {
            record.args[0] for record in caplog.records
        }
