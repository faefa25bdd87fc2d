"""Backends whose ``iterate_batches`` breaks a promise."""

import numpy as np

from probly.data_generator.discovery import defaults
from probly.data_generator.hookspecs import hookimpl
from tests.testing.misbehaving.honest import Honest

STARTS = "test_a_late_start_and_an_early_stop_keep_the_indices"


def after_batches(change):
    """Return a backend that changes its batches."""

    class Changed(Honest):
        @hookimpl
        def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
            return change(
                defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)
            )

    return Changed()


def last_batch_dropped(batches):
    kept = list(batches)
    return iter(kept[:-1] if len(kept) > 1 else kept)


def without_nests(batches):
    return (batch._replace(inputs={**batch.inputs, "b": batch.inputs["b"][:1]}) for batch in batches)


def with_labels_lost(batches):
    return (batch._replace(columns={}) for batch in batches)


def with_indices_moved(batches):
    return (batch._replace(indices=batch.indices + 1) for batch in batches)


def in_order_of_arrival(batches):
    start = 0
    for batch in batches:
        yield batch._replace(indices=np.arange(start, start + len(batch.indices)))
        start += len(batch.indices)


def in_another_column(batches):
    return (batch._replace(columns={"targets": batch.labels}) for batch in batches)


class IgnoresInputGetter(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, index_getter, batched, start, stop):
        return defaults.iterate_batches(dataset, batch_size, None, index_getter, batched, start, stop, None)


class IgnoresIndexGetter(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, batched, start, stop):
        return defaults.iterate_batches(dataset, batch_size, input_getter, None, batched, start, stop, None)


class IgnoresLabelGetter(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter):
        return defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)


class CountsFromTheStart(Honest):
    """Begins late, but counts from 0."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
        batches = defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)
        return (batch._replace(indices=batch.indices - start) for batch in batches)


class IgnoresStop(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start):
        return defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, None, None)


class StopsAtBatches(Honest):
    """Leaves out whole batches only."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
        stop = None if stop is None else -(-stop // batch_size) * batch_size
        return defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)


class ReadsPastStop(Honest):
    """Reads a batch whole and cuts it afterwards."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
        for batch in defaults.iterate_batches(
            dataset, batch_size, input_getter, index_getter, batched, start, None, None
        ):
            rows = len(batch.indices) if stop is None else int(np.count_nonzero(batch.indices < stop))
            if not rows:
                return
            columns = {name: column[:rows] for name, column in batch.columns.items()}
            yield batch._replace(indices=batch.indices[:rows], inputs=batch.inputs[:rows], columns=columns)


class ChecksLate(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
        yield from defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)


class NormalisesInputs(Honest):
    """Works on the caller's own array."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
        inputs = dataset[0]
        inputs -= inputs.mean()
        return defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)


class RestoresAtTheEnd(Honest):
    """Gives the model back only if nothing fails."""

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, model, start, stop):
        def batches():
            model.source.weights.first[:] *= 2
            yield from defaults.iterate_batches(
                dataset, batch_size, input_getter, index_getter, batched, start, stop, None
            )
            model.source.weights.first[:] /= 2

        return batches()


class RefusesEmptyData(Honest):
    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop):
        assert len(dataset[0]), "no data"
        return defaults.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, None)


class ForgetsItsAnswer(Honest):
    @hookimpl
    def iterate_batches(self, dataset):
        return None


BACKENDS = {
    "labels-lost": (after_batches(with_labels_lost), "test_rows_agree_with_the_reference", ("dataset",)),
    "labels-elsewhere": (after_batches(in_another_column), "test_rows_agree_with_the_reference", ("arrays",)),
    "indices-moved": (after_batches(with_indices_moved), "test_rows_agree_with_the_reference", ("loader",)),
    "no-batches": (ForgetsItsAnswer(), "test_rows_agree_with_the_reference", ("dataset",)),
    "drop-last": (after_batches(last_batch_dropped), "test_any_batch_size_gives_the_same_rows", (7, 3)),
    "no-empty": (RefusesEmptyData(), "test_empty_data_gives_an_empty_result", ()),
    "arrival": (
        after_batches(in_order_of_arrival),
        "test_a_shuffled_loader_lands_under_the_right_index_or_is_refused",
        (),
    ),
    "no-getter": (IgnoresInputGetter(), "test_input_getter_picks_the_input_of_a_sample_and_of_a_batch", ()),
    "no-index-getter": (IgnoresIndexGetter(), "test_index_getter_says_where_a_row_belongs", ()),
    "no-label-getter": (IgnoresLabelGetter(), "test_label_getter_picks_the_label_of_a_sample_and_of_a_batch", ()),
    "counts-from-start": (CountsFromTheStart(), STARTS, ("dataset", None)),
    "no-stop": (IgnoresStop(), STARTS, ("arrays", 8)),
    "stops-late": (StopsAtBatches(), STARTS, ("loader", 7)),
    "reads-past-stop": (ReadsPastStop(), "test_nothing_is_read_from_the_stop_on", ("sequence",)),
    "pulls-past-stop": (ReadsPastStop(), "test_nothing_is_read_from_the_stop_on", ("iterable",)),
    "flat": (after_batches(without_nests), "test_nested_samples_become_nested_batches", ()),
    "checks-late": (ChecksLate(), "test_bad_arguments_are_refused_before_the_first_batch", ()),
    "normalises-inputs": (NormalisesInputs(), "test_inputs_are_not_changed", ("arrays",)),
    "restores-late": (RestoresAtTheEnd(), "test_the_model_is_given_back_as_it_was", ("failed",)),
}
