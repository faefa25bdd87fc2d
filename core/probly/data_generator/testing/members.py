"""The part of the suite on members: those of a list of models, passes with seeds, hidden layers."""

import copy

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.suite import Suite


class MemberChecks(Suite):
    """Rows are the mean of their members, each of which is its own model's or its own seed's."""

    def test_each_member_of_a_list_is_what_its_model_gives_alone(self) -> None:
        model, inputs, _ = self.classifier()
        other = self.classifier().model if "weights" in self.cannot else self.mlp(reference.mlp_weights(seed=1))
        alone = [self.run(one, inputs, batch_size=8).probabilities for one in (model, other, model)]
        found = self.run([model, other, model], inputs, batch_size=8)
        np.testing.assert_allclose(found.columns["members"], np.stack(alone, axis=1), rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.probabilities, np.mean(alone, axis=0), rtol=0, atol=1e-6)

    def test_passes_follow_from_their_seed(self) -> None:
        """Where the backend has ``stochastic_forward``, on the model of ``classifier``, which needs a dropout then."""
        model, inputs, _ = self.classifier()
        if not self.loaded_backend.has("stochastic_forward"):
            with pytest.raises(ValueError, match="cannot activate stochastic layers"):
                self.run(model, inputs, passes=2)
            return
        before = copy.deepcopy(self.model_state(model))
        runs = (self.run(model, inputs, batch_size=8, passes=3, seed=seed) for seed in (1, 1, 2))
        first, again, other = (np.asarray(found.columns["members"]) for found in runs)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other), "another seed draws something else"
        assert not np.array_equal(first[:, 0], first[:, 1]), "each pass draws something else"
        np.testing.assert_equal(self.model_state(model), before)

    def test_unknown_layers_are_refused(self) -> None:
        model, inputs, _ = self.classifier()
        keep = ["features:no such layer"]
        with pytest.raises(ValueError, match=r"no such layer|no access to hidden layers|cannot be seen"):
            self.generator(model).generate_distributions(inputs, progress=False, keep=keep)
