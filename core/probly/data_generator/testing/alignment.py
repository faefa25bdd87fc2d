"""The part of the suite that asks whether each row lands under its own index."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.suite import Suite, assert_rows
from probly.data_generator.toolkit.nests import map_leaves


class AlignmentChecks(Suite):
    """Order, indices, labels and the inputs that the user picks."""

    def test_a_shuffled_loader_lands_under_the_right_index_or_is_refused(self) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=50)
        loader = self.shuffled_loader(inputs, labels, 8)
        try:
            distributions = self.run(self.mlp(weights), loader)
        except ValueError as error:
            assert "index" in str(error)  # noqa: PT017  # refusing is right where nothing can know the indices
            return
        assert_rows(distributions, reference.softmax(reference.mlp_logits(weights, inputs)))
        np.testing.assert_array_equal(distributions.labels, labels)

    def test_index_getter_says_where_a_row_belongs(self) -> None:
        weights = reference.mlp_weights()
        inputs, _ = reference.samples(rows=10)
        order = np.random.default_rng(0).permutation(10)
        samples = [(inputs[index], int(index)) for index in order]
        distributions = self.run(self.mlp(weights), samples, index_getter=lambda sample: sample[1], batch_size=4)
        expected = reference.softmax(reference.mlp_logits(weights, inputs))
        np.testing.assert_array_equal(np.sort(distributions.indices), np.arange(10))
        for index in range(10):
            np.testing.assert_allclose(distributions[index], expected[index], rtol=0, atol=1e-6)

    def test_input_getter_picks_the_input_of_a_sample_and_of_a_batch(self) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=10)
        expected = reference.softmax(reference.mlp_logits(weights, 2 * inputs))
        for dataset in (self.dataset(inputs, labels), self.loader(inputs, labels, 4)):
            assert_rows(self.run(self.mlp(weights), dataset, input_getter=lambda pair: 2 * pair[0]), expected)

    @pytest.mark.parametrize("source", ["arrays", "dataset", "loader"])
    def test_a_late_start_keeps_the_indices(self, source: str) -> None:
        """A run that goes on needs every row from its start, whether or not the backend leaves out those before."""
        inputs, labels = reference.samples(rows=10)
        dataset: Any = (inputs, labels)
        if source == "dataset":
            dataset = self.dataset(inputs, labels)
        elif source == "loader":
            dataset = self.loader(inputs, labels, 4)
        found = []
        for batch in self._batches(dataset, batch_size=4, start=4):
            hosted = self._hosted(batch)
            np.testing.assert_array_equal(hosted.inputs, inputs[hosted.indices])
            np.testing.assert_array_equal(hosted.labels, labels[hosted.indices])
            found += hosted.indices.tolist()
        assert found in (list(range(10)), list(range(4, 10)))

    def test_nested_samples_become_nested_batches(self) -> None:
        first, second = np.arange(10, dtype=np.float32), np.arange(30, dtype=np.float32).reshape(10, 3)
        samples = [{"a": one, "b": (two, {"c": one})} for one, two in zip(first, second, strict=True)]
        for batch in self._batches(samples, batch_size=4, start=0):
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
            self._batches((inputs, labels), batch_size=0, start=0)
        with pytest.raises(TypeError, match="int"):
            self._batches(3, batch_size=4, start=0)

    def _batches(self, dataset: Any, **options: Any) -> Any:
        model = self.hook.load_model(source=self.mlp(reference.mlp_weights()), device=self.device, options={})
        nothing: dict[str, Any] = dict.fromkeys(("input_getter", "index_getter", "batched"))
        return self.hook.iterate_batches(dataset=dataset, model=model, **nothing, **options)

    def _hosted(self, batch: Any) -> Any:
        return type(batch)(*map_leaves(np.asarray, self.to_host(tuple(batch))))
