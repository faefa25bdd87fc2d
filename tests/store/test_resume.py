"""Going on with a store: what must be the same, what may differ, who may write, and in which order."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from probly.data_generator import AlignmentError, InvalidOutputError, SimpleDataLoader, StoreError
from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.run.identity import SAMPLES, describe_dataset
from probly.data_generator.store import load, open_partial, open_store
from probly.data_generator.toolkit.digest import digest_state
from tests.store import stores

ROOT = Path(__file__).parents[2]


class Counting:
    """Counts the rows that the model computes."""

    def __init__(self):
        self.rows, self.modes = 0, []

    @hookimpl(wrapper=True)
    def forward(self, inputs, output_mode):
        self.rows += len(inputs)
        self.modes.append(output_mode)
        return (yield)


class Images:
    """A dataset that is read sample by sample."""

    def __init__(self, inputs=stores.INPUTS, labels=stores.LABELS):
        self.inputs, self.labels, self.read = inputs, labels, []

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        self.read.append(index)
        return self.inputs[index], int(self.labels[index])


def shard(path, number):
    return path / "shards" / sorted(os.listdir(path / "shards"))[number]


def test_a_complete_store_returns_at_once(tmp_path):
    path, counting = tmp_path / "a.fod", Counting()
    first = stores.run(path)
    again = stores.run(path, wrappers=[counting])
    assert counting.rows == 0
    assert again == first
    assert again.meta == first.meta
    assert load(path)[0] == first


@pytest.mark.parametrize("removed", [c for n in (1, 2, 5) for c in itertools.combinations(range(5), n)])
def test_gaps_are_filled_and_nothing_else_is_computed(tmp_path, removed):
    path, counting = tmp_path / "a.fod", Counting()
    stores.run(path)
    before = {name: (path / "shards" / name).read_bytes() for name in os.listdir(path / "shards")}
    rows = 0
    for number in sorted(removed, reverse=True):
        start, stop = shard(path, number).stem.split("-")
        rows += int(stop) - int(start)
        shard(path, number).unlink()
    assert stores.agrees(stores.run(path, wrappers=[counting]))
    assert counting.rows == rows
    assert set(counting.modes) == {"logits"}  # what "auto" was settled to is not asked again
    after = {name: (path / "shards" / name).read_bytes() for name in os.listdir(path / "shards")}
    assert after == before or len(removed) > 1  # neighbouring gaps may be cut into other shards


def test_another_batch_size_computes_whole_batches_and_keeps_what_is_missing(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path)
    shard(path, 1).unlink()
    counting = Counting()
    assert stores.agrees(stores.run(path, batch_size=7, wrappers=[counting]))
    assert counting.rows == 14  # rows 7 to 20 for the rows 10 to 19
    for size in (1, 9, 10, 11, stores.ROWS, 1000):
        shard(path, 2).unlink()
        assert stores.agrees(stores.run(path, batch_size=size))


def test_what_is_published_is_not_read_again(tmp_path):
    path, dataset = tmp_path / "a.fod", Images()
    stores.run(path, dataset)
    shard(path, 4).unlink()
    shard(path, 3).unlink()
    again, probed = Images(), Images()
    describe_dataset(probed)
    assert stores.agrees(stores.run(path, again))
    assert again.read == [*probed.read, *range(30, stores.ROWS)]


def counted(rule):
    """Return an index_getter that applies a rule to 0, 1, 2, ..."""
    numbers = itertools.count()
    return lambda sample: rule(next(numbers))


class Tensors:
    """What a TensorDataset of any framework looks like; its samples may be made of more than its tensors."""

    def __init__(self, *tensors, add=0.0):
        self.tensors, self.add = tensors, add

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        first, *rest = (tensor[index] for tensor in self.tensors)
        return (first + self.add, *rest)


def test_a_dataset_that_announces_its_tensors_is_told_apart_exactly():
    many = np.zeros((SAMPLES * 50, 2))
    changed_row = many.copy()
    changed_row[17] = 1  # not among the samples
    one = describe_dataset(Tensors(many))
    assert one == describe_dataset(Tensors(many.copy()))
    assert one["type"] == "Tensors"
    other = describe_dataset(Tensors(changed_row))
    assert other["tensors"] != one["tensors"]
    assert other["content"] == one["content"]
    # The tensors are not all that a subclass's samples depend on.
    added = describe_dataset(Tensors(many, add=1.0))
    assert added["tensors"] == one["tensors"]
    assert added["content"] != one["content"]
    assert "tensors" not in describe_dataset(Tensors(many[:0], [1, 2]))
    lying = Tensors(many)
    lying.tensors = [many]
    assert "tensors" not in describe_dataset(lying)


def test_a_tensor_dataset_of_torch_is_told_apart_exactly():
    import torch

    inputs, labels = torch.zeros(SAMPLES * 50, 2), torch.zeros(SAMPLES * 50)
    first = describe_dataset(torch.utils.data.TensorDataset(inputs, labels))
    labels[17] = 1
    second = describe_dataset(torch.utils.data.TensorDataset(inputs, labels))
    assert first["content"] == second["content"]
    assert first["tensors"]["0"] == second["tensors"]["0"]
    assert first["tensors"]["1"] != second["tensors"]["1"]


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_no_backend_reads_again_what_is_published(tmp_path, backend):
    path = tmp_path / "a.fod"
    options = {"model": lambda inputs: inputs * 2.0, "output_mode": "logits", "backend": backend}
    before = np.asarray(stores.run(path, Images(), **options)).tobytes()
    shard(path, 4).unlink()
    shard(path, 3).unlink()
    again, probed = Images(), Images()
    describe_dataset(probed)
    assert np.asarray(stores.run(path, again, **options)).tobytes() == before
    assert again.read == [*probed.read, *range(30, stores.ROWS)]


@pytest.mark.parametrize("getter", [None, lambda sample: sample[0]])
def test_a_pipeline_of_samples_goes_on_where_the_store_ends(tmp_path, getter):
    import tensorflow as tf

    from probly_data_generator_tensorflow.data import tf_batches

    path, pipeline = tmp_path / "a.fod", tf.data.Dataset.from_tensor_slices(stores.DATA)
    batches = tf_batches(pipeline, 5, getter, None, batched=False, input_shapes={}, start=30)
    assert batches.length == stores.ROWS
    found = list(batches)
    assert [batch.indices.tolist() for batch in found] == [
        list(range(start, min(start + 5, stores.ROWS))) for start in range(30, stores.ROWS, 5)
    ]
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), stores.INPUTS[30:])
    options = {"model": lambda inputs: inputs * 2.0, "output_mode": "logits", "backend": "tensorflow"}
    options |= {"input_getter": getter, "batched": False}
    before, counting = np.asarray(stores.run(path, pipeline, **options)).tobytes(), Counting()
    shard(path, 3).unlink()
    assert np.asarray(stores.run(path, pipeline, wrappers=[counting], **options)).tobytes() == before
    assert counting.rows == 10


# Keys of the samples.

NAMES = [f"n{number:03}.JPEG" for number in range(stores.ROWS)]


@pytest.mark.parametrize("keys", [NAMES, np.array(NAMES), list(range(100, 100 + stores.ROWS))], ids=type)
def test_keys_stand_beside_the_rows(tmp_path, keys):
    path = tmp_path / "a.fod"
    assert stores.run(path, keys=keys).sample_keys.tolist() == list(keys)
    shard(path, 3).unlink()
    shard(path, 1).unlink()
    partial = open_partial(path) if not (path / "manifest.json").unlink() else None
    assert partial.sample_keys.tolist() == [keys[index] for index in partial]
    store = stores.run(path, keys=keys)
    assert stores.agrees(store)
    assert store.sample_keys.tolist() == list(keys)
    store.verify()
    assert open_store(path).sample_keys.tolist() == list(keys)
    stores.run(path, keys=keys)


def test_a_store_without_keys_says_so(tmp_path):
    assert stores.run(tmp_path / "a.fod").sample_keys is None


def test_other_keys_are_refused(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, keys=NAMES)
    for finished in (True, False):
        for keys in (None, NAMES[::-1], NAMES[:-1], list(range(stores.ROWS))):
            with pytest.raises(StoreError, match="keys: the store has '43 sha256"):
                stores.run(path, keys=keys)
        if finished:
            (path / "manifest.json").unlink()
            shard(path, 2).unlink()


@pytest.mark.parametrize("count", [0, stores.ROWS - 1, stores.ROWS + 1])
@pytest.mark.parametrize(
    "data", [lambda: stores.DATA, lambda: zip(*stores.DATA, strict=True)], ids=["known", "unknown"]
)
def test_there_is_one_key_per_sample(tmp_path, count, data):
    keys = [str(number) for number in range(count)] or np.zeros(0, int)
    with pytest.raises(AlignmentError, match=f"keys: expected one per sample, got {count}"):
        stores.run(tmp_path / "a.fod", data(), keys=keys)


@pytest.mark.parametrize("keys", [[1.5] * 43, ["a", *range(42)], [[1]] * 43, [True] * 43, [None] * 43, [b"a"] * 43])
def test_keys_are_text_or_integers(tmp_path, keys):
    with pytest.raises(TypeError, match="keys: expected a list of text or of integers"):
        stores.run(tmp_path / "a.fod", keys=keys)
    with pytest.raises(ValueError, match="kept by a store only"):
        stores.generator().generate_distributions(stores.DATA, keys=keys)
    assert os.listdir(tmp_path) == []


def loader_of_lists():
    return SimpleDataLoader(stores.DATA, 4)


@pytest.mark.parametrize(
    "dataset",
    [lambda: stores.DATA, lambda: list(zip(*stores.DATA, strict=True)), Images, loader_of_lists,
     lambda: (sample for sample in zip(*stores.DATA, strict=True))],
)  # fmt: skip
def test_every_kind_of_dataset_in_order(tmp_path, dataset):
    path = tmp_path / "a.fod"
    assert stores.agrees(stores.run(path, dataset()))
    for number in (3, 0):
        shard(path, number).unlink()
        assert stores.agrees(stores.run(path, dataset()))


@pytest.mark.parametrize(
    ("dataset", "options"),
    [
        (SimpleDataLoader(stores.DATA, 4, shuffle=True, seed=0), {}),
        (stores.INPUTS, {"index_getter": lambda sample: 7}),
        (stores.INPUTS, {"index_getter": counted(lambda number: number // 2)}),
        (stores.INPUTS, {"index_getter": counted(lambda number: 100 - number)}),
        (stores.INPUTS, {"index_getter": counted(lambda number: 2 * number)}),
    ],
)
def test_any_other_order_is_refused_before_anything_is_computed(tmp_path, dataset, options):
    counting = Counting()
    with pytest.raises(AlignmentError, match="written in dataset order; pass the dataset or an unshuffled loader"):
        stores.run(tmp_path / "a.fod", dataset, wrappers=[counting], **options)
    assert counting.rows == 0


class Renamed(stores.Linear):
    pass


def other_labels():
    return (stores.INPUTS, stores.LABELS[::-1])


def changed(inputs):
    return inputs


def swapped():
    inputs = stores.INPUTS.copy()
    inputs[[3, 4]] = inputs[[4, 3]]
    return inputs, stores.LABELS


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (stores.DATA, {"model": stores.Linear(2.5)}, "model weights: the store has 'sha256:"),
        (stores.DATA, {"model": Renamed()}, "model type: the store has 'Linear', this run has 'Renamed'"),
        (stores.DATA, {"model_name": "b"}, "model name: the store has None, this run has 'b'"),
        (stores.DATA, {"output_mode": "logits"}, "output_mode: the store has 'auto', this run has 'logits'"),
        (stores.DATA, {"class_names": ["a", "b", "c"]}, "class_names: the store has None"),
        (stores.DATA, {"output_transform": changed}, "output_transform: the store has None, this run has .*changed"),
        (stores.DATA, {"input_getter": changed}, "input_getter: the store has None"),
        (stores.DATA, {"representation": "float16"}, "representation: the store has 'float32', this run has 'float16'"),
        (stores.DATA, {"representation": "top-2"}, "representation"),
        (swapped(), {}, "dataset content 0: the store has 'float32.*sha256"),
        (other_labels(), {}, "dataset content 1"),
        ((stores.INPUTS[:-1], stores.LABELS[:-1]), {}, r"dataset content 0: .*\[43, 3\].*\[42, 3\]"),
        ((stores.INPUTS[::-1], stores.LABELS), {}, "dataset content 0"),
        ((stores.INPUTS.astype(float), stores.LABELS), {}, "float64"),
        (Images(), {}, "dataset type: the store has 'arrays', this run has 'Images'"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_identity_is_refused_by_name(tmp_path, data, options, says, finished):
    path = tmp_path / "a.fod"
    stores.run(path)
    if not finished:
        (path / "manifest.json").unlink()
        shard(path, 2).unlink()
    before = sorted(path.rglob("*"))
    with pytest.raises(StoreError, match=f"was begun by another run; .*{says}.*Undo the change"):
        stores.run(path, data, **options)
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("change", ["swap", "replace", "remove"])
def test_samples_are_told_apart_too(tmp_path, change):
    inputs, labels = stores.INPUTS.copy(), stores.LABELS
    first = Images(inputs[:SAMPLES], labels[:SAMPLES])
    second = Images(inputs[:SAMPLES].copy(), labels[:SAMPLES])
    if change == "swap":
        second.inputs[[1, 2]] = second.inputs[[2, 1]]
    elif change == "replace":
        second.inputs[7] += 1e-6
    else:
        second = Images(inputs[: SAMPLES - 1], labels[: SAMPLES - 1])
    stores.run(tmp_path / "a.fod", first)
    with pytest.raises(StoreError, match=r"dataset (content|length)"):
        stores.run(tmp_path / "a.fod", second)


def test_the_share_of_changes_that_a_sample_misses_is_the_documented_one():
    random, length, share, missed = np.random.default_rng(0), 2000, 0.05, 0
    original = describe_dataset(Images(np.zeros((length, 1)), np.zeros(length)))
    for _ in range(100):
        inputs = (random.random((length, 1)) < share).astype(float)
        missed += describe_dataset(Images(inputs, np.zeros(length))) == original
    assert missed / 100 == pytest.approx((1 - share) ** SAMPLES, abs=0.1)


def test_random_samples_do_not_count_as_another_dataset(tmp_path):
    class Augmented(Images):
        def __getitem__(self, index):
            return self.inputs[index] + np.random.default_rng().normal(size=3), 0

    assert describe_dataset(Augmented())["content"] == "random"


def test_an_iterator_is_not_used_up():
    numbers = iter(range(5))
    describe_dataset(numbers)
    assert list(numbers) == [0, 1, 2, 3, 4]


def test_a_function_without_visible_weights_says_so(tmp_path):
    weights = np.eye(3, dtype=np.float32)
    store = stores.run(tmp_path / "a.fod", model=lambda inputs: inputs @ weights)
    assert store.spec.identity["model"]["weights"] is None
    assert "lambda" in store.spec.identity["model"]["type"]
    assert digest_state(stores.Linear()) != digest_state(stores.Linear(3)) != ""


def test_batch_size_loader_and_metadata_may_change(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path)
    shard(path, 2).unlink()
    assert stores.agrees(stores.run(path, loader_of_lists(), batch_size=3, shard_megabytes=1, shard_seconds=1))


def test_another_number_of_classes_is_refused(tmp_path):
    path, classes = tmp_path / "a.fod", [3]

    def model(inputs):
        return np.ones((len(inputs), classes[0]), np.float32)

    stores.run(path, model=model)
    shard(path, 2).unlink()
    classes[0] = 4
    with pytest.raises(InvalidOutputError, match="expected 3 classes as in the store, got 4"):
        stores.run(path, model=model)


def test_a_wrong_length_is_reported_as_in_memory(tmp_path):
    class Iterable:
        def __len__(self):
            return 60

        def __iter__(self):
            return zip(*stores.DATA, strict=True)

    with pytest.warns(UserWarning, match="generated 43 distributions, but dataset length is 60"):
        store = stores.run(tmp_path / "a.fod", Iterable())
    assert stores.agrees(store)


def test_a_dataset_that_became_shorter_is_refused(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, iter(list(zip(*stores.DATA, strict=True))))
    (path / "manifest.json").unlink()
    with pytest.raises(AlignmentError, match="holds rows up to 43, but the dataset ended at 20"):
        stores.run(path, iter(list(zip(*stores.DATA, strict=True))[:20]))


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 9, 10, 11])
def test_few_rows(tmp_path, count):
    path, data = tmp_path / "a.fod", (stores.INPUTS[:count], stores.LABELS[:count])
    for _ in range(2):
        store = stores.run(path, data)
        assert len(store) == count
        np.testing.assert_array_equal(np.asarray(store).reshape(-1), stores.EXPECTED.probabilities[:count].reshape(-1))


def test_labels_of_some_batches_only_are_none(tmp_path):
    samples = [(row, 0) if number < 20 else (row, None) for number, row in enumerate(stores.INPUTS)]
    assert stores.run(tmp_path / "a.fod", samples).labels is None


@pytest.mark.parametrize("path", ["a.json", "a", "fod"])
def test_a_store_is_called_fod(tmp_path, path):
    with pytest.raises(ValueError, match=r"ends in \.fod"):
        stores.run(tmp_path / path)


@pytest.mark.parametrize("limits", [{"shard_megabytes": 0}, {"shard_seconds": -1}, {"shard_megabytes": float("nan")}])
def test_limits_are_positive(tmp_path, limits):
    with pytest.raises(ValueError, match="expected more than 0"):
        stores.run(tmp_path / "a.fod", **limits)


# One writer at a time.

HOLDER = """
    import sys
    from probly.data_generator import batches, checking
    from tests.store import stores

    batches.QUICK = checking.LONGEST_WAIT = 0  # what is computed is written before the next batch

    class Linear(stores.Linear):
        def __call__(self, inputs):
            if stores.np.array_equal(inputs[0], stores.INPUTS[25]):
                print("writing", flush=True)
                sys.stdin.read()
            return super().__call__(inputs)

    stores.run(sys.argv[1], model=Linear())
"""


def test_a_second_writer_fails_at_once_and_a_killed_one_is_no_obstacle(tmp_path):
    path = tmp_path / "a.fod"
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"writing\n"
        with pytest.raises(StoreError, match="another writer is at work on this store"):
            stores.run(path)
        seen = open_partial(path)  # reading is not writing
        assert 0 < len(seen) < stores.ROWS
        with pytest.raises(StoreError, match="incomplete"):
            open_store(path)
        holder.kill()
    assert stores.agrees(stores.run(path))


def test_a_writer_that_is_paused_is_not_dead(tmp_path):
    path = tmp_path / "a.fod"
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"writing\n"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreError, match="another writer is at work on this store"):
            stores.run(path)
        holder.kill()  # works on a stopped process, too
        holder.wait()
        assert stores.agrees(stores.run(path))


def test_two_writers_in_one_process(tmp_path):
    path = tmp_path / "a.fod"

    class Nested(stores.Linear):
        def __call__(self, inputs):
            with pytest.raises(StoreError, match="another writer"):
                stores.run(path)
            return super().__call__(inputs)

    Nested.__qualname__ = "Linear"
    assert stores.agrees(stores.run(path, model=Nested()))


@pytest.mark.filterwarnings("ignore:.*fork")  # of JAX, if another test has started its threads
def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    path, pids = tmp_path / "a.fod", []
    reading, writing = os.pipe()

    class Forking(stores.Linear):
        def __call__(self, inputs):
            if not pids:
                pids.append(os.fork())
                if not pids[0]:
                    os.close(writing)
                    os.read(reading, 1)  # outlives the writer
                    os._exit(0)
            raise RuntimeError

    Forking.__qualname__ = "Linear"
    with pytest.raises(RuntimeError):
        stores.run(path, model=Forking())
    assert stores.agrees(stores.run(path))
    os.close(writing)
    os.waitpid(pids[0], 0)
    os.close(reading)


# Against a plain list.


class Machine(RuleBasedStateMachine):
    """Any sequence of interrupted runs, damage that is repaired, and looks at the store."""

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.fod"
        self.safe = set()

    def teardown(self):
        self.folder.cleanup()

    @rule(
        stop=st.integers(0, stores.ROWS - 1), size=st.integers(1, 50), shard=st.integers(1, 30), labelled=st.booleans()
    )
    def crash(self, stop, size, shard, labelled):
        row = stores.INPUTS[stop]

        class Linear(stores.Linear):
            def __call__(self, inputs):
                if (inputs == row).all(axis=1).any():
                    raise KeyboardInterrupt
                return super().__call__(inputs)

        Linear.__qualname__ = "Linear"
        try:
            stores.run(
                self.path, model=Linear(), batch_size=size, shard_megabytes=shard * 12 / 2**20, output_mode="logits"
            )
        except KeyboardInterrupt:
            return
        assert len(open_store(self.path)) == stores.ROWS

    @rule(size=st.integers(1, 50), shard=st.integers(1, 30))
    def finish(self, size, shard):
        assert stores.agrees(
            stores.run(self.path, batch_size=size, shard_megabytes=shard * 12 / 2**20, output_mode="logits")
        )

    @rule(choice=st.randoms(use_true_random=False))
    def lose_a_shard(self, choice):
        names = sorted(os.listdir(self.path / "shards")) if self.path.exists() else []
        if names:
            name = choice.choice(names)
            (self.path / "shards" / name).unlink()
            start, stop = map(int, name.partition(".")[0].split("-"))
            self.safe -= set(range(start, stop))

    @invariant()
    def holds_what_the_list_holds(self):
        if not (self.path / "spec.json").exists():
            return
        store = open_partial(self.path)
        held = list(store)
        assert held == sorted(set(held))
        assert self.safe <= set(held)
        for index in held:
            assert store[index].tobytes() == stores.EXPECTED[index].tobytes()
        assert [index for index in range(-2, stores.ROWS + 2) if index in store] == held
        assert store.missing(stores.ROWS).tolist() == sorted(set(range(stores.ROWS)) - set(held))
        self.safe = set(held)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)


# Weights of the frameworks.


def digest(backend, model):
    from probly.data_generator import FirstOrderDataGenerator

    generator = FirstOrderDataGenerator(model, backend=backend)
    return generator.backend.hook.weight_digest(model=generator._loaded)


def torch_model(seed):
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)).bfloat16()


def nnx_model(seed):
    from flax import nnx

    return nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(seed)), nnx.Dropout(0.5, rngs=nnx.Rngs(9)))


def equinox_model(seed):
    import equinox
    import jax

    return equinox.nn.MLP(3, 3, 4, 1, key=jax.random.key(seed))


def keras_model(seed):
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("backend", "build"),
    [
        ("numpy", stores.Linear),
        ("torch", torch_model),
        ("jax", nnx_model),
        ("jax", equinox_model),
        ("tensorflow", keras_model),
    ],
)
def test_weights_are_told_apart_in_every_framework(backend, build):
    assert digest(backend, build(0)).startswith("sha256:")
    assert digest(backend, build(0)) == digest(backend, build(0))
    assert digest(backend, build(0)) != digest(backend, build(1))


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_the_weights_of_a_function_cannot_be_seen(backend):
    assert digest(backend, lambda inputs: inputs) == ""
