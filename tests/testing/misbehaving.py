"""Backends that each break one promise; the conformance suite must notice every one of them."""

import importlib
from dataclasses import replace

import numpy as np

from probly.data_generator import numpy_backend as honest
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.testing import reference
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.samples import Batch
from tests.frameworks.numpy import TestNumpy as Suite


class Honest:
    """The agnostic backend as an object whose hooks can be replaced one by one."""

    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, device)

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched):
        return honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, 0)

    @hookimpl
    def to_device(self, data, device):
        return honest.to_device(data, device)

    @hookimpl
    def forward(self, model, inputs, output_mode):
        return honest.forward(model, inputs, output_mode, 0)

    @hookimpl
    def posterior_params(self, model):
        return honest.posterior_params(model)

    @hookimpl
    def is_out_of_memory(self, error):
        return honest.is_out_of_memory(error)


def after_forward(change):
    """Return a backend that changes its rows."""

    class Changed(Honest):
        @hookimpl
        def forward(self, model, inputs, output_mode):
            rows = honest.forward(model, inputs, output_mode, 0)
            return rows if output_mode == "raw" else change(rows)

    return Changed()


def after_batches(change):
    """Return a backend that changes its batches."""

    class Changed(Honest):
        @hookimpl
        def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched):
            batches = honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, 0)
            return change(batches)

    return Changed()


def scores_in_place_of_forward(rows_of):
    """Return a backend with its own way from scores to rows."""

    class Changed(Honest):
        @hookimpl
        def forward(self, model, inputs, output_mode):
            outputs = model.function(inputs)
            return outputs if output_mode == "raw" else rows_of(outputs, output_mode)

    return Changed()


def naive_softmax(outputs, output_mode):
    scores = np.asarray(unwrap(outputs), np.float32)
    if output_mode == "probs":
        return scores
    with np.errstate(all="ignore"):
        exponentials = np.exp(scores)
        return exponentials / exponentials.sum(axis=-1, keepdims=True)


def plain_softmax(outputs, output_mode):
    """Softmax without single scores and without half precision."""
    scores = np.asarray(unwrap(outputs))
    return honest.OPERATIONS.softmax(scores.astype(np.float32)) if output_mode == "logits" else scores


def first_value(outputs, output_mode):
    """Take whatever comes first out of a container."""
    if isinstance(outputs, dict):
        outputs = next(iter(outputs.values()))
    return honest.OPERATIONS.softmax(outputs) if output_mode == "logits" else outputs


def renormalised(rows):
    return rows / rows.sum(axis=-1, keepdims=True)


def last_batch_dropped(batches):
    kept = list(batches)
    return iter(kept[:-1] if len(kept) > 1 else kept)


class IgnoresInputGetter(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, index_getter, batched):
        return honest.iterate_batches(dataset, batch_size, None, index_getter, batched, 0)


class IgnoresIndexGetter(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, batched):
        return honest.iterate_batches(dataset, batch_size, input_getter, None, batched, 0)


class CountsFromTheStart(Honest):
    """Begins late, but counts from 0."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start):
        batches = honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start)
        return (batch._replace(indices=batch.indices - start) for batch in batches)


class ChecksLate(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched):
        yield from honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, 0)


class NormalisesInputs(Honest):
    """Works on the caller's own array."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched):
        inputs = dataset[0]
        inputs -= inputs.mean()
        return honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, 0)


class Trains(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        model.source.weights.first[0] += 1
        return honest.forward(model, inputs, output_mode, 0)


class RestoresAtTheEnd(Honest):
    """Gives the model back only if nothing fails."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, model):
        def batches():
            model.source.weights.first[:] *= 2
            yield from honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, 0)
            model.source.weights.first[:] /= 2

        return batches()


class WithGraph(np.ndarray):
    """Stands for an array that remembers what it was computed from."""


class KeepsGraph(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        return np.asarray(honest.forward(model, inputs, output_mode, 0)).view(WithGraph)


BFLOAT16 = np.dtype([("bfloat16", np.uint16)])


def upcast(rows):
    if getattr(rows, "dtype", None) != BFLOAT16:
        return rows
    return (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


class WithBfloat16(Honest):
    """The agnostic backend on a NumPy that has bfloat16."""

    @hookimpl
    def to_device(self, data, device):
        return upcast(data) if device == HOST else honest.to_device(data, device)

    @hookimpl
    def forward(self, model, inputs, output_mode):
        outputs = model.function(inputs)
        if output_mode == "raw" or getattr(outputs, "dtype", None) != BFLOAT16:
            return honest.forward(model, inputs, output_mode, 0)
        return renormalised(upcast(outputs))


class LosesBfloat16(WithBfloat16):
    """Reads the bits as numbers."""

    @hookimpl
    def to_device(self, data, device):
        if device == HOST and getattr(data, "dtype", None) == BFLOAT16:
            return data.view(np.uint16).astype(np.float32)
        return honest.to_device(data, device)


class SharesInputs(Honest):
    @hookimpl
    def to_device(self, data, device):
        return honest.to_device(data, HOST)


class SharesOutputs(Honest):
    @hookimpl
    def to_device(self, data, device):
        return honest.to_device(data, HOST)

    @hookimpl
    def forward(self, model, inputs, output_mode):
        return model.function(inputs)


class RefusesEmptyData(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched):
        assert len(dataset[0]), "no data"
        return honest.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, 0)


class RawIsNotRaw(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        outputs = model.function(inputs)
        return list(outputs) if output_mode == "raw" else honest.forward(model, inputs, output_mode, 0)


class BreaksNests(Honest):
    @hookimpl
    def to_device(self, data, device):
        moved = honest.to_device(data, device)
        if not isinstance(moved, dict):
            return moved
        return {key: list(value) if type(value) is tuple else value for key, value in moved.items()}


class HostIsNotNumpy(Honest):
    @hookimpl
    def to_device(self, data, device):
        moved = honest.to_device(data, device)
        return [memoryview(part) for part in moved] if device == HOST and type(moved) is tuple else moved


class OneHostBuffer(Honest):
    """Uses the same memory for all that comes to the host."""

    memory = np.empty(1000, np.float32)

    @hookimpl
    def to_device(self, data, device):
        moved = honest.to_device(data, device)
        if device != HOST or not isinstance(moved, np.ndarray) or moved.size > len(self.memory):
            return moved
        hosted = self.memory[: moved.size].reshape(moved.shape)
        hosted[:] = moved
        return hosted


class AnyDevice(Honest):
    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, None)


class RecordsAnything(Honest):
    @hookimpl
    def load_model(self, source, device):
        return replace(honest.load_model(source, device), device="somewhere")

    @hookimpl
    def to_device(self, data, device):
        return honest.to_device(data, "cpu" if device == "somewhere" else device)


class ListsAnything(Honest):
    @hookimpl
    def available_devices(self):
        return ["cpu", "gpu:7"]


class ListsItsDevice(Honest):
    @hookimpl
    def available_devices(self):
        return ["cpu"]


class TakesAnyOption(Honest):
    @hookimpl
    def load_model(self, source, device, options):
        return honest.load_model(source, device)


class OptionsOfItsOwn(Honest):
    """Records what no file can hold."""

    @hookimpl
    def load_model(self, source, device):
        class Model:
            function, source, class_names, device = honest.load_model(source, device)
            options = {"precision": object()}  # noqa: RUF012

        return Model


class ClaimsEverything(Honest):
    @hookimpl
    def recognizes(self, model):
        return True


class ClaimsItsOwn(Honest):
    @hookimpl
    def recognizes(self, model):
        return type(model).__name__ == "MLP"


class ForgetsItsDecorator(Honest):
    def weight_digest(self, model):
        return "never called"


class Borrows(Honest):
    """Needs what another backend brings along."""

    @hookimpl
    def forward(self, model, inputs, output_mode):
        importlib.import_module("tiny_framework")
        return honest.forward(model, inputs, output_mode, 0)


class HidesOutOfMemory(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        try:
            return honest.forward(model, inputs, output_mode, 0)
        except MemoryError as error:
            raise RuntimeError("the model failed") from error


class Sigmas(Honest):
    """Takes standard deviations for rho."""

    @hookimpl
    def posterior_params(self, model):
        layers = honest.posterior_params(model)
        return {name: {"mu": pair["mu"], "rho": np.log1p(np.exp(pair["rho"]))} for name, pair in layers.items()}


class FilesOnly(Honest):
    @hookimpl
    def load_model(self, source, device):
        if callable(source) and type(source).__name__ == "function":
            raise TypeError("expected a file as model, got function")
        return honest.load_model(source, device)


class ProbabilitiesOnly(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        if output_mode == "logits":
            raise ValueError("these models return probabilities; set output_mode='probs'")
        return honest.forward(model, inputs, output_mode, 0)


class NeverOutOfMemory(Honest):
    @hookimpl
    def is_out_of_memory(self, error):
        return False


class EmptyPosterior(Honest):
    @hookimpl
    def posterior_params(self, model):
        return {}


class CutsRows(Honest):
    """Hides a wrong row count by cutting or repeating rows."""

    @hookimpl
    def forward(self, model, inputs, output_mode):
        outputs = model.function(inputs)
        if not isinstance(outputs, np.ndarray):
            return honest.forward(model, inputs, output_mode, 0)
        outputs = np.resize(outputs, (len(inputs), *outputs.shape[1:]))
        if output_mode == "raw":
            return outputs
        return honest.forward(replace(model, function=lambda _: outputs), inputs, output_mode, 0)


class SwallowsErrors(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        try:
            return honest.forward(model, inputs, output_mode, 0)
        except MemoryError:
            raise
        except Exception:
            return np.full((len(inputs), 2), 0.5, np.float32)


class DefaultsToFloat16(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        rows = honest.forward(model, inputs, output_mode, 0)
        return rows if output_mode == "raw" else rows.astype(np.float16).astype(np.float32)


class ListsInsteadOfArrays(Honest):
    @hookimpl
    def forward(self, model, inputs, output_mode):
        rows = honest.forward(model, inputs, output_mode, 0)
        return rows if output_mode == "raw" else rows.tolist()


def softmax_in_half(outputs, output_mode):
    scores = np.asarray(unwrap(outputs))
    return honest.OPERATIONS.softmax(scores).astype(np.float32) if output_mode == "logits" else scores


def without_nests(batches):
    return (batch._replace(inputs={**batch.inputs, "b": batch.inputs["b"][:1]}) for batch in batches)


def with_labels_lost(batches):
    return (Batch(batch.indices, batch.inputs, None) for batch in batches)


def with_indices_moved(batches):
    return (Batch(batch.indices + 1, batch.inputs, batch.labels) for batch in batches)


def in_order_of_arrival(batches):
    start = 0
    for batch in batches:
        yield Batch(np.arange(start, start + len(batch.indices)), batch.inputs, batch.labels)
        start += len(batch.indices)


class Dummies(Suite):
    """The suite on these backends, with what NumPy itself does not have."""

    def bfloat16(self, example):
        return lambda batch: (reference.bfloat16(batch).view(np.uint32) >> 16).astype(np.uint16).view(BFLOAT16)

    def keeps_gradients(self, array):
        return isinstance(array, WithGraph)


RANDOM = np.random.default_rng(0)

# Those that pass: the plain one, and some with what it does not have.
HONEST = {
    "honest": Honest(),
    "has-bfloat16": WithBfloat16(),
    "lists-its-device": ListsItsDevice(),
    "claims-its-own": ClaimsItsOwn(),
    "files-only": FilesOnly(),
    "probabilities-only": ProbabilitiesOnly(),
}

# The backend that must fail, the name of a check in the suite, and its arguments.
BACKENDS = {
    "no-softmax": (after_forward(np.log), "test_mlp_agrees_with_numpy", ("arrays",)),
    "labels-lost": (after_batches(with_labels_lost), "test_mlp_agrees_with_numpy", ("dataset",)),
    "indices-moved": (after_batches(with_indices_moved), "test_mlp_agrees_with_numpy", ("loader",)),
    "wrong-cnn": (after_forward(lambda rows: rows[:, ::-1]), "test_cnn_agrees_with_numpy", ()),
    "float16": (DefaultsToFloat16(), "test_cnn_agrees_with_numpy", ()),
    "drop-last": (after_batches(last_batch_dropped), "test_any_batch_size_gives_the_same_rows", (7, 3)),
    "no-empty": (RefusesEmptyData(), "test_empty_data_gives_an_empty_result", ()),
    "stochastic": (
        after_forward(lambda rows: renormalised(rows * RANDOM.uniform(0.9, 1, rows.shape)).astype(np.float32)),
        "test_runs_repeat_exactly",
        (),
    ),
    "arrival": (
        after_batches(in_order_of_arrival),
        "test_a_shuffled_loader_lands_under_the_right_index_or_is_refused",
        (),
    ),
    "no-getter": (IgnoresInputGetter(), "test_input_getter_picks_the_input_of_a_sample_and_of_a_batch", ()),
    "in-place": (SharesInputs(), "test_a_model_that_works_in_place_changes_nothing", ("auto",)),
    "normalises-inputs": (NormalisesInputs(), "test_inputs_are_not_changed", ("arrays",)),
    "trains": (Trains(), "test_the_model_is_given_back_as_it_was", ("finished",)),
    "restores-late": (RestoresAtTheEnd(), "test_the_model_is_given_back_as_it_was", ("failed",)),
    "keeps-graph": (KeepsGraph(), "test_no_gradients_are_kept", ("auto",)),
    "keeps-raw-graph": (KeepsGraph(), "test_no_gradients_are_kept", ("raw",)),
    "sigmas": (Sigmas(), "test_the_posterior_of_a_bayesian_layer_is_its_mu_and_rho", ()),
    "no-index-getter": (IgnoresIndexGetter(), "test_index_getter_says_where_a_row_belongs", ()),
    "counts-from-start": (CountsFromTheStart(), "test_a_late_start_keeps_the_indices", ("dataset",)),
    "flat": (after_batches(without_nests), "test_nested_samples_become_nested_batches", ()),
    "checks-late": (ChecksLate(), "test_bad_arguments_are_refused_before_the_first_batch", ()),
    "loses-bfloat16": (LosesBfloat16(), "test_bfloat16_is_upcast", ()),
    "records-anything": (RecordsAnything(), "test_the_best_device_is_found_and_recorded", ()),
    "lists-anything": (ListsAnything(), "test_the_devices_that_are_listed_are_there", ()),
    "takes-any-option": (TakesAnyOption(), "test_unknown_options_are_refused", ()),
    "own-options": (OptionsOfItsOwn(), "test_metadata_says_where_the_rows_come_from", ()),
    "claims-everything": (ClaimsEverything(), "test_only_its_own_models_are_recognized", ()),
    "undecorated": (ForgetsItsDecorator(), "test_hooks_have_the_arguments_of_their_specifications", ()),
    "borrows": (Borrows(), "test_no_other_framework_is_needed", ()),
    "eager": (Honest(), "test_the_backend_is_listed_and_loading_imports_no_framework", ()),
    "hides-oom": (HidesOutOfMemory(), "test_out_of_memory_in_a_model_is_recognized", ()),
    "shares-outputs": (SharesOutputs(), "test_a_model_may_reuse_the_memory_of_its_outputs", ("transform",)),
    "shares-rows": (SharesOutputs(), "test_a_model_may_reuse_the_memory_of_its_outputs", ("probs",)),
    "naive": (scores_in_place_of_forward(naive_softmax), "test_softmax_is_stable", (1000.0,)),
    "always-logits": (
        after_forward(honest.OPERATIONS.softmax),
        "test_auto_recognizes_probabilities",
        (),
    ),
    "no-binary": (scores_in_place_of_forward(plain_softmax), "test_single_logits_become_two_columns", ((9,),)),
    "no-score": (scores_in_place_of_forward(plain_softmax), "test_single_probabilities_become_two_columns", ((9,),)),
    "no-half": (
        scores_in_place_of_forward(plain_softmax),
        "test_probabilities_of_any_dtype_become_float32",
        (np.float16,),
    ),
    "half-softmax": (
        scores_in_place_of_forward(softmax_in_half),
        "test_logits_of_any_dtype_become_float32",
        (np.float16,),
    ),
    "double": (
        after_forward(lambda rows: rows.astype(np.float64)),
        "test_logits_of_any_dtype_become_float32",
        (np.float64,),
    ),
    "no-unwrap": (
        scores_in_place_of_forward(lambda outputs, mode: outputs),
        "test_outputs_with_logits_are_unwrapped",
        (),
    ),
    "raw-changed": (RawIsNotRaw(), "test_output_transform_gets_the_raw_outputs", ()),
    "lists": (ListsInsteadOfArrays(), "test_to_probs_returns_the_frameworks_array", ()),
    "nests": (BreaksNests(), "test_to_device_keeps_nests", ()),
    "no-host": (HostIsNotNumpy(), "test_to_host_gives_numpy", (np.float32,)),
    "one-buffer": (OneHostBuffer(), "test_what_came_to_the_host_stays_as_it_is", ()),
    "any-device": (AnyDevice(), "test_an_unavailable_device_is_refused_with_the_list", ()),
    "no-oom": (NeverOutOfMemory(), "test_out_of_memory_halves_the_batch", ()),
    "no-posterior": (EmptyPosterior(), "test_a_model_without_bayesian_layers_has_no_posterior", ()),
    "cuts-rows": (CutsRows(), "test_a_wrong_row_count_is_refused", ()),
    "cuts-last": (CutsRows(), "test_a_wrong_row_count_in_the_last_batch_is_refused", ()),
    "hides-nan": (
        after_forward(lambda rows: renormalised(np.nan_to_num(rows, nan=0.25))),
        "test_a_value_that_is_not_finite_is_refused_with_its_index",
        (np.nan,),
    ),
    "hides-nan-logits": (
        after_forward(lambda rows: renormalised(np.nan_to_num(rows, nan=0.25))),
        "test_a_logit_that_is_not_finite_is_refused_with_its_index",
        (np.inf,),
    ),
    "hides-negatives": (
        after_forward(lambda rows: renormalised(np.maximum(rows, 0))),
        "test_negative_probabilities_are_refused_with_their_index",
        (),
    ),
    "hides-sums": (after_forward(renormalised), "test_probabilities_that_do_not_sum_to_one_are_refused", ()),
    "per-batch-mode": (
        after_forward(lambda rows: rows if (rows >= 0).all() else honest.OPERATIONS.softmax(rows)),
        "test_auto_refuses_scores_after_probabilities",
        (),
    ),
    "hides-probs": (
        after_forward(lambda rows: np.full_like(rows, 2.0) if np.ptp(rows) == 0 and len(rows) < 4 else rows),
        "test_auto_refuses_probabilities_after_logits",
        (),
    ),
    "any-container": (
        scores_in_place_of_forward(first_value),
        "test_another_container_is_refused_with_the_way_out",
        (),
    ),
    "drops-imaginary": (
        scores_in_place_of_forward(lambda outputs, mode: np.real(outputs)),
        "test_complex_outputs_are_refused",
        ("probs",),
    ),
    "flattens": (
        after_forward(lambda rows: rows.reshape(len(rows), -1)),
        "test_more_axes_are_refused",
        (),
    ),
    "swallows": (SwallowsErrors(), "test_a_models_own_error_passes_with_a_note", ()),
}


# The honest backend of checks on what the plain one does not have.
INSTEAD = {
    "loses-bfloat16": "has-bfloat16",
    "lists-anything": "lists-its-device",
    "claims-everything": "claims-its-own",
}


def __getattr__(name):
    """Resolve the entry points, whose names are attributes of this module."""
    key = name.removeprefix("backend_").replace("_", "-")
    if not name.startswith("backend_") or key not in {**BACKENDS, **HONEST}:
        raise AttributeError(name)
    if key == "eager":
        importlib.import_module("tiny_framework")
    return HONEST[key] if key in HONEST else BACKENDS[key][0]
