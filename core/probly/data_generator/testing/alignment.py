"""The part of the suite that asks whether each row lands under its own index."""

import warnings
from typing import Any

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.suite import Suite, assert_rows, positions
from probly.data_generator.toolkit.nests import map_leaves


class AlignmentChecks(Suite):
    """Order, indices, labels and the inputs that the user picks."""

    def test_a_shuffled_loader_lands_under_the_right_index_or_is_refused(self) -> None:
        model, inputs, expected = self.classifier()
        labels = positions(inputs)
        loader = self.shuffled_loader(inputs, labels, 8)
        try:
            distributions = self.run(model, loader)
        except ValueError as error:
            assert "index" in str(error)  # noqa: PT017  # refusing is right where nothing can know the indices
            return
        assert_rows(distributions, expected)
        np.testing.assert_array_equal(distributions.labels, labels)

    def test_index_getter_says_where_a_row_belongs(self) -> None:
        model, inputs, expected = self.classifier()
        order = np.random.default_rng(0).permutation(10)
        samples = [(inputs[index], int(index)) for index in order]
        distributions = self.run(model, samples, index_getter=lambda sample: sample[1], batch_size=4)
        np.testing.assert_array_equal(np.sort(distributions.indices), np.arange(10))
        for index in range(10):
            np.testing.assert_allclose(distributions[index], expected[index], rtol=0, atol=1e-6)

    def test_input_getter_picks_the_input_of_a_sample_and_of_a_batch(self) -> None:
        model, inputs, expected = self.classifier()
        first, second = inputs[:10], inputs[10:20]
        for source in (self.dataset(first, second), self.loader(first, second, 4)):
            with warnings.catch_warnings():
                # The part that is the input is no label, and the run says so.
                warnings.filterwarnings("ignore", "input_getter is set and label_getter is not")
                distributions = self.run(model, source, input_getter=lambda pair: pair[1])
            assert_rows(distributions, expected[10:20])

    def test_label_getter_picks_the_label_of_a_sample_and_of_a_batch(self) -> None:
        """Where the backend takes one; the generator refuses it elsewhere."""
        hooks = self.hook.iterate_batches.get_hookimpls()
        if not any("label_getter" in hook.argnames for hook in hooks):
            return
        model, inputs, expected = self.classifier()
        first, second = inputs[:10], positions(inputs[:10])
        for source in (self.dataset(first, second), self.loader(first, second, 4)):
            distributions = self.run(model, source, label_getter=lambda pair: pair[1] + 7)
            assert_rows(distributions, expected[:10])
            np.testing.assert_array_equal(distributions.labels, positions(inputs[:10]) + 7)

    @pytest.mark.parametrize("source", ["arrays", "dataset", "loader"])
    @pytest.mark.parametrize("stop", [None, 7, 8, 100])
    def test_a_late_start_and_an_early_stop_keep_the_indices(self, source: str, stop: int | None) -> None:
        """Rows before the start may come again, in their places; none comes from the stop on."""
        inputs, labels = reference.samples(rows=10)
        found = []
        for batch in self._batches(self.source(source, inputs, labels, 4), batch_size=4, start=4, stop=stop):
            hosted = self._hosted(batch)
            np.testing.assert_array_equal(hosted.inputs, inputs[hosted.indices])
            np.testing.assert_array_equal(hosted.labels, labels[hosted.indices])
            found += hosted.indices.tolist()
        end = min(stop or 10, 10)
        assert found in (list(range(end)), list(range(4, end)))

    @pytest.mark.parametrize("kind", ["sequence", "iterable"])
    def test_nothing_is_read_from_the_stop_on(self, kind: str) -> None:
        """Each sample may cost a download, and those from the stop on are another machine's."""
        dataset = _Sequence() if kind == "sequence" else _Iterable()
        batches = list(self._batches(dataset, batch_size=4, start=4, stop=7))
        assert [index for batch in batches for index in np.asarray(batch.indices).tolist()][-3:] == [4, 5, 6]
        assert max(dataset.read) == 6

    def test_nested_samples_become_nested_batches(self) -> None:
        first, second = np.arange(10, dtype=np.float32), np.arange(30, dtype=np.float32).reshape(10, 3)
        samples = [{"a": one, "b": (two, {"c": one})} for one, two in zip(first, second, strict=True)]
        for batch in self._batches(samples, batch_size=4):
            hosted = self._hosted(batch)
            rows = hosted.indices
            assert sorted(hosted.inputs) == ["a", "b"]
            assert len(hosted.inputs["b"]) == 2, "a tuple, or the list that some loaders make of it"
            np.testing.assert_array_equal(hosted.inputs["a"], first[rows])
            np.testing.assert_array_equal(hosted.inputs["b"][0], second[rows])
            np.testing.assert_array_equal(hosted.inputs["b"][1]["c"], first[rows])

    def test_bad_arguments_are_refused_before_the_first_batch(self) -> None:
        inputs, labels = reference.samples(rows=10)
        with pytest.raises(ValueError, match="batch_size"):
            self._batches((inputs, labels), batch_size=0)
        with pytest.raises(TypeError, match="int"):
            self._batches(3, batch_size=4)

    def _batches(self, dataset: Any, batch_size: int, start: int = 0, stop: int | None = None) -> Any:
        model = self.loaded(self.classifier().model)
        nothing: dict[str, Any] = dict.fromkeys(("input_getter", "index_getter", "label_getter", "batched"))
        return self.hook.iterate_batches(
            dataset=dataset, model=model, batch_size=batch_size, start=start, stop=stop, **nothing
        )

    def _hosted(self, batch: Any) -> Any:
        return type(batch)(*map_leaves(np.asarray, self.to_host(tuple(batch))))


class _Sequence:
    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return np.full(5, index, np.float32), index


class _Iterable:
    def __init__(self) -> None:
        self.read: list[int] = []

    def __iter__(self) -> Any:
        for index in range(10):
            self.read.append(index)
            yield np.full(5, index, np.float32), index
