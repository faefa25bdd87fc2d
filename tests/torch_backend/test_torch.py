"""What is particular to the PyTorch backend."""

import functools
import os
import subprocess
import sys
import threading
import warnings

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

from probly.data_generator import (
    AlignmentError,
    Distributions,
    FirstOrderDataGenerator,
    InvalidOutputError,
    StoreError,
)
from probly.data_generator.testing import reference
from probly.data_generator.torch_first_order_generator import FirstOrderDataGenerator as TorchGenerator
from probly.data_generator.torch_first_order_generator import FirstOrderDataset as TorchFirstOrderDataset
from probly.data_generator.torch_first_order_generator import (
    load_distributions_pt,
    prepares_batch_inp,
    save_distributions_pt,
)
from probly.data_generator.torch_first_order_generator import output_dataloader as torch_output_dataloader
from tests.frameworks import suite

framework = suite("torch")
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


PAIRS = framework.dataset(INPUTS, LABELS)


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


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("other", [{"left": TENSORS[0][0]}, {"left": TENSORS[0][0], "right": 0, "more": 1}])
@pytest.mark.parametrize("wrap", [lambda sample: sample, lambda sample: {"views": sample}])
def test_samples_with_other_keys_are_refused(wrap, other, num_workers):
    class Left(torch.nn.Module):
        def forward(self, left=None, right=None, more=None, views=None):
            return views["left"] if left is None else left

    samples = [wrap(sample) for sample in [{"left": TENSORS[0][0], "right": 0}] * 20 + [other]]
    model = TorchGenerator(Left(), batch_size=8, options={"num_workers": num_workers})
    with pytest.raises(ValueError, match=r"expected samples with the keys \['left', 'right'\], got the keys .*getter"):
        model.generate_distributions(samples, progress=False)


def test_logits_that_are_no_tensor_are_refused():
    class Lists(torch.nn.Module):
        def forward(self, batch):
            return {"logits": batch.tolist()}

    with pytest.raises(TypeError, match=r"its scores in one array, got list of 8; set output_transform"):
        TorchGenerator(Lists(), batch_size=8).generate_distributions(TENSORS[0], progress=False)


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
        with pytest.raises(FileNotFoundError, match=r"nope.*there is no such"):
            run(TENSORS, missing)
    (files / "garbage.pt").write_bytes(b"garbage")
    with pytest.raises(ValueError, match=r"garbage\.pt"):
        run(TENSORS, files / "garbage.pt")
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module"):
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


# Memory that a model shares with others


class InPlace(torch.nn.Module):
    """Changes its inputs, and runs out of memory the first time that it sees more than ``limit`` rows."""

    def __init__(self, limit=50):
        super().__init__()
        self.inner = framework.mlp(WEIGHTS)
        self.limit = limit

    def forward(self, inputs):
        inputs.mul_(2)
        if len(inputs) > self.limit:
            raise torch.OutOfMemoryError
        return self.inner(inputs)


DOUBLED = reference.softmax(reference.mlp_logits(WEIGHTS, 2 * INPUTS))


@pytest.mark.parametrize("kind", [TensorDataset, Subset, DataLoader, "tensors", "arrays"])
@pytest.mark.parametrize("output_mode", ["auto", "logits"])
def test_a_model_that_works_in_place_gets_its_inputs_as_they_were(kind, output_mode):
    tensors = tuple(tensor.clone() for tensor in TENSORS)
    dataset = {
        TensorDataset: TensorDataset(*tensors),
        Subset: Subset(TensorDataset(*tensors), range(50)),
        DataLoader: DataLoader(TensorDataset(*tensors), batch_size=16),
        "tensors": tensors,
        "arrays": tuple(tensor.numpy() for tensor in tensors),
    }[kind]
    check(run(dataset, InPlace(), output_mode=output_mode), expected=DOUBLED)
    assert torch.equal(tensors[0], TENSORS[0])
    with pytest.warns(UserWarning, match="out of memory"):
        check(run(dataset, InPlace(limit=8), output_mode=output_mode), expected=DOUBLED)
    assert torch.equal(tensors[0], TENSORS[0])


def test_to_device_gives_new_memory_and_the_same_nest():
    from probly_data_generator_torch.backend import to_device

    data = {"array": np.zeros((2, 3)), "tensors": [torch.zeros(2), torch.zeros(3, 2).T], "name": "x"}
    copied = to_device(data, "cpu")
    assert copied["name"] == "x"
    for leaf in (copied["array"], *copied["tensors"]):
        leaf.add_(1)
    assert not data["array"].any()
    assert not any(tensor.any() for tensor in data["tensors"])
    assert copied["tensors"][1].stride() == data["tensors"][1].stride(), "the memory format stays"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_model_may_write_every_batch_to_the_same_tensor(wrapped):
    buffer, inner = torch.empty(10, 3), framework.mlp(WEIGHTS).eval()

    def model(batch):
        buffer.copy_(inner(batch).softmax(-1))
        return {"logits": buffer} if wrapped else buffer

    check(run(TENSORS, model, batch_size=10, output_mode="probs"))


def test_a_module_that_keeps_a_tensor_can_be_trained_after_a_run():
    class Keeps(torch.nn.Module):
        scale = None

        def __init__(self):
            super().__init__()
            self.inner = framework.mlp(WEIGHTS)

        def forward(self, inputs):
            if self.scale is None:
                self.scale = torch.ones(5)
            return self.inner(inputs * self.scale)

    model = Keeps()
    check(run(TENSORS, model))
    model(TENSORS[0].clone().requires_grad_()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_transforms_with_parameters_and_in_place():
    temperature = torch.nn.Parameter(torch.tensor(2.0))
    expected = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS) / 2)
    check(run(TENSORS, output_transform=lambda outputs: (outputs / temperature).softmax(-1)), expected=expected)
    check(run(TENSORS, output_transform=lambda outputs: outputs.div_(2).softmax(-1)), expected=expected)
    assert temperature.grad is None


def test_a_live_builder_keeps_its_own_weights(files):
    live = build()
    before = {name: value.clone() for name, value in live.state_dict().items()}
    check(run(TENSORS, (live, files / "weights.pt")))
    assert all(torch.equal(before[name], value) for name, value in live.state_dict().items())


# Dropout and batch statistics


class Waits(torch.nn.Module):
    """Tells that it has been entered, and goes on when it is told to."""

    def __init__(self):
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()

    def forward(self, inputs):
        self.entered.set()
        assert self.go_on.wait(30)
        return inputs


def in_thread(results, name, model, **options):
    def work():
        results[name] = run(TENSORS, model, batch_size=50, output_mode="logits", **options)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("first_out", ["first", "second"])
@pytest.mark.parametrize("shared", ["model", "part"])
def test_runs_in_several_threads_keep_a_shared_model_in_evaluation_mode(first_out, shared):
    inner = torch.nn.Sequential(torch.nn.Dropout(0.9), framework.mlp(WEIGHTS)).train()
    inner[1].eval()
    gates = {"first": Waits(), "second": Waits()}
    if shared == "part":
        models = {name: torch.nn.Sequential(gate, inner) for name, gate in gates.items()}
    else:  # each run passes its own gate, and then through the same model

        class Gated(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, inputs):
                return self.inner(gates[threading.current_thread().name](inputs))

        models = dict.fromkeys(gates, Gated())
    results, threads = {}, {}
    for name, gate in gates.items():
        threads[name] = in_thread(results, name, models[name])
        assert gate.entered.wait(30)
    last_out = next(name for name in gates if name != first_out)
    for name in (first_out, last_out):
        gates[name].go_on.set()
        threads[name].join(30)
    for name in gates:
        check(results[name])
    assert all(model.training for model in models.values())
    assert [part.training for part in inner] == [True, False]


def test_a_model_is_back_in_its_mode_while_another_still_runs():
    """Two models of their own share nothing: neither waits for the other."""
    gate, other = Waits(), torch.nn.Sequential(framework.mlp(WEIGHTS)).train()
    thread = in_thread({}, "waiting", torch.nn.Sequential(gate, framework.mlp(WEIGHTS)).train())
    assert gate.entered.wait(30)
    assert not gate.training
    check(run(TENSORS, other))
    assert other.training
    gate.go_on.set()
    thread.join(30)
    assert gate.training


def functional(model):
    return functools.partial(torch.func.functional_call, model, dict(model.named_parameters()))


@pytest.mark.parametrize(
    "callable_of",
    [
        lambda model: model.forward,
        functools.partial,
        lambda model: functools.partial(functools.partial(model.forward)),
        lambda model: torch.no_grad()(model.forward),
        functional,
    ],
    ids=["bound", "partial", "partial-bound", "decorated", "functional"],
)
def test_callables_of_a_module_run_in_evaluation_mode(callable_of):
    model = torch.nn.Sequential(torch.nn.Dropout(0.9), framework.mlp(WEIGHTS)).train()
    check(run(TENSORS, callable_of(model), output_mode="logits"))
    assert all(part.training for part in model.modules())


def test_frozen_torchscript_has_no_mode():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own advice; the models are still around
        frozen = torch.jit.freeze(torch.jit.script(framework.mlp(WEIGHTS).eval()))
    check(run(TENSORS, frozen))


# Exported programs


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(5, 3)

    def forward(self, inputs):
        rows = self.linear(inputs)[:, None]
        dropout = 0.5 if self.training else 0.0
        return torch.nn.functional.scaled_dot_product_attention(rows, rows, rows, dropout_p=dropout)[:, 0]


class Recurrent(torch.nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.lstm = torch.nn.LSTM(5, 3, num_layers=2, dropout=dropout, batch_first=True)

    def forward(self, inputs):
        return self.lstm(inputs[:, None])[0][:, 0]


def sequential(*layers):
    return lambda: torch.nn.Sequential(torch.nn.Linear(5, 3), *layers)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's decompositions, of torch's nests
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize(
    "builder",
    [
        sequential(torch.nn.Dropout(0.5)),
        sequential(torch.nn.RReLU()),
        sequential(torch.nn.BatchNorm1d(3)),
    ],
)
def test_programs_exported_in_training_mode_are_refused(builder, decomposed, tmp_path):
    for training in (True, False):
        program = torch.export.export(builder().train(training), (TENSORS[0][:16],))
        program = program.run_decompositions() if decomposed else program
        torch.export.save(program, tmp_path / "program.pt2")
        for source in (program, tmp_path / "program.pt2"):
            if training:
                with pytest.raises(ValueError, match=r"in training mode.*call model.eval\(\) before torch.export"):
                    FirstOrderDataGenerator(source, backend="torch")
            else:
                assert len(run(TENSORS, source, output_mode="logits")) == 50


@pytest.mark.filterwarnings("ignore")  # torch's own, of how it traces LSTM layers
@pytest.mark.parametrize("builder", [Attention, Recurrent, sequential(torch.nn.AlphaDropout(0.5))])
def test_other_layers_with_dropout_are_refused_too(builder):
    with pytest.raises(ValueError, match="in training mode"):
        FirstOrderDataGenerator(torch.export.export(builder().train(), (TENSORS[0][:16],)), backend="torch")
    program = torch.export.export(builder().eval(), (TENSORS[0][:16],))
    assert len(run(TENSORS, program, output_mode="logits")) == 50


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "builder",
    [sequential(torch.nn.Dropout(0.0)), lambda: Recurrent(0.0), sequential(torch.nn.BatchNorm1d(3, affine=False))],
)
def test_programs_in_which_training_mode_changes_nothing_are_run(builder):
    model = builder().train()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm1d):  # it has no other statistics than those of the batch
            part.running_mean = part.running_var = part.num_batches_tracked = None
    program = torch.export.export(model, (TENSORS[0][:16],))
    assert len(run(TENSORS, program, output_mode="logits")) == 50


def exported(rows, model=None, **bounds):
    model = framework.mlp(WEIGHTS).eval() if model is None else model
    shapes = ({0: torch.export.Dim("rows", **bounds)},) if bounds else None
    return torch.export.export(model, (TENSORS[0][:rows],), dynamic_shapes=shapes)


@pytest.mark.parametrize("batch_size", [1, 7, 8, 16, 20, 64])
@pytest.mark.parametrize(
    "bounds", [{}, {"min": 4, "max": 16}, {"min": 2}, {"max": 9}], ids=["fixed", "between", "least", "most"]
)
def test_programs_take_any_batch_size(batch_size, bounds, tmp_path):
    torch.export.save(exported(8, **bounds), tmp_path / "program.pt2")
    for rows in (1, 3, 50):
        part = tuple(tensor[:rows] for tensor in TENSORS)
        check(run(part, tmp_path / "program.pt2", batch_size=batch_size), range(rows))


def test_a_dynamic_program_is_not_padded():
    class Counts(torch.nn.Module):
        def forward(self, inputs):
            return inputs[:, :2] * 0 + inputs.shape[0]

    seen = []

    def transform(counts):
        seen.append(counts[0, 0].item())
        return torch.full((len(counts), 2), 0.5)

    run(TENSORS, exported(8, Counts(), min=2, max=1024), batch_size=20, output_transform=transform)
    assert seen == [20, 20, 10]


def test_raw_outputs_of_a_fixed_program():
    class Several(torch.nn.Module):
        def __init__(self, *, loss):
            super().__init__()
            self.inner, self.loss = framework.mlp(WEIGHTS), loss

        def forward(self, inputs):
            logits = self.inner(inputs)
            return {"scores": (logits, inputs), "loss": logits.sum() if self.loss else None}

    def transform(outputs):
        assert outputs["loss"] is None
        logits, inputs = outputs["scores"]
        assert len(logits) == len(inputs)
        return logits.softmax(-1)

    for batch_size in (3, 8, 20, 64):
        program = exported(8, Several(loss=False).eval())
        check(run(TENSORS, program, batch_size=batch_size, output_transform=transform))
    with pytest.raises(InvalidOutputError, match="expected 8 rows, got 0"):
        run(TENSORS, exported(8, Several(loss=True).eval()), batch_size=3, output_transform=transform)


def test_logits_beside_a_loss_of_a_fixed_program():
    class WithLoss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = framework.mlp(WEIGHTS)

        def forward(self, inputs):
            logits = self.inner(inputs)
            return {"loss": logits.sum(), "logits": logits}

    check(run(TENSORS, exported(8, WithLoss().eval()), batch_size=20))


def test_a_fixed_program_with_a_wrong_row_count_is_refused():
    class Drops(torch.nn.Module):
        def forward(self, inputs):
            return inputs[:4, :3]

    with pytest.raises(InvalidOutputError, match="expected 8 rows, got 4"):
        run(TENSORS, exported(8, Drops()), batch_size=4, output_mode="logits")


# What torch does not take by itself


def test_arrays_that_torch_cannot_share():
    views = [np.ascontiguousarray(INPUTS[::-1])[::-1], INPUTS.astype(">f4"), np.asfortranarray(INPUTS)]
    views.append(np.ascontiguousarray(INPUTS[:, ::-1])[:, ::-1])
    views.append(INPUTS.copy())
    views[-1].flags.writeable = False
    for view in views:
        np.testing.assert_array_equal(view, INPUTS)
        for dataset in ((view, LABELS), view, [(row, 0) for row in view]):
            check(run(dataset))
        loader = torch_output_dataloader(list(view), run(view), batch_size=50)
        np.testing.assert_array_equal(next(iter(loader))[0], INPUTS)


def test_subsets_chosen_by_any_integers():
    rows = np.array([9, 8, 17, 3, 40])
    expected = EXPECTED[rows[::-1]]
    for chosen in (rows[::-1], rows.astype(">i8")[::-1], torch.tensor(rows[::-1].copy()), rows[::-1].tolist()):
        distributions = run(Subset(TensorDataset(*TENSORS), chosen))
        np.testing.assert_allclose(distributions.probabilities, expected, atol=1e-6)
    steps = run(Subset(TensorDataset(*TENSORS), range(40, -1, -10)))
    np.testing.assert_allclose(steps.probabilities, EXPECTED[40::-10], atol=1e-6)


def test_a_list_is_a_pair_too():
    batch = list(TENSORS)
    assert prepares_batch_inp(batch) is TENSORS[0]
    assert prepares_batch_inp(batch, lambda pair: pair[1]) is TENSORS[1]
    assert TorchGenerator(build()).prepares_batch_inp(batch) is TENSORS[0]


@pytest.mark.parametrize("base", [Stream(), StreamWithLength(), DataLoader(PAIRS), iter([1])])
def test_pairing_needs_a_map_style_dataset(base):
    for pair in (TorchFirstOrderDataset, torch_output_dataloader):
        with pytest.raises(TypeError, match=rf"expected a map-style dataset.*got {type(base).__name__}"):
            pair(base, {0: [0.5, 0.5]})


def test_pt_files_hold_any_metadata_and_labels_that_the_other_formats_hold(tmp_path):
    path = tmp_path / "a.pt"
    meta = {"accuracy": np.float32(0.5), "source": tmp_path, "pair": (1, 2), "array": np.arange(2)}
    lists = (["cat", "horse", "dog"], [1, 2, 3], [0.5, 1, 2], [True, False, True])
    for labels in (*map(np.array, lists), None):
        save_distributions_pt(path, Distributions(EXPECTED[:3], labels=labels), meta=meta)
        loaded, read = load_distributions_pt(path)
        assert read == {"accuracy": 0.5, "source": str(tmp_path), "pair": [1, 2], "array": [0, 1]}
        if labels is None:
            assert loaded.labels is None
        else:
            np.testing.assert_array_equal(loaded.labels, labels)
            assert loaded.labels.dtype.kind == labels.dtype.kind
    save_distributions_pt(path, Distributions(EXPECTED[:2], labels=np.array(["cat", "dog"], dtype=object)))
    np.testing.assert_array_equal(load_distributions_pt(path)[0].labels, ["cat", "dog"])


def test_pt_files_refuse_what_cannot_be_read_back(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(TypeError, match="expected labels that are numbers or text"):
        save_distributions_pt(path, Distributions(EXPECTED[:2], labels=np.array(["2026-01-01"] * 2, "datetime64[D]")))
    with pytest.raises(TypeError, match="object") as caught:
        save_distributions_pt(path, {0: [0.5, 0.5]}, meta={"x": object()})
    assert "nothing written" in caught.value.__notes__[0]
    assert not path.exists()
