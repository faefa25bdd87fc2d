"""The part of the suite on what a run must leave alone: inputs, the model, memory for gradients; and posteriors."""

import copy
from typing import Any

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import needs, refuses_posterior
from probly.data_generator.testing.suite import Suite, positions, probabilities
from probly.data_generator.toolkit.outputs import pick_scores


class _OwnError(Exception):
    pass


class StateChecks(Suite):
    """The caller finds everything as it was."""

    @pytest.mark.parametrize("source", ["arrays", "dataset", "loader"])
    def test_inputs_are_not_changed(self, source: str) -> None:
        model, inputs, _ = self.classifier()
        labels = positions(inputs)
        before = inputs.copy(), labels.copy()
        self.run(model, self.source(source, inputs, labels, 4), batch_size=4)
        np.testing.assert_array_equal(inputs, before[0])
        np.testing.assert_array_equal(labels, before[1])

    @needs("functions")
    @pytest.mark.parametrize("output_mode", ["probs", "auto"])
    def test_a_model_that_works_in_place_changes_nothing(self, output_mode: str) -> None:
        def model(batch: Any) -> Any:
            batch *= 2
            return batch

        halves = probabilities() / 2
        before = halves.copy()
        distributions = self.run(self.function(model), halves, output_mode=output_mode, batch_size=4)
        np.testing.assert_array_equal(halves, before)
        np.testing.assert_array_equal(distributions.probabilities, 2 * before)

    @pytest.mark.parametrize("outcome", ["finished", "failed"])
    def test_the_model_is_given_back_as_it_was(self, outcome: str) -> None:
        model, inputs, _ = self.classifier()
        before = copy.deepcopy(self.model_state(model))
        assert before, "model_state: expected weights and modes, got nothing"
        if outcome == "finished":
            self.run(model, inputs, batch_size=4)
        else:
            with pytest.raises(_OwnError):
                self.run(model, inputs, batch_size=4, output_transform=_failing)
        np.testing.assert_equal(self.model_state(model), before)

    @pytest.mark.parametrize("output_mode", ["auto", "transform"])
    def test_no_gradients_are_kept(self, output_mode: str) -> None:
        """Else every batch would keep its activations in memory."""
        model, inputs, _ = self.classifier()
        options: dict[str, Any] = {}
        if output_mode == "transform":
            options = {"output_transform": lambda outputs: reference.softmax(self.to_host(pick_scores(outputs)))}
        answers = self.forwarded(model, inputs[:10], batch_size=4, **options)
        assert len(answers) == 3
        assert not [answer for answer in answers if self.keeps_gradients(pick_scores(answer))]

    def test_a_digest_tells_weights_from_others(self) -> None:
        """Where the backend has one: a store is continued with the same weights only."""
        if not self.loaded_backend.has("weight_digest"):
            return
        found = [self.hook.weight_digest(model=self.loaded(self.classifier().model)) for _ in range(2)]
        assert all(isinstance(digest, str) for digest in found), "text, which is empty where nothing can be seen"
        assert found[0] == found[1]
        if "weights" not in self.cannot and found[0]:
            other = self.loaded(self.mlp(reference.mlp_weights(seed=1)))
            assert self.hook.weight_digest(model=other) != found[0]

    def test_a_digest_tells_data_from_others(self) -> None:
        """Where the backend has one: of its framework's own datasets, and of nobody else's."""
        if not self.loaded_backend.has("data_digest"):
            return
        inputs, labels = reference.samples(rows=6)
        found = [self.hook.data_digest(dataset=self.dataset(inputs, labels)) for _ in range(2)]
        assert found[0] is None or isinstance(found[0], str)
        assert found[0] == found[1]
        assert found[0] is None or self.hook.data_digest(dataset=self.dataset(inputs + 1, labels)) != found[0]
        assert self.hook.data_digest(dataset=object()) is None

    # Posteriors

    @needs("posterior")
    def test_the_posterior_of_a_bayesian_layer_is_its_mu_and_rho(self) -> None:
        mu, rho = reference.samples(rows=4, shape=(3,))[0], -np.ones((4, 3), np.float32)
        posterior = self.generator(self.bayesian(mu, rho)).get_posterior_distributions()
        ((layer, parameters),) = posterior.items()
        assert isinstance(layer, str)
        assert sorted(parameters) == ["mu", "rho"]
        for name, expected in (("mu", mu), ("rho", rho)):
            assert type(parameters[name]) is type(self.array(mu))
            np.testing.assert_array_equal(self.to_host(parameters[name]), expected)
            assert not self.keeps_gradients(parameters[name])

    def test_a_model_without_bayesian_layers_has_no_posterior(self) -> None:
        refuses_posterior(self)


def _failing(outputs: Any) -> Any:
    raise _OwnError
