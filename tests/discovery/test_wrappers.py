"""Wrapper plugins as strangers ship them: built as wheels, installed, named by the user, run."""

import functools
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import probly.data_generator as fod
from probly.data_generator.discovery.rules import new_manager
from probly.data_generator.hookspecs import OPTIONAL, REQUIRED, hookimpl
from tests.conftest import BACKENDS
from tests.tiny import build_wheel, install

EXAMPLES = Path(__file__).parents[2] / "examples" / "wrappers"
GROUP = "probly.data_generator.wrappers"
MODULES = ("first_order_timing", "first_order_forward_cache")
TINY = {
    "broken": "raise OSError('torn')",
    "exits": "raise SystemExit(3)",
    "module": "from probly.data_generator import hookimpl\nseen = []\n\n@hookimpl(wrapper=True)\ndef forward(inputs):\n"
    "    seen.append(len(inputs))\n    return (yield)\n",
    "first": "",
    "second": "",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the two examples and a few tiny wrappers."""
    folder, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    wheels = []
    for example in ("timing", "forward_cache"):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
        done = subprocess.run([*command, copied(EXAMPLES / example, tmp_path_factory)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    wheels = list(folder.glob("*.whl"))
    assert len(wheels) == 2
    for name, source in TINY.items():
        entry = "both" if name in ("first", "second") else name
        module = f"tiny_wrapper_{name}"
        wheels.append(build_wheel(folder, f"tiny-{name}", {f"{module}.py": source}, {entry: module}, group=GROUP))
    install(target, *wheels)
    return target


def copied(project, tmp_path_factory):
    """Return a copy to build in, so that the repository stays as it is."""
    target = tmp_path_factory.mktemp("project") / project.name
    target.mkdir()
    for file in project.iterdir():
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())
    return target


@pytest.fixture
def installed(site, monkeypatch):
    """Put them on the path of this process."""
    monkeypatch.syspath_prepend(site)
    yield
    for name in [name for name in sys.modules if name.startswith("tiny_wrapper") or name in MODULES]:
        del sys.modules[name]


class Linear:
    """A NumPy model whose weights can be seen; it works in place and counts its calls."""

    calls = 0

    def __init__(self, seed=0):
        self.weights = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)

    def __call__(self, inputs):
        First.calls += 1
        inputs *= 2
        return inputs @ self.weights


First = Linear


class Filled(Linear):
    """The same with 0 in place of what is masked."""

    def __call__(self, inputs):
        return super().__call__(np.ma.filled(inputs, 0))


class ByName(Linear):
    """A model of tables, which picks columns by name."""

    def __call__(self, table):
        return table[["a", "b"]].to_numpy()


class Several(Linear):
    """A model that returns more than its scores."""

    def __call__(self, inputs):
        return {"scores": super().__call__(inputs), "hidden": inputs}


class Named:
    """A NumPy model of two inputs by name."""

    calls = 0

    def __init__(self):
        self.scale = 1.0

    def __call__(self, inputs):
        Named.calls += 1
        return self.scale * (inputs["left"] - inputs["right"])


def inputs(rows=40, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32)


def generator(model, *wrappers, **options):
    settings = {"backend": "numpy", "output_mode": "logits", "batch_size": 8, **options}
    return fod.FirstOrderDataGenerator(model, wrappers=list(wrappers), **settings)


def plain_rows(model, data, **options):
    return generator(model, **options).generate_distributions(data)


# Timing


def test_timing_counts_and_logs_every_hook_and_changes_no_row(installed, caplog, tmp_path):
    caplog.set_level(logging.INFO, "first_order_timing")
    made = generator(Linear(), "timing")
    rows = made.generate_distributions(inputs(20), out=tmp_path / "rows.fod")
    with pytest.raises(ValueError, match="no Bayesian layer"):
        made.get_posterior_distributions()
    assert rows == plain_rows(Linear(), inputs(20))
    (timing,) = made.backend.wrappers
    assert timing.calls == {
        "load_model": 3,
        "iterate_batches": 1,
        "next batch": 4,  # the last one finds the end
        "to_device": 3,
        "forward": 3,
        "to_device host": 3,
        "weight_digest": 1,
        "posterior_params": 1,
    }
    logged = Counter(record.args[0] for record in caplog.records)
    assert logged == timing.calls
    last = {record.args[0]: record.args[3] for record in caplog.records}
    assert last == timing.seconds
    assert all(seconds > 0 for seconds in last.values())
    assert len(str(timing).splitlines()) == len(last)


def test_timing_wraps_every_hook_that_there_is(installed):
    import first_order_timing

    manager = new_manager()
    manager.register(first_order_timing.Timing())
    wrapped = {name for name, caller in vars(manager.hook).items() if caller.get_hookimpls()}
    assert wrapped == {*REQUIRED, *OPTIONAL}


def test_timing_counts_a_call_that_fails(installed):
    def model(batch):
        raise ZeroDivisionError

    made = generator(model, "timing")
    with pytest.raises(ZeroDivisionError):
        made.generate_distributions(inputs())
    assert made.backend.wrappers[0].calls["forward"] == 1


def test_timing_hides_neither_the_length_nor_the_end_of_a_loader(installed):
    with pytest.warns(UserWarning, match="generated 10 distributions, but dataset length is 12"):
        generator(Linear(), "timing").generate_distributions(Lazy(10, 12))


class Lazy:
    """An iterable that announces more samples than it has."""

    def __init__(self, rows, announced):
        self.rows, self.announced = rows, announced

    def __len__(self):
        return self.announced

    def __iter__(self):
        return iter(inputs(self.rows))


# The cache


def test_the_second_run_comes_from_the_cache(installed):
    model, data = Linear(), inputs()
    cached = generator(model, "forward-cache")
    before = Linear.calls
    first = cached.generate_distributions(data)
    assert Linear.calls - before == 5
    assert cached.generate_distributions(data) == first
    assert Linear.calls - before == 5, "the model was called again"
    assert first == plain_rows(model, data)


def test_half_known_data_call_the_model_half_as_often(installed):
    model, data = Linear(), inputs()
    cached = generator(model, "forward-cache", "timing")
    cached.generate_distributions(data)
    mixed = np.concatenate([data[:16], inputs(16, seed=2)])
    before = Linear.calls
    rows = cached.generate_distributions(mixed)
    assert Linear.calls - before == 2
    assert rows == plain_rows(model, mixed)
    assert cached.backend.wrappers[1].calls["forward"] == 9, "the wrapper outside sees every call"


def test_repeated_batches_of_one_run_come_from_the_cache(installed):
    before = Linear.calls
    rows = generator(Linear(), "forward-cache").generate_distributions(np.tile(inputs(8), (5, 1)))
    assert Linear.calls - before == 1
    assert rows == plain_rows(Linear(), np.tile(inputs(8), (5, 1)))


CHANGES = {
    "weights in place": lambda model, made: model.weights.__imul__(2),
    "other weights": lambda model, made: setattr(model, "weights", -model.weights),
    "another model with the same weights": lambda model, made: setattr(made, "model", redefined()),
    "output mode": lambda model, made: setattr(made, "output_mode", "auto"),
    "device options": lambda model, made: setattr(made, "device", "host"),
}


def redefined():
    """Return a model with the name and the weights of Linear but other code, as an edited notebook cell gives one."""

    class Twin(Linear):
        def __call__(self, inputs):
            return 2 * super().__call__(inputs)

    Twin.__qualname__ = "Linear"
    return Twin()


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_answer_is_never_answered_from_the_cache(change, installed, monkeypatch):
    model, data = Linear(), inputs()
    made = generator(model, "forward-cache")
    made.generate_distributions(data)
    CHANGES[change](model, made)
    monkeypatch.setitem(globals(), "Linear", type(made.model))
    before = First.calls
    rows = made.generate_distributions(data)
    assert First.calls - before >= (1 if change == "output mode" else 5)  # "auto" asks for both modes
    assert rows == plain_rows(made.model, data, output_mode=made.output_mode)


def test_weights_that_come_back_are_known(installed):
    model, data = Linear(), inputs()
    made = generator(model, "forward-cache")
    first, weights = made.generate_distributions(data), model.weights
    model.weights = -weights
    assert made.generate_distributions(data) != first
    model.weights, before = weights, Linear.calls
    assert made.generate_distributions(data) == first
    assert Linear.calls == before


@pytest.mark.parametrize(
    "change",
    [
        lambda data: np.nextafter(data, np.float32(9)),
        lambda data: data.astype(np.float64),
        lambda data: data[:, ::-1].copy(),
        lambda data: data[:39],
    ],
)
def test_other_inputs_are_never_answered_from_the_cache(change, installed):
    made = generator(Linear(), "forward-cache")
    made.generate_distributions(inputs())
    data = change(inputs())
    np.testing.assert_array_equal(made.generate_distributions(data), plain_rows(Linear(), data))


def test_inputs_are_told_apart_by_name_and_shape(installed):
    left, right = inputs(16), inputs(16, seed=2)
    made = generator(Named(), "forward-cache", batch_size=16, input_getter=lambda sample: sample)
    first = made.generate_distributions({"left": left, "right": right})
    before = Named.calls
    assert made.generate_distributions({"left": left, "right": right}) == first
    assert Named.calls == before
    swapped = made.generate_distributions({"right": left, "left": right})
    assert Named.calls == before + 1
    np.testing.assert_allclose(swapped, plain_rows(Named(), {"left": right, "right": left}, batch_size=16))


def test_masked_arrays_are_not_cached(installed):
    """Two of them may differ in their mask alone, which their bytes do not show."""
    made = generator(Filled(), "forward-cache")
    masked = np.ma.array(inputs(), mask=np.zeros((40, 5), bool))
    before = Linear.calls
    first = made.generate_distributions(masked)
    assert made.generate_distributions(masked) == first
    assert Linear.calls - before == 10


def test_tables_and_functions_are_not_cached(installed, caplog):
    import pandas as pd

    caplog.set_level(logging.INFO, "first_order_forward_cache")
    columns = [pd.DataFrame(inputs(8), columns=list(names)) for names in ("abcde", "edcba")]

    made = generator(ByName(), "forward-cache")
    for table in columns:
        assert made.generate_distributions(table) == plain_rows(ByName(), table)
    calls = []
    made = generator(lambda batch: calls.append(1) or batch, "forward-cache")
    for _ in range(2):
        made.generate_distributions(inputs(8))
    assert len(calls) == 2, "what a function refers to cannot be seen"
    assert "cannot be seen" in caplog.text


def test_raw_outputs_are_not_cached(installed):
    made = generator(Several(), "forward-cache", output_transform=lambda raw: np.exp(raw["scores"]) * 0 + 1 / 3)
    for _ in range(2):
        assert made.generate_distributions(inputs(8)).probabilities.shape == (8, 3)


def test_rows_that_somebody_overwrites_are_remembered_as_they_were(installed):
    class Spoils:
        @hookimpl(wrapper=True)
        def forward(self):
            answer = yield
            given = answer.copy()
            answer[:] = 0
            return given

    made = generator(Linear(), "forward-cache", Spoils())
    first = made.generate_distributions(inputs())
    for _ in range(2):  # nor does what was given out go back into the cache
        assert made.generate_distributions(inputs()) == first


def test_the_cache_keeps_to_its_memory_and_drops_what_was_used_longest_ago(installed):
    import first_order_forward_cache

    small = functools.partial(first_order_forward_cache.ForwardCache, max_bytes=2 * 8 * 3 * 4)
    made = generator(Linear(), small)
    cache = made.backend.wrappers[0]
    first, second, third = inputs(8, 1), inputs(8, 2), inputs(8, 3)
    for batch in (first, second, first, third):  # the second one is dropped
        made.generate_distributions(batch)
        assert cache.bytes == sum(rows.nbytes for rows in cache.rows.values()) <= cache.max_bytes
    before = Linear.calls
    made.generate_distributions(first)
    assert Linear.calls == before
    made.generate_distributions(second)
    assert Linear.calls == before + 1
    cache.clear()
    made.generate_distributions(second)
    assert Linear.calls == before + 2
    nothing = generator(Linear(), functools.partial(first_order_forward_cache.ForwardCache, max_bytes=0))
    assert nothing.generate_distributions(first) == plain_rows(Linear(), first)
    assert nothing.backend.wrappers[0].bytes == 0


def test_a_model_that_reuses_its_memory_spoils_no_remembered_row(installed):
    class Reusing(Linear):
        def __init__(self):
            super().__init__()
            self.memory = np.empty((8, 3), np.float32)

        def __call__(self, batch):
            rows = np.exp(batch @ self.weights)
            self.memory[:] = rows / rows.sum(axis=1, keepdims=True)
            return self.memory

    Reusing.__qualname__ = "Reusing"
    globals()["Reusing"] = Reusing
    model, data = Reusing(), inputs()
    made = generator(model, "forward-cache", output_mode="probs")
    first = made.generate_distributions(data)
    again = made.generate_distributions(data)
    np.testing.assert_array_equal(first, plain_rows(model, data, output_mode="probs"))
    np.testing.assert_array_equal(again, first)


if "torch" in BACKENDS:

    def torch_model():
        import torch

        class Counting(torch.nn.Sequential):
            calls = 0
            temperature = 1.0

            def forward(self, batch):
                Counting.calls += 1
                return super().forward(batch) / self.temperature

        Counting.__qualname__ = "Counting"
        globals()["Counting"] = Counting
        torch.manual_seed(0)
        return Counting(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))

    TORCH_CHANGES = {
        "an optimizer's step": lambda model: model[0].weight.data.add_(1.0),
        "an attribute": lambda model: setattr(model, "temperature", 3.0),
        "a submodule": lambda model: model.__setitem__(1, __import__("torch").nn.Tanh()),
    }

    @pytest.mark.parametrize("change", TORCH_CHANGES)
    def test_both_wrappers_on_torch(change, installed, caplog):
        caplog.set_level(logging.INFO, "first_order_timing")
        model, data = torch_model(), inputs()
        made = generator(model, "forward-cache", "timing", backend="torch")
        first = made.generate_distributions(data)
        called = model.calls
        assert made.generate_distributions(data) == first
        assert model.calls == called, "the model was called again"
        mixed = np.concatenate([data[:16], inputs(16, seed=2)])
        before = type(model).calls
        rows = made.generate_distributions(mixed)
        assert type(model).calls - before == 2
        assert rows == plain_rows(model, mixed, backend="torch")
        TORCH_CHANGES[change](model)
        changed = made.generate_distributions(data)
        assert changed != first
        assert changed == plain_rows(model, data, backend="torch")
        assert {"load_model", "iterate_batches", "next batch", "to_device", "forward", "to_device host"} <= {
            record.args[0] for record in caplog.records
        }


# Choosing wrappers


def test_an_installed_wrapper_is_never_active_by_itself(site):
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import numpy as np, probly.data_generator as fod\n"
        "made = fod.FirstOrderDataGenerator(lambda x: x, backend='numpy')\n"
        "made.generate_distributions(np.eye(3))\n"
        "assert made.backend.wrappers == ()\n"
        "print([name for name in sys.modules if name.startswith(('first_order_', 'tiny_'))], list(fod.list_backends()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] [")
    assert "timing" not in done.stdout


def test_a_module_is_a_wrapper(installed):
    made = generator(Linear(), "module")
    made.generate_distributions(inputs(20))
    assert sys.modules["tiny_wrapper_module"].seen == [8, 8, 4]
    assert made.backend.wrappers == (sys.modules["tiny_wrapper_module"],)


def test_every_generator_gets_its_own_from_a_class(installed):
    first, second = (generator(Linear(), "timing").backend.wrappers[0] for _ in range(2))
    assert first is not second
    assert first.calls["load_model"] == 1


def test_unknown_wrappers_list_the_installed_ones(installed):
    with pytest.raises(
        ValueError, match=r"Unknown wrapper: timming \(installed wrappers: .*forward-cache.*timing\); did"
    ):
        generator(Linear(), "timming")


def test_a_name_of_two_distributions_is_refused(installed):
    with pytest.raises(fod.AmbiguousBackendError, match=r"wrapper 'both': claimed by tiny-first 1.0 and tiny-second"):
        generator(Linear(), "both")


@pytest.mark.parametrize(("name", "cause"), [("broken", "OSError: torn"), ("exits", "SystemExit: 3")])
def test_a_broken_wrapper_says_so_and_harms_no_other(name, cause, installed):
    with pytest.raises(
        fod.BrokenBackendError, match=f"wrapper '{name}' .tiny-{name} 1.0. is installed but broken: {cause}"
    ):
        generator(Linear(), name)
    generator(Linear(), "timing").generate_distributions(inputs(8))


def test_a_plain_implementation_answers_first_or_passes():
    class EveryOther:
        def __init__(self):
            self.asked = 0

        @hookimpl(tryfirst=True)
        def forward(self, inputs):
            self.asked += 1
            return np.full((len(inputs), 3), 1 / 3, np.float32) if self.asked % 2 else None

    rows = generator(Linear(), EveryOther(), output_mode="probs", batch_size=4).generate_distributions(
        np.full((4, 5), 0.0, np.float32)
    )
    np.testing.assert_allclose(rows, np.full((4, 3), 1 / 3), rtol=1e-6)
    mixed = generator(Linear(), EveryOther()).generate_distributions(inputs(16))
    np.testing.assert_allclose(mixed.probabilities[:8], np.full((8, 3), 1 / 3), rtol=1e-6)
    np.testing.assert_array_equal(mixed.probabilities[8:], plain_rows(Linear(), inputs(16)).probabilities[8:])


def test_what_does_not_fit_is_refused():
    class Replaces:
        @hookimpl
        def forward(self, model):
            return None

    class Late:
        @hookimpl(trylast=True)
        def forward(self, model):
            return None

    class Default:
        @hookimpl(wrapper=True)
        def forward(self, inputs, batch_size=3):
            return (yield)

    class Nothing:
        def forward(self, inputs):
            return inputs

    replaces = r"would replace the hook forward; use @hookimpl\(wrapper=True\), or @hookimpl\(tryfirst=True\)"
    cases = {Replaces: replaces, Late: replaces, Default: "remove the default", Nothing: "got a Nothing without any"}
    for kind, says in cases.items():
        with pytest.raises(TypeError, match=says):
            generator(Linear(), kind())
    twice = type("Twice", (), {"forward": hookimpl(wrapper=True)(lambda self: (yield))})()
    with pytest.raises(TypeError, match="already registered"):
        generator(Linear(), twice, twice)


def test_a_wrapper_around_an_optional_hook_does_not_make_it_exist():
    class Around:
        @hookimpl(wrapper=True)
        def recognizes(self):
            return (yield)

        @hookimpl(wrapper=True)
        def forward(self):
            return (yield)

    backend = generator(Linear(), Around()).backend
    assert not backend.has("recognizes")
    assert backend.has("forward")
    assert backend.has("is_out_of_memory")


def test_the_examples_are_short():
    for file in EXAMPLES.rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 100, file
