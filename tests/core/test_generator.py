"""What the generator itself promises, shown on the agnostic backend."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, hookimpl
from probly.data_generator.testing import reference

LOGITS = reference.samples(rows=20, shape=(3,))[0]


def generator(model=lambda batch: batch, **options):
    return FirstOrderDataGenerator(model, **{"backend": "numpy", **options})


@pytest.mark.parametrize("wrong", ["softmax", "", None, 3])
def test_output_mode_is_checked(wrong):
    with pytest.raises(ValueError, match="Invalid output_mode"):
        generator(output_mode=wrong)


def test_ctrl_c_closes_the_dataset_and_passes():
    closed = []

    def stream():
        try:
            yield from LOGITS
        finally:
            closed.append(True)

    def model(batch):
        raise KeyboardInterrupt

    samples = stream()
    with pytest.raises(KeyboardInterrupt):
        generator(model, batch_size=4).generate_distributions(samples)
    samples.close()
    assert closed == [True]


def test_labels_that_are_no_array_do_not_matter():
    samples = [(row, {"boxes": np.zeros(index)}) for index, row in enumerate(LOGITS)]
    assert generator(output_mode="logits").generate_distributions(samples).labels is None


@pytest.mark.parametrize("common", [{"box": 1, "area": 2}, (1, 2), None])
@pytest.mark.parametrize("other", [None, {"box": 1}, {"box": 1, "area": 2, "crowd": 0}, (1,), 3])
@pytest.mark.parametrize("out", [None, "run.fod"])
def test_labels_of_several_kinds_in_a_batch_end_no_run(common, other, out, tmp_path):
    samples = [(row, other if index % 8 == 3 else common) for index, row in enumerate(LOGITS)]
    made = generator(output_mode="logits", batch_size=8)
    distributions = made.generate_distributions(samples, out=out and tmp_path / out)
    assert len(distributions) == 20
    if (common, other) == (None, 3):  # a row without a label
        np.testing.assert_array_equal(distributions.labels, np.where(np.arange(20) % 8 == 3, 3, -1))
    else:
        assert distributions.labels is None


@pytest.mark.parametrize("other", [{"left": LOGITS[0]}, {"left": LOGITS[0], "right": 0, "more": 1}, LOGITS[0]])
@pytest.mark.parametrize("wrap", [lambda sample: sample, lambda sample: {"views": sample}])
def test_samples_with_other_keys_are_refused(other, wrap):
    """Taking those of the first sample would drop the others without a word."""
    samples = [wrap(sample) for sample in [*({"left": row, "right": 0} for row in LOGITS[:5]), other]]
    with pytest.raises(ValueError, match=r"expected samples with the keys \['left', 'right'\], got ") as caught:
        generator(lambda batch: batch["left"], output_mode="logits").generate_distributions(samples)
    assert any("the samples 0 to 5" in note for note in caught.value.__notes__)


def test_progress_is_quiet_where_nobody_watches(capsys):
    generator().generate_distributions(LOGITS, progress=True)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    generator(batch_size=5).generate_distributions(LOGITS, progress=True)
    assert "20 of 20 rows" in screen.getvalue()
    screen.truncate(0)
    generator(batch_size=5).generate_distributions(LOGITS, progress=False)
    assert not screen.getvalue().strip("\0")


def test_class_names_must_fit():
    with pytest.raises(ValueError, match="expected 3 names, one per class, got 2"):
        generator(class_names=["a", "b"]).generate_distributions(LOGITS)


def test_models_by_import_path():
    assert generator("numpy:exp").model == "numpy:exp"
    with pytest.raises(ImportError, match="has no attribute 'nope'"):
        generator("numpy:nope")
    with pytest.raises(ValueError, match="module:attribute"):
        generator("model.bin")
    with pytest.raises(TypeError, match="expected a callable"):
        generator(3)


def test_weights_changed_between_runs_are_used():
    model = type("Model", (), {"scale": 1.0, "__call__": lambda self, batch: batch * self.scale})()
    made = generator(model, output_mode="logits")
    first = made.generate_distributions(LOGITS)
    model.scale = 2.0
    np.testing.assert_allclose(
        made.generate_distributions(LOGITS).probabilities, reference.softmax(2 * LOGITS), atol=1e-6
    )
    np.testing.assert_allclose(first.probabilities, reference.softmax(LOGITS), atol=1e-6)


def test_a_loader_may_reuse_the_memory_of_its_labels():
    labels = np.empty(5, np.int64)

    def batches():
        for start in range(0, 20, 5):
            labels[:] = np.arange(start, start + 5)
            yield LOGITS[start : start + 5], labels

    distributions = generator(output_mode="logits", batched=True).generate_distributions(batches())
    np.testing.assert_array_equal(distributions.labels, np.arange(20))


@pytest.mark.parametrize("option", ["input_getter", "index_getter", "output_transform"])
def test_options_must_be_functions(option):
    with pytest.raises(TypeError, match=f"{option}: expected a function, got 'softmax'"):
        generator(**{option: "softmax"})


@pytest.mark.parametrize("names", [{"a", "b", "c"}, "abc", frozenset("abc"), 3])
def test_class_names_must_have_an_order(names):
    with pytest.raises(TypeError, match="expected a list of names in the order of the columns"):
        generator(class_names=names)


class Classes:
    """A scikit-learn style model with classes that are no column numbers."""

    classes_ = np.array([1, 5, 7])

    def predict_proba(self, batch):
        return reference.softmax(batch)


def test_labels_are_found_by_the_models_own_classes():
    from probly.data_generator import create_data_generator

    labels = Classes.classes_[LOGITS.argmax(axis=1)]
    for given in (labels, labels.astype(float), labels.astype(str)):
        report = create_data_generator("numpy", Classes(), (LOGITS, given)).generate()
        assert report["metrics"]["accuracy"] == 1.0
        assert set(report["class_distribution"]["ground_truth"]) == {"1", "5", "7"}


def test_names_that_stand_twice_are_not_added_up():
    from probly.data_generator import create_data_generator

    made = create_data_generator("numpy", lambda batch: batch, LOGITS, class_names=["crane", "crane", "heron"])
    assert list(made.generate()["class_distribution"]["predicted"]) == ["0", "1", "2"]


def test_a_transform_takes_the_models_class_names_away():
    transformed = generator(Classes(), output_transform=lambda rows: rows[:, ::-1]).generate_distributions(LOGITS)
    assert transformed.class_names is None
    assert generator(Classes()).generate_distributions(LOGITS).class_names == ["1", "5", "7"]
    assert generator(Classes(), class_names=list("abc")).generate_distributions(LOGITS).class_names == ["a", "b", "c"]


def test_labels_in_a_list_are_labels():
    batches = [(LOGITS[:10], list(range(10))), (LOGITS[10:], tuple(range(10, 20)))]
    distributions = generator(output_mode="logits", batched=True).generate_distributions(batches)
    np.testing.assert_array_equal(distributions.labels, np.arange(20))


def test_labels_of_changing_shape_are_none():
    batches = [(LOGITS[:10], np.zeros((10, 2))), (LOGITS[10:], np.zeros((10, 3)))]
    assert generator(output_mode="logits", batched=True).generate_distributions(batches).labels is None


def test_the_dataset_is_closed_when_a_run_fails():
    closed = []

    class Batches:
        length = None

        def __iter__(self):
            return iter(())

        def close(self):
            closed.append(True)

    class Watch:
        from probly.data_generator.hookspecs import hookimpl

        @hookimpl(wrapper=True)
        def iterate_batches(self):
            yield
            return Batches()

    generator(wrappers=[Watch()]).generate_distributions(LOGITS)
    assert closed == [True]


@pytest.mark.parametrize("model", ["model.mine", Path("weights.bin"), (lambda: None, "weights.mine")])
def test_a_file_of_a_suffix_that_no_backend_claims_needs_a_backend(model):
    says = r"no installed backend claims the suffix '.*set backend=..., one of .*'numpy'"
    with pytest.raises(ValueError, match=says):
        FirstOrderDataGenerator(model)


def test_an_import_path_tells_its_framework():
    assert FirstOrderDataGenerator("numpy:exp").backend.info.name == "numpy"


def test_the_promised_signature():
    import inspect

    parameters = inspect.signature(FirstOrderDataGenerator).parameters
    promised = ["model", "device", "batch_size", "output_mode", "output_transform", "input_getter", "model_name"]
    assert list(parameters)[:7] == promised
    assert [parameters[name].default for name in promised[1:]] == [None, 64, "auto", None, None, None]
    assert parameters["backend"].default == "auto"


def test_a_wrong_number_of_class_names_is_known_after_the_second_batch():
    batches = []

    def model(batch):
        batches.append(len(batch))
        return batch

    made = generator(model, class_names=["a", "b"], output_mode="logits", batch_size=1)
    with pytest.raises(ValueError, match="expected 3 names, one per class, got 2"):
        made.generate_distributions(np.tile(LOGITS, (10, 1)))
    assert len(batches) == 2


def test_an_absurd_length_costs_no_memory():
    class Endless:
        def __len__(self):
            return 2**62

        def __iter__(self):
            return iter(LOGITS)

    with pytest.warns(UserWarning, match="but dataset length is"):
        assert len(generator(output_mode="logits").generate_distributions(Endless())) == 20


def test_a_live_model_is_loaded_once_for_its_first_run_and_once_for_each_later_one():
    loaded = []

    class Watch:
        @hookimpl(wrapper=True)
        def load_model(self, source):
            loaded.append(source)
            return (yield)

    made = generator("numpy:exp", wrappers=[Watch()])
    for _ in range(3):
        made.generate_distributions(LOGITS)
    assert len(loaded) == 1, "the path of a model means the same model"
    made = generator(np.exp, wrappers=[Watch()])
    for _ in range(3):
        made.generate_distributions(LOGITS)
    assert len(loaded) == 1 + 3


def test_the_format_of_out_must_take_rows_as_they_come(tmp_path):
    with pytest.raises(ValueError, match=r"rows cannot be streamed to \.json; pass a store's path, which ends in"):
        generator().generate_distributions(LOGITS, out=tmp_path / "rows.json")
    with pytest.raises(ValueError, match=r"expected a store's path, which ends in \.fod"):
        generator().generate_distributions(LOGITS, out=tmp_path / "my.rows")
    with pytest.raises(ValueError, match="rows of several workers are kept by a store only"):
        generator().generate_distributions(LOGITS, workers=2)
    assert not list(tmp_path.iterdir())


class Copied:
    """A loaded model that holds a copy of the live one's scale, and says whether it is still the same."""

    device = "cpu"

    def __init__(self, live):
        self.live, self.scale = live, live.scale

    def is_current(self):
        return self.scale == self.live.scale


@pytest.mark.parametrize("changed", [False, True])
def test_weights_that_change_before_the_first_run_are_used(changed):
    loaded = []

    class Watch:
        @hookimpl(wrapper=True)
        def load_model(self, source):
            yield
            loaded.append(Copied(source))
            return loaded[-1]

        @hookimpl(tryfirst=True)
        def forward(self, model, inputs):
            return inputs * model.scale

    model = type("Model", (), {"scale": 1.0, "__call__": lambda self, batch: batch})()
    made = generator(model, output_mode="logits", wrappers=[Watch()])
    model.scale = 2.0 if changed else 1.0
    found = made.generate_distributions(LOGITS).probabilities
    np.testing.assert_allclose(found, reference.softmax(model.scale * LOGITS), rtol=0, atol=1e-6)
    assert len(loaded) == (2 if changed else 1)
