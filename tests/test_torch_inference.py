"""What a run prepares once for several batches in a row: evaluation mode, and recording nothing for gradients."""

import threading

import numpy as np
import pytest
import torch

from probly.data_generator import FirstOrderDataGenerator, batches
from probly_data_generator_torch import inference, modes
from probly_data_generator_torch.models import load

INPUTS = torch.rand(200, 4)


@pytest.fixture
def prepared(monkeypatch):
    """Take every batch for a quick one, and count how often evaluation mode is looked after."""
    monkeypatch.setattr(batches, "QUICK", 1e9)
    counted = []
    evaluating = inference.evaluating
    monkeypatch.setattr(inference, "evaluating", lambda *given: counted.append(1) or evaluating(*given))
    return counted


def layers():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.9), torch.nn.Linear(16, 3))


class Own(torch.nn.Module):
    """A module of one's own, which switches its mode where it should not."""

    def __init__(self):
        super().__init__()
        self.layers = layers()

    def forward(self, inputs):
        rows = self.layers(inputs)
        self.train()
        return rows


def run(model, **options):
    generator = FirstOrderDataGenerator(model, batch_size=5, **{"output_mode": "logits", **options})
    return generator.generate_distributions(INPUTS, progress=False).probabilities


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("model", "times"), [(layers, 3), (Own, 40)])
def test_evaluation_mode_is_prepared_once_for_several_batches_of_torchs_own_layers(prepared, model, times, training):
    model = model().train(training)
    rows = run(model)
    assert len(prepared) == times
    assert model.training == (training or times == 40)
    expected = layers().eval()(INPUTS).softmax(-1).detach().numpy()
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)


def test_raw_outputs_are_prepared_one_by_one_and_may_take_part_in_training(prepared):
    temperature = torch.nn.Parameter(torch.tensor(2.0))
    kept = []

    def transform(outputs):
        rows = (outputs / temperature).softmax(-1)
        kept.append(rows.sum().requires_grad)
        return rows

    run(layers(), output_transform=transform)
    assert len(prepared) == len(kept) == 40
    assert all(kept)


def test_what_one_thread_has_prepared_holds_there_alone():
    model = load(layers(), torch.device("cpu"))
    found = {}

    def infer(name):
        found[name] = model.infer(INPUTS, "logits", 200).requires_grad

    with model.forward_context():
        infer("inside")
        thread = threading.Thread(target=infer, args=("another",))
        thread.start()
        thread.join()
    infer("after")
    assert found == {"inside": False, "another": False, "after": False}
    assert not torch.is_inference_mode_enabled()


def test_a_run_that_ends_leaves_the_layers_of_another_in_evaluation_mode():
    """To restore the mode of its own module it calls train(), which would reach into the one that they share."""

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.asked = []

        def train(self, mode=True):
            self.asked.append(mode)
            return super().train(mode)

    shared = Shared().eval()
    outer = torch.nn.Sequential(shared, torch.nn.Dropout())
    shared.asked.clear()
    with modes.evaluating(shared, list(shared.modules())):
        with modes.evaluating(outer, list(outer.modules())):
            assert not outer.training
        assert outer.training
        assert outer[1].training
        assert shared.asked == [False]
    with modes.evaluating(outer, list(outer.modules())):
        pass
    assert not shared.training
    assert outer.training
    assert not modes._SETTLED
