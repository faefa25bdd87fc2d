"""Passes with dropout, and layers that are kept, with real modules of torch."""

import copy
import threading

import numpy as np
import pytest
import torch

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from probly_data_generator_torch.stochastic import stochastic_parts

torch.manual_seed(0)
X = torch.randn(23, 6)


class Net(torch.nn.Module):
    """A dropout that is a layer, and one that is a function; batch statistics between them."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 3)
        self.act, self.drop = torch.nn.ReLU(inplace=True), torch.nn.Dropout(0.5)

    def forward(self, inputs):
        hidden = self.drop(self.act(self.norm(self.first(inputs))))
        return self.last(torch.nn.functional.dropout(hidden, 0.25, self.training))


def net():
    torch.manual_seed(1)
    made = Net()
    made.norm.running_mean += torch.randn(16)
    return made


def run(model, data=X, *, keep=(), **options):
    options = {"batch_size": 5, "output_mode": "logits", **options}
    return FirstOrderDataGenerator(model, **options).generate_distributions(data, progress=False, keep=keep)


def test_passes_differ_and_two_runs_agree_bit_for_bit_and_the_model_is_as_it_was():
    model = net().train()
    state, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first, second = (run(model, passes=5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.members, second.members)
    assert len(np.unique(first.members[4, :, 0])) == 5
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(part.training for part in model.modules())


def test_a_pass_is_what_torch_computes_with_that_seed_and_batch_statistics_off():
    model = net().eval()
    found = run(model, passes=2, seed=11)
    from probly.data_generator.run.passes import Passes

    for number in range(2):
        torch.manual_seed(Passes(2, 11).seed_of(number, 10))
        model.training = model.drop.training = True
        with torch.no_grad():
            expected = torch.softmax(model(X[10:15]), dim=1)
        model.training = model.drop.training = False
        np.testing.assert_allclose(found.members[10:15, number], expected, atol=1e-6)


def test_dropout_leaves_the_share_that_it_should():
    model = torch.nn.Sequential(torch.nn.Dropout(0.25), torch.nn.Linear(6, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0] * 6, [1.0] + [0.0] * 5]))
    found = run(model, torch.ones(400, 6), batch_size=400, passes=50, keep=["logits"])
    kept = found.columns["logits"][:, :, 1]
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.75], rtol=1e-6)
    assert abs((kept > 0).mean() - 0.75) < 4 * np.sqrt(0.25 * 0.75 / kept.size)


def test_a_model_without_dropout_is_refused():
    with pytest.raises(InvalidOutputError, match="all 2 passes gave the same scores"):
        run(torch.nn.Linear(6, 3), passes=2)


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (torch.nn.TransformerEncoderLayer(8, 2, dropout=0.1), 5),
        (torch.nn.LSTM(4, 4, num_layers=2, dropout=0.5), 1),
        (torch.nn.LSTM(4, 4), 0),
        (torch.nn.MultiheadAttention(8, 2), 0),
        (torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.InstanceNorm2d(3, track_running_stats=True)), 0),
        (torch.nn.Sequential(torch.nn.FeatureAlphaDropout(), torch.nn.RReLU()), 1),
        (Net(), 2),
    ],
)
def test_what_is_activated(layer, count):
    assert len(stochastic_parts(layer.modules())) == count


def test_the_fast_path_of_transformers_does_not_leave_dropout_out():
    torch.manual_seed(2)
    body = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 16, 0.3, batch_first=True), 2)
    model = torch.nn.Sequential(body, torch.nn.Flatten(), torch.nn.Linear(24, 3))
    found = run(model, torch.randn(6, 3, 8), passes=3)
    assert len(np.unique(found.members[0, :, 0])) == 3


def test_layers_that_draw_their_weights_are_called_again():
    class Bayesian(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mu, self.log_sigma = torch.nn.Parameter(torch.randn(3, 6)), torch.nn.Parameter(torch.zeros(3, 6))

        def forward(self, inputs):
            return inputs @ (self.mu + self.log_sigma.exp() * torch.randn_like(self.mu)).T

    model = Bayesian()
    first, second = (run(model, passes=4) for _ in range(2))
    np.testing.assert_array_equal(first.members, second.members)
    assert len(np.unique(first.members[0, :, 0])) == 4


def test_programs_that_were_exported_are_refused():
    program = torch.export.export(net().eval(), (X[:5],))
    with pytest.raises(ValueError, match="pass the Module that it was exported from"):
        run(program, X[:5], passes=2)
    with pytest.raises(ValueError, match="the layers of an exported program cannot be seen"):
        run(program, X[:5], keep=["features:first"])


def test_a_layer_is_kept_as_it_was_before_the_next_one_changed_it():
    model = net().eval()
    found = run(model, keep=["features:norm", "features:act", "logits"])
    with torch.no_grad():
        expected = model.norm(model.first(X))
    np.testing.assert_allclose(found.columns["features:norm"], expected, atol=1e-5)
    np.testing.assert_allclose(found.columns["features:act"], expected.relu(), atol=1e-5)
    assert found.columns["logits"].shape == (23, 3)
    assert not model.norm._forward_hooks


def test_the_layers_of_passes_have_their_axis():
    found = run(net(), keep=["features:drop"], passes=3)
    assert found.columns["features:drop"].shape == (23, 3, 16)


def test_layers_that_are_not_there_or_not_one_tensor_are_refused():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.part, self.unused, self.rnn = torch.nn.Linear(6, 6), torch.nn.Linear(1, 1), torch.nn.LSTM(6, 3)

        def forward(self, inputs):
            return self.rnn(self.part(self.part(inputs)))[0]

    for name, message in [
        ("prat", "has no layer 'prat'; there are, for example, 'part'"),
        ("part", "was called 2 times"),
        ("unused", "was called 0 times"),
        ("rnn", "returned tuple of 2; name a layer that returns one tensor"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            run(Twice(), keep=[f"features:{name}"])
    with pytest.raises(ValueError, match="the layers of function cannot be seen"):
        run(lambda inputs: inputs[:, :3], backend="torch", keep=["features:x"])


def test_passes_and_other_runs_of_one_model_do_not_disturb_each_other():
    model = net().eval()
    expected, drawn = run(model), run(model, passes=3)
    found = {}

    def again(name, **options):
        found[name] = [run(model, **options) for _ in range(5)]

    threads = [
        threading.Thread(target=again, args=("plain",)),
        threading.Thread(target=again, args=("passes",), kwargs={"passes": 3}),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == expected for one in found["plain"])
    for one in found["passes"]:
        np.testing.assert_array_equal(one.members, drawn.members)
