"""What is particular to the PyTorch backend."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from probly.data_generator import AlignmentError, Distributions, FirstOrderDataGenerator, StoreError
from probly.data_generator.testing import reference
from probly.data_generator.torch_first_order_generator import load_distributions_pt, save_distributions_pt
from tests.frameworks import torch as framework

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
TENSORS = (torch.tensor(INPUTS), torch.tensor(LABELS))


def run(dataset, model=None, **options):
    model = framework.mlp(WEIGHTS) if model is None else model
    generator = FirstOrderDataGenerator(model, **{"backend": "torch", "batch_size": 16, **options})
    return generator.generate_distributions(dataset, progress=False)


def check(distributions, indices=None, expected=EXPECTED):
    indices = np.arange(50) if indices is None else np.asarray(indices)
    np.testing.assert_array_equal(distributions.indices, indices)
    np.testing.assert_allclose(distributions.probabilities, expected[indices], rtol=0, atol=1e-6)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(*TENSORS, strict=True))


class StreamWithLength(Stream):
    def __len__(self):
        return 50


class Lists(Dataset):
    def __len__(self):
        return 50

    def __getitem__(self, index):
        return [TENSORS[0][index], int(LABELS[index])]


PAIRS = framework.Pairs(INPUTS, LABELS)


@pytest.mark.parametrize(
    "dataset",
    [
        TENSORS,
        TensorDataset(*TENSORS),
        TensorDataset(TENSORS[0]),
        PAIRS,
        Lists(),
        Stream(),
        StreamWithLength(),
        DataLoader(PAIRS, batch_size=7),
        DataLoader(TensorDataset(*TENSORS), batch_size=7, shuffle=True),
        DataLoader(PAIRS, batch_size=7, shuffle=True, num_workers=2),
        DataLoader(PAIRS, batch_size=7, shuffle=True, num_workers=2, persistent_workers=True),
        DataLoader(PAIRS, batch_size=7, shuffle=True, num_workers=2, in_order=False),
        DataLoader(PAIRS, batch_sampler=BatchSampler(RandomSampler(PAIRS), 7, drop_last=False)),
        DataLoader(PAIRS, batch_size=None, sampler=BatchSampler(RandomSampler(PAIRS), 7, drop_last=False)),
        DataLoader(Stream(), batch_size=7),
        DataLoader(Stream(), batch_size=7, num_workers=1),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # workers are forked
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # JAX says so wherever it is loaded too
def test_every_kind_of_dataset(dataset):
    check(run(dataset))


def test_subsets_are_numbered_by_themselves():
    rows = [40, 3, 17, 8, 9]
    for subset in (Subset(TensorDataset(*TENSORS), rows), Subset(PAIRS, rows)):
        distributions = run(subset, batch_size=2)
        np.testing.assert_array_equal(distributions.indices, range(5))
        np.testing.assert_allclose(distributions.probabilities, EXPECTED[rows], atol=1e-6)
        np.testing.assert_array_equal(distributions.labels, LABELS[rows])
    nested = Subset(Subset(TensorDataset(*TENSORS), rows), [4, 0])
    np.testing.assert_allclose(run(nested).probabilities, EXPECTED[[9, 40]], atol=1e-6)


def test_a_tensor_dataset_with_its_own_samples_is_asked_for_them():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            value, label = super().__getitem__(index)
            return 2 * value, label

    check(run(Doubled(*TENSORS)), expected=reference.softmax(reference.mlp_logits(WEIGHTS, 2 * INPUTS)))
    check(
        run(Subset(Doubled(*TENSORS), range(50))), expected=reference.softmax(reference.mlp_logits(WEIGHTS, 2 * INPUTS))
    )


def test_samplers_that_choose_a_part():
    with pytest.warns(UserWarning, match="generated 3 distributions, but dataset length is 50"):
        check(run(DataLoader(PAIRS, batch_size=2, sampler=SubsetRandomSampler([7, 30, 2]))), [2, 7, 30])
    with pytest.warns(UserWarning, match="generated 48 distributions"):
        check(run(DataLoader(PAIRS, batch_size=16, drop_last=True)), range(48))


def test_samplers_that_repeat():
    """DistributedSampler pads by repeating samples: rows are counted by index."""
    sampler = DistributedSampler(PAIRS, num_replicas=3, rank=2, shuffle=False)
    assert len(list(sampler)) == 17
    with pytest.warns(UserWarning, match="generated 17 distributions"):
        check(run(DataLoader(PAIRS, batch_size=5, sampler=sampler)), sorted(set(sampler)))
    torch.manual_seed(0)
    weighted = WeightedRandomSampler([1.0] * 50, 60)
    with (
        pytest.warns(UserWarning, match="the sampler repeated"),
        pytest.warns(UserWarning, match="but dataset length is 50"),
    ):
        distributions = run(DataLoader(PAIRS, batch_size=5, sampler=weighted))
    check(distributions, distributions.indices)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")
def test_iterable_datasets_read_by_several_workers_are_refused():
    with pytest.raises(AlignmentError, match="2 workers"):
        run(DataLoader(Stream(), batch_size=7, num_workers=2))


def test_whole_samples_as_batches_are_refused():
    with pytest.raises(AlignmentError, match="batch_size=None"):
        run(DataLoader(PAIRS, batch_size=None))


def test_a_dataset_without_length_is_refused():
    class Endless(Dataset):
        def __getitem__(self, index):
            return TENSORS[0][0]

    with pytest.raises(TypeError, match="give it __len__"):
        run(Endless())


def test_samples_of_different_shapes_name_indices_and_shapes():
    samples = [(torch.zeros(5), 0)] * 20 + [(torch.zeros(6), 0)]
    with pytest.raises(RuntimeError) as caught:
        run(samples)
    assert "the samples 16 to 20 of the shapes (5,), (6,) do not stack" in caught.value.__notes__[0]


def test_the_loaders_own_workers_stay():
    loader = DataLoader(PAIRS, batch_size=7, shuffle=True)
    sampler = loader.batch_sampler
    run(loader)
    assert loader.batch_sampler is sampler
    assert len(list(loader)) == 8


class Modes(torch.nn.Module):
    """A model that would notice training mode, and whose parts are in different modes."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
        self.second = torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.Linear(4, 3))
        self.seen = []

    def forward(self, inputs):
        self.seen.append((self.training, torch.is_grad_enabled()))
        return self.second(self.first(inputs))


def test_the_model_is_left_as_it_was_found():
    model = Modes().train()
    model.first.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    first = run(TENSORS, model)
    assert first == run(TENSORS, model)
    assert [module.training for module in model.modules()] == modes
    assert set(model.seen) == {(False, False)}
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_mode_is_restored_after_an_error():
    class Fails(Modes):
        def forward(self, inputs):
            raise KeyboardInterrupt

    model = Fails().train()
    with pytest.raises(KeyboardInterrupt):
        run(TENSORS, model)
    assert model.training


def test_layers_that_merge_weights_in_eval_mode_undo_it():
    class Merging(torch.nn.Linear):
        merged = False

        def train(self, mode=True):
            self.merged = not mode
            return super().train(mode)

    model = torch.nn.Sequential(Merging(5, 3)).train()
    run(TENSORS, model)
    assert not model[0].merged


def test_several_inputs():
    class Two(torch.nn.Module):
        def forward(self, left, right):
            return left + right

    logits = reference.samples(rows=50, shape=(3,))[0]
    parts = {"left": logits, "right": np.ones_like(logits)}
    expected = reference.softmax(logits)
    samples = [({"left": left, "right": np.ones(3, np.float32)}, 0) for left in logits]
    for dataset in (parts, (parts, LABELS), samples, DataLoader(samples, batch_size=7)):
        check(run(dataset, Two(), output_mode="logits"), expected=expected)
    triples = [(left, np.ones(3, np.float32), 0) for left in logits]
    check(run(triples, Two(), input_getter=lambda sample: sample[:2], output_mode="logits"), expected=expected)


def test_autocast_and_half_models():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = run(TENSORS)
    np.testing.assert_allclose(mixed.probabilities, EXPECTED, atol=0.02)
    half = run(TENSORS, framework.mlp(WEIGHTS).bfloat16(), input_getter=lambda pair: pair[0].bfloat16())
    np.testing.assert_allclose(half.probabilities, EXPECTED, atol=0.02)
    softmaxed = torch.nn.Sequential(framework.mlp(WEIGHTS), torch.nn.Softmax(-1)).bfloat16()
    probs = run(TENSORS, softmaxed, input_getter=lambda pair: pair[0].bfloat16())
    assert probs.meta["output_mode"] == "probs", "rounded probabilities are still probabilities"
    np.testing.assert_allclose(probs.probabilities, EXPECTED, atol=0.02)


def test_channels_last_images():
    weights = reference.cnn_weights()
    images, labels = reference.samples(rows=20, shape=(8, 8, 1))
    model = framework.cnn(weights).to(memory_format=torch.channels_last)
    expected = reference.softmax(reference.cnn_logits(weights, images))
    check(run((images, labels), model), range(20), expected)


def test_a_read_only_array_is_no_obstacle(tmp_path):
    np.save(tmp_path / "inputs.npy", INPUTS)
    check(run(np.load(tmp_path / "inputs.npy", mmap_mode="r")))


@pytest.fixture
def files(tmp_path):
    """Save the model in every format."""
    model = framework.mlp(WEIGHTS).eval()
    rows = torch.export.Dim("rows", min=2, max=1024)
    dynamic = torch.export.export(model, (TENSORS[0][:16],), dynamic_shapes=({0: rows},))
    torch.export.save(dynamic, tmp_path / "dynamic.pt2")
    torch.export.save(torch.export.export(model, (TENSORS[0][:16],)), tmp_path / "fixed.pt2")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    torch.save(model, tmp_path / "pickled.pt")
    return tmp_path


def build():
    return framework.mlp(reference.mlp_weights(seed=9))


def test_exported_programs(files):
    check(run(TENSORS, files / "dynamic.pt2"))
    check(run(TENSORS, str(files / "fixed.pt2"), batch_size=16))
    check(run(TENSORS, torch.export.load(files / "fixed.pt2")))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own advice; the files are still around
def test_torchscript(tmp_path):
    torch.jit.script(framework.mlp(WEIGHTS)).save(str(tmp_path / "script.pt"))
    check(run(TENSORS, tmp_path / "script.pt"))
    check(run(TENSORS, torch.jit.load(tmp_path / "script.pt")))


@pytest.mark.parametrize("builder", [build, "tests.test_torch:build", framework.mlp(reference.mlp_weights(seed=5))])
@pytest.mark.parametrize("name", ["weights.pt", "checkpoint.pth", "weights.safetensors"])
def test_weights_with_a_builder(files, builder, name):
    from safetensors.torch import save_file

    save_file(framework.mlp(WEIGHTS).state_dict(), files / "weights.safetensors")
    check(run(TENSORS, (builder, files / name)))


def test_models_by_import_path():
    distributions = run(TENSORS, "tests.test_torch:build", output_mode="logits")
    expected = reference.softmax(reference.mlp_logits(reference.mlp_weights(seed=9), INPUTS))
    check(distributions, expected=expected)


def test_files_that_are_no_models_say_what_to_do(files):
    with pytest.raises(ValueError, match=r"pickled code, which is not run.*weights_only=False"):
        run(TENSORS, files / "pickled.pt")
    with pytest.raises(ValueError, match=r"holds weights, not a model; pass model=\(builder, "):
        run(TENSORS, files / "weights.pt")
    for missing in (files / "nope.pt2", files / "nope.pt", (build, files / "nope.pt")):
        with pytest.raises(FileNotFoundError, match="nope.*there is no such"):
            run(TENSORS, missing)
    (files / "garbage.pt").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="garbage.pt"):
        run(TENSORS, files / "garbage.pt")
    with pytest.raises(TypeError, match="expected a torch.nn.Module"):
        run(TENSORS, 3)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "gpu", "nonsense"])
def test_unavailable_devices_list_the_others(device):
    if torch.cuda.is_available() and device.startswith("cuda"):
        device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ValueError, match=f"device '{device}' is not available to torch .*; available: 'cpu'"):
        FirstOrderDataGenerator(build(), device=device, backend="torch")


def test_a_model_elsewhere_is_copied_not_moved():
    from probly_data_generator_torch.models import load

    model = build()
    moved = load(model, torch.device("meta"))
    assert moved.device == "meta"
    assert {parameter.device.type for parameter in moved.module.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert load(model, torch.device("cpu")).module is model


def test_torchs_out_of_memory_errors_are_recognized():
    from probly_data_generator_torch.backend import is_out_of_memory

    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_real_allocation_failure_is_halved():
    def model(batch):
        if len(batch) > 4:
            torch.empty(2**60, dtype=torch.uint8)
        return batch

    logits = reference.samples(rows=50, shape=(3,))[0]
    with pytest.warns(UserWarning, match="out of memory"):
        check(run(logits, model, output_mode="logits"), expected=reference.softmax(logits))


class BayesLinear(torch.nn.Module):
    """Parameters as in probly's layers."""

    def __init__(self):
        super().__init__()
        self.weight_mu = torch.nn.Parameter(torch.randn(3, 5))
        self.weight_rho = torch.nn.Parameter(torch.full((3, 5), -3.0))
        self.bias_mu = torch.nn.Parameter(torch.randn(3))
        self.bias_rho = torch.nn.Parameter(torch.full((3,), -2.0))
        self.register_buffer("weight_prior_mu", torch.zeros(3, 5))

    def forward(self, inputs):
        return inputs @ self.weight_mu.T + self.bias_mu


def test_posterior_of_probly_style_layers(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(5, 5), BayesLinear())
    generator = FirstOrderDataGenerator(model, backend="torch")
    posterior = generator.get_posterior_distributions()
    assert set(posterior) == {"1"}
    assert set(posterior["1"]) == {"mu", "rho", "bias_mu", "bias_rho"}
    assert torch.equal(posterior["1"]["mu"], model[1].weight_mu)
    assert not posterior["1"]["mu"].requires_grad
    torch.save(posterior, tmp_path / "posterior.pt")
    assert torch.equal(torch.load(tmp_path / "posterior.pt")["1"]["bias_rho"], model[1].bias_rho)
    with torch.no_grad():
        model[1].weight_mu.zero_()
    assert posterior["1"]["mu"].abs().sum() > 0, "training on must not change what was returned"


def test_pt_files(tmp_path):
    distributions = run(TENSORS)
    for name in ("a.pt", "a.pth"):
        save_distributions_pt(tmp_path / name, distributions, meta={"note": 1})
        loaded, meta = load_distributions_pt(tmp_path / name)
        assert loaded == distributions
        assert meta["note"] == 1
        np.testing.assert_array_equal(loaded.labels, LABELS)
    save_distributions_pt(tmp_path / "b.pt", {3: [0.5, 0.5]})
    assert load_distributions_pt(tmp_path / "b.pt")[0] == {3: [0.5, 0.5]}


def test_pt_files_must_be_pt_files(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of the suffixes .pt, .pth, got '.json'"):
        save_distributions_pt(tmp_path / "a.json", {0: [1.0]})
    with pytest.raises(FileNotFoundError):
        load_distributions_pt(tmp_path / "a.pt")
    torch.save({"something": torch.zeros(2)}, tmp_path / "other.pt")
    torch.save(build(), tmp_path / "model.pt")
    (tmp_path / "garbage.pt").write_bytes(b"\x80\x04garbage")
    for name in ("other.pt", "model.pt", "garbage.pt"):
        with pytest.raises(StoreError, match=f"{name}: not a file of distributions"):
            load_distributions_pt(tmp_path / name)


def test_every_truncation_of_a_pt_file_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    save_distributions_pt(path, Distributions(EXPECTED[:3]))
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(StoreError):
            load_distributions_pt(path)


KERAS = """
import keras, numpy as np, torch
from probly.data_generator import FirstOrderDataGenerator

assert keras.config.backend() == "torch"
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
inputs = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
weight, bias = model.layers[0].get_weights()
logits = inputs @ weight + bias
distributions = FirstOrderDataGenerator(model, batch_size=8).generate_distributions(inputs)
assert distributions.meta["backend"] == "torch", distributions.meta
expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
np.testing.assert_allclose(distributions.probabilities, expected, atol=1e-6)
print("ran on torch")
"""


def test_keras_on_torch_runs_on_torch():
    done = subprocess.run(
        [sys.executable, "-c", KERAS], env={**os.environ, "KERAS_BACKEND": "torch"}, capture_output=True, text=True
    )
    assert "ran on torch" in done.stdout, done.stderr
