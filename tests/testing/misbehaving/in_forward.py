"""Backends whose ``forward`` breaks a promise: it changes what the model returned, or how it is called."""

import importlib

import numpy as np

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.numpy_backend import backend as honest
from probly.data_generator.testing import reference
from probly.data_generator.toolkit.outputs import pick_scores
from tests.testing.misbehaving.honest import Honest, WithGraph

OUTPUTS = "test_forward_returns_the_models_own_outputs"
RANDOM = np.random.default_rng(0)


def after_forward(change):
    """Return a backend that changes what the model returned, if it is an array."""

    class Changed(Honest):
        @hookimpl
        def forward(self, model, inputs, batch_size):
            outputs = honest.forward(model, inputs, batch_size)
            return change(outputs) if isinstance(outputs, np.ndarray) else outputs

    return Changed()


def in_place_of_outputs(change):
    """Return a backend that changes what the model returned, whatever it is."""

    class Changed(Honest):
        @hookimpl
        def forward(self, model, inputs, batch_size):
            return change(model.function(inputs))

    return Changed()


def renormalised(rows):
    return rows / rows.sum(axis=-1, keepdims=True)


def first_value(outputs):
    """Take whatever comes first out of a container."""
    return next(iter(outputs.values())) if isinstance(outputs, dict) else outputs


class Trains(Honest):
    @hookimpl
    def forward(self, model, inputs, batch_size):
        model.source.weights.first[0] += 1
        return honest.forward(model, inputs, batch_size)


class KeepsGraph(Honest):
    @hookimpl
    def forward(self, model, inputs, batch_size):
        return np.asarray(honest.forward(model, inputs, batch_size)).view(WithGraph)


class LooksTwice(Honest):
    """Calls the model once to see what it returns."""

    @hookimpl
    def forward(self, model, inputs, batch_size):
        model.function(inputs.copy())
        return honest.forward(model, inputs, batch_size)


class LooksTwiceAtTheFirst(Honest):
    seen = False

    @hookimpl
    def load_model(self, source, device):
        self.seen = False
        return honest.load_model(source, device)

    @hookimpl
    def forward(self, model, inputs, batch_size):
        if not self.seen:
            self.seen = True
            model.function(inputs.copy())
        return honest.forward(model, inputs, batch_size)


class CutsAlways(Honest):
    """Picks and cuts although somebody wants all outputs."""

    @hookimpl
    def forward(self, model, inputs, batch_size):
        return pick_scores(model.function(inputs))[: len(inputs)]


class PadsAlways(Honest):
    """Pads although nothing may be cut afterwards."""

    rows = 0

    @hookimpl
    def forward(self, model, inputs, batch_size):
        self.rows = max(self.rows, len(inputs))
        return model.function(np.concatenate([inputs, np.repeat(inputs[-1:], self.rows - len(inputs), axis=0)]))


class ForgetsToCut(Honest):
    @hookimpl
    def forward(self, model, inputs, batch_size):
        missing = max((batch_size or 0) - len(inputs), 0)
        return honest.forward(model, np.concatenate([inputs, np.repeat(inputs[-1:], missing, axis=0)]), batch_size)


class CutsRows(Honest):
    """Hides a wrong row count by cutting or repeating rows."""

    @hookimpl
    def forward(self, model, inputs, batch_size):
        outputs = model.function(inputs)
        return np.resize(outputs, (len(inputs), *outputs.shape[1:])) if isinstance(outputs, np.ndarray) else outputs


class SwallowsErrors(Honest):
    @hookimpl
    def forward(self, model, inputs, batch_size):
        try:
            return honest.forward(model, inputs, batch_size)
        except MemoryError:
            raise
        except Exception:
            return np.full((len(inputs), 2), 0.5, np.float32)


class ForgetsItsAnswer(Honest):
    @hookimpl
    def forward(self, model, inputs, batch_size):
        honest.forward(model, inputs, batch_size)


class HidesOutOfMemory(Honest):
    @hookimpl
    def forward(self, model, inputs, batch_size):
        try:
            return honest.forward(model, inputs, batch_size)
        except MemoryError as error:
            raise RuntimeError("the model failed") from error


class Borrows(Honest):
    """Needs what another backend brings along."""

    @hookimpl
    def forward(self, model, inputs, batch_size):
        importlib.import_module("tiny_framework")
        return honest.forward(model, inputs, batch_size)


BACKENDS = {
    "softmax": (after_forward(reference.softmax), OUTPUTS, ("logits",)),
    "log": (after_forward(lambda rows: np.log(rows + 1)), OUTPUTS, ("probabilities",)),
    "per-batch-mode": (
        after_forward(lambda rows: rows if (rows >= 0).all() else reference.softmax(rows)),
        OUTPUTS,
        ("logits",),
    ),
    "hides-nan": (after_forward(lambda rows: np.nan_to_num(rows, nan=0.25)), OUTPUTS, ("neither",)),
    "hides-negatives": (after_forward(lambda rows: np.maximum(rows, 0)), OUTPUTS, ("neither",)),
    "hides-sums": (after_forward(renormalised), OUTPUTS, ("neither",)),
    "half": (after_forward(lambda rows: rows.astype(np.float16)), OUTPUTS, ("probabilities",)),
    "pads": (ForgetsToCut(), OUTPUTS, ("probabilities",)),
    "wrong": (after_forward(lambda rows: rows[:, ::-1]), "test_rows_agree_with_the_reference", ("arrays",)),
    "pads-and-forgets": (ForgetsToCut(), "test_any_batch_size_gives_the_same_rows", (7, 3)),
    "wrong-unasked": (
        after_forward(lambda rows: rows[:, ::-1]),
        "test_a_run_with_nothing_said_agrees_with_the_reference",
        (),
    ),
    "wrong-cnn": (after_forward(lambda rows: rows[:, ::-1]), "test_cnn_agrees_with_numpy", ()),
    "float16": (after_forward(lambda rows: rows.astype(np.float16)), "test_cnn_agrees_with_numpy", ()),
    "stochastic": (
        after_forward(lambda rows: rows * RANDOM.uniform(0.9, 1, rows.shape)),
        "test_runs_repeat_exactly",
        (),
    ),
    "no-double": (
        after_forward(lambda rows: np.frombuffer(rows.tobytes(), np.float32).reshape(len(rows), -1)[:, ::2]),
        "test_probabilities_of_any_dtype_become_float32",
        (np.float64,),
    ),
    "twice": (LooksTwice(), "test_a_model_is_called_once_per_batch", ("logits",)),
    "twice-transformed": (LooksTwice(), "test_a_model_is_called_once_per_batch", ("transform",)),
    "looks-first": (LooksTwiceAtTheFirst(), "test_a_model_is_called_once_per_batch", ("auto",)),
    "cuts-always": (CutsAlways(), "test_output_transform_gets_all_outputs_of_its_own_rows", ()),
    "pads-always": (PadsAlways(), "test_output_transform_gets_all_outputs_of_its_own_rows", ()),
    "lists": (
        in_place_of_outputs(lambda outputs: list(outputs) if isinstance(outputs, tuple) else outputs),
        "test_output_transform_gets_all_outputs_of_its_own_rows",
        (),
    ),
    "wrong-entry": (
        in_place_of_outputs(lambda outputs: outputs.get("hidden") if isinstance(outputs, dict) else outputs),
        "test_outputs_with_logits_are_unwrapped",
        (),
    ),
    "trains": (Trains(), "test_the_model_is_given_back_as_it_was", ("finished",)),
    "keeps-graph": (KeepsGraph(), "test_no_gradients_are_kept", ("auto",)),
    "keeps-raw-graph": (KeepsGraph(), "test_no_gradients_are_kept", ("transform",)),
    "borrows": (Borrows(), "test_no_other_framework_is_needed", ()),
    "hides-oom": (HidesOutOfMemory(), "test_out_of_memory_in_a_model_is_recognized", ()),
    "cuts-rows": (CutsRows(), "test_a_wrong_row_count_is_refused", ()),
    "cuts-last": (CutsRows(), "test_a_wrong_row_count_in_the_last_batch_is_refused", ()),
    "hides-infinity": (
        after_forward(lambda rows: renormalised(np.nan_to_num(rows, posinf=0.25))),
        "test_a_value_that_is_not_finite_is_refused_with_its_index",
        (np.inf,),
    ),
    "any-container": (
        in_place_of_outputs(first_value),
        "test_another_container_is_refused_with_the_way_out",
        (),
    ),
    "drops-imaginary": (in_place_of_outputs(np.real), "test_complex_outputs_are_refused", ()),
    "flattens": (after_forward(lambda rows: rows.reshape(len(rows), -1)), "test_more_axes_are_refused", ()),
    "swallows": (SwallowsErrors(), "test_a_models_own_error_passes_with_a_note", ()),
    "no-answer": (ForgetsItsAnswer(), "test_rows_agree_with_the_reference", ("arrays",)),
}
