"""What the generator itself promises, shown on the agnostic backend."""

import io
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from probly.data_generator.rows import as_probabilities, find_bad_row
from probly.data_generator.testing import reference
from probly.data_generator.toolkit.arrays import OPERATIONS

LOGITS = reference.samples(rows=20, shape=(3,))[0]


def generator(model=lambda batch: batch, **options):
    return FirstOrderDataGenerator(model, **{"backend": "numpy", **options})


@pytest.mark.parametrize("wrong", ["softmax", "", None, 3])
def test_output_mode_is_checked(wrong):
    with pytest.raises(ValueError, match="Invalid output_mode"):
        generator(output_mode=wrong)


def test_auto_decides_once_per_run():
    modes = []

    class Watch:
        from probly.data_generator.hookspecs import hookimpl

        @hookimpl(wrapper=True)
        def forward(self, output_mode):
            modes.append(output_mode)
            return (yield)

    generator(batch_size=5, wrappers=[Watch()]).generate_distributions(5 * LOGITS)
    assert modes == ["probs", "logits", "logits", "logits", "logits"]


def test_scikit_learn_models_are_recognized():
    from sklearn import linear_model

    labels = np.array(["cat", "dog", "eel"])[LOGITS.argmax(axis=1)]
    model = linear_model.LogisticRegression().fit(LOGITS, labels)
    distributions = FirstOrderDataGenerator(model, batch_size=6).generate_distributions((LOGITS, labels))
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(LOGITS), atol=1e-6)
    assert distributions.meta["output_mode"] == "probs"
    assert distributions.class_names == ["cat", "dog", "eel"]


def test_pure_python_models():
    model = lambda batch: [[float(row[0]), 0.0] for row in batch]  # noqa: E731
    distributions = generator(model, output_mode="logits").generate_distributions([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(distributions.probabilities, reference.softmax([[1, 0], [3, 0]]), atol=1e-6)


def test_pure_python_scores_are_binary():
    distributions = generator(lambda batch: [0.25] * len(batch)).generate_distributions([1, 2])
    np.testing.assert_array_equal(distributions.probabilities, [[0.75, 0.25]] * 2)


@pytest.mark.parametrize("answer", [[[1.0], [1.0, 2.0]], [{"a": 1}, {"b": 2}], "text", object()])
def test_other_answers_are_refused_with_the_way_out(answer):
    with pytest.raises(TypeError, match=r"Model must return"):
        generator(lambda batch: answer).generate_distributions([1, 2])


def test_the_number_of_classes_must_not_change():
    answers = iter([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(InvalidOutputError, match="expected 3 classes as before, got 4"):
        generator(lambda batch: next(answers), output_mode="logits", batch_size=2).generate_distributions(LOGITS[:4])


def test_a_relu_output_is_no_distribution_and_says_so():
    with pytest.raises(InvalidOutputError, match='set output_mode="logits"'):
        generator(output_mode="probs").generate_distributions(np.maximum(LOGITS, 0))


def test_out_of_memory_with_one_row_is_the_users_error():
    def model(batch):
        raise MemoryError("not even one")

    with pytest.warns(UserWarning, match="out of memory"), pytest.raises(MemoryError, match="not even one"):
        generator(model, output_mode="logits").generate_distributions(LOGITS)


def test_out_of_memory_is_said_once():
    def model(batch):
        if len(batch) > 2:
            raise MemoryError
        return batch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        distributions = generator(model, output_mode="logits", batch_size=8).generate_distributions(LOGITS)
    assert [str(warning.message).count("out of memory") for warning in caught] == [1]
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(LOGITS), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (list, ["dispatch", "dispatch", "collect", "dispatch", "collect", "collect"]),
        # The first one of arrays tells how many may come at once, and is collected again with them.
        (np.asarray, ["dispatch", "collect", "dispatch", "dispatch", "collect", "collect", "collect"]),
    ],
)
def test_a_batch_is_collected_after_the_next_is_dispatched(kind, expected, monkeypatch):
    monkeypatch.setattr("probly.data_generator.toolkit.batches.QUICK", 1e9)
    events = []

    class Watch:
        from probly.data_generator.hookspecs import HOST, hookimpl

        @hookimpl(wrapper=True)
        def forward(self):
            events.append("dispatch")
            return (yield)

        @hookimpl(wrapper=True)
        def to_device(self, device):
            if device == self.HOST:
                events.append("collect")
            return (yield)

    generator(output_mode="logits", batch_size=7, wrappers=[Watch()]).generate_distributions(kind(LOGITS))
    assert events == expected


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


def test_posterior_of_numpy_layers():
    class Layer:
        def __init__(self):
            self.weight_mu, self.weight_rho = np.zeros(2), np.full(2, -3.0)
            self.bias_mu, self.bias_rho = np.ones(1), np.full(1, -2.0)

        def __call__(self, batch):
            return batch

    posterior = generator(Layer()).get_posterior_distributions()
    assert sorted(posterior["model"]) == ["bias_mu", "bias_rho", "mu", "rho"]
    np.testing.assert_array_equal(posterior["model"]["rho"], [-3.0, -3.0])


def test_half_a_posterior_is_refused():
    layer = type("Layer", (), {"__call__": lambda self, batch: batch})()
    layer.weight_mu = np.zeros(2)
    with pytest.raises(ValueError, match="found weight_mu without weight_rho"):
        generator(layer).get_posterior_distributions()


def test_softmax_of_bfloat16_sized_rounding_is_renormalised_and_more_is_not():
    rows = reference.softmax(LOGITS).astype(np.float16)
    assert find_bad_row(as_probabilities(rows, "probs", OPERATIONS).astype(np.float32)) is None
    off = as_probabilities((rows * np.float16(1.05)), "probs", OPERATIONS).astype(np.float32)
    assert "sums to" in find_bad_row(off).reason


def test_weights_changed_between_runs_are_used():
    model = type("Model", (), {"scale": 1.0, "__call__": lambda self, batch: batch * self.scale})()
    made = generator(model, output_mode="logits")
    first = made.generate_distributions(LOGITS)
    model.scale = 2.0
    np.testing.assert_allclose(
        made.generate_distributions(LOGITS).probabilities, reference.softmax(2 * LOGITS), atol=1e-6
    )
    np.testing.assert_allclose(first.probabilities, reference.softmax(LOGITS), atol=1e-6)


def test_a_suspicious_batch_of_logits_costs_two_rows_more():
    rows = []

    def model(batch):
        rows.append(len(batch))
        return batch

    flat = np.full((20, 4), 0.1, np.float32)  # softmax cannot tell it from a quarter each
    flat[0] = [3, 0, 0, 0]
    distributions = generator(model, batch_size=10).generate_distributions(flat)
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(flat), atol=1e-6)
    assert rows == [10, 10, 10, 2]


@pytest.mark.parametrize("output_mode", ["logits", "auto"])
def test_memory_that_runs_out_while_the_device_computes(output_mode):
    """Asynchronous devices fail when a result is fetched, by then with another batch of the old size under way."""
    from probly.data_generator.hookspecs import HOST, hookimpl

    fetched = []

    class Asynchronous:
        @hookimpl(wrapper=True)
        def to_device(self, data, device):
            if device == HOST:
                fetched.append(len(data))
                if len(data) > 2:
                    raise MemoryError
            return (yield)

    made = generator(output_mode=output_mode, batch_size=8, wrappers=[Asynchronous()])
    with pytest.warns(UserWarning, match="out of memory") as caught:
        distributions = made.generate_distributions(5 * LOGITS)
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(5 * LOGITS), atol=1e-6)
    assert len(caught) == 1
    assert fetched.count(8) <= 2, "the size that fits must be remembered"
    assert min(fetched) == 2, "a batch that was under way must not halve the size again"


def test_samples_that_do_not_stack_are_halved_too():
    samples = [np.full((4, width), width, np.float32) for width in range(1, 9)]
    seen = []

    def model(batch):
        seen.append(len(batch))
        if len(batch) > 2:
            raise MemoryError
        return np.array([[sample.mean(), 0.0] for sample in batch])

    with pytest.warns(UserWarning, match="out of memory"):
        distributions = generator(model, output_mode="logits").generate_distributions(samples)
    expected = reference.softmax([[width, 0] for width in range(1, 9)])
    np.testing.assert_allclose(distributions.probabilities, expected, atol=1e-6)
    assert seen == [8, 4, 2, 2, 2, 2]


def test_a_loader_may_reuse_the_memory_of_its_labels():
    labels = np.empty(5, np.int64)

    def batches():
        for start in range(0, 20, 5):
            labels[:] = np.arange(start, start + 5)
            yield LOGITS[start : start + 5], labels

    distributions = generator(output_mode="logits", batched=True).generate_distributions(batches())
    np.testing.assert_array_equal(distributions.labels, np.arange(20))


def test_a_single_number_is_no_row():
    with pytest.raises(InvalidOutputError, match=r"expected 20 rows, got 0 \(shape \(\)\)"):
        generator(lambda batch: batch.mean(), output_mode="logits").generate_distributions(LOGITS)


@pytest.mark.parametrize("damage", ["zero", "rounded", "scaled"])
def test_auto_does_not_take_careless_probabilities_for_logits(damage):
    rows = reference.softmax(LOGITS)
    if damage == "zero":
        rows[4] = 0
    rows = rows.round(2) if damage == "rounded" else rows * (1.0005 if damage == "scaled" else 1)
    with pytest.raises(InvalidOutputError, match=r"index \d+: most rows of the first batch look like probabilities"):
        generator().generate_distributions(rows)


@pytest.mark.parametrize("labels", [np.array([0, 1, 1]), np.array([[0], [1], [1]]), np.array([True, False, True])])
@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
def test_class_labels_are_no_scores(labels, output_mode):
    with pytest.raises(TypeError, match=r"looks like class labels.*predict_proba, not predict"):
        generator(lambda batch: labels, output_mode=output_mode).generate_distributions(LOGITS[:3])


@pytest.mark.parametrize("option", ["input_getter", "index_getter", "output_transform"])
def test_options_must_be_functions(option):
    with pytest.raises(TypeError, match=f"{option}: expected a function, got 'softmax'"):
        generator(**{option: "softmax"})


@pytest.mark.parametrize("names", [{"a", "b", "c"}, "abc", frozenset("abc"), 3])
def test_class_names_must_have_an_order(names):
    with pytest.raises(TypeError, match="expected a list of names in the order of the columns"):
        generator(class_names=names)


@pytest.mark.parametrize(("quick", "most"), [(0, 2), (1e9, 129)], ids=["slow", "quick"])
def test_a_wrong_number_of_class_names_is_known_after_the_second_step(quick, most, monkeypatch):
    monkeypatch.setattr("probly.data_generator.toolkit.batches.QUICK", quick)
    batches = []

    def model(batch):
        batches.append(len(batch))
        return batch

    with pytest.raises(ValueError, match="expected 3 names, one per class, got 2"):
        generator(model, class_names=["a", "b"], output_mode="logits", batch_size=1).generate_distributions(
            np.tile(LOGITS, (10, 1))
        )
    assert len(batches) == most


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


def test_an_absurd_length_costs_no_memory():
    class Endless:
        def __len__(self):
            return 2**62

        def __iter__(self):
            return iter(LOGITS)

    with pytest.warns(UserWarning, match="but dataset length is"):
        assert len(generator(output_mode="logits").generate_distributions(Endless())) == 20


def test_text_is_no_score():
    with pytest.raises(InvalidOutputError, match="expected real numbers, got dtype"):
        generator(output_transform=lambda rows: np.array([["a", "b"]] * len(rows))).generate_distributions(LOGITS)


def test_the_whole_batch_decides_whether_logits_were_probabilities():
    logits = 5 * LOGITS.copy()
    logits[10:12] = [0.2, 0.3, 0.5]  # two rows that look like probabilities, among logits
    distributions = generator(batch_size=10).generate_distributions(logits)
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(logits), atol=1e-6)


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


@pytest.mark.parametrize("model", ["model.keras", "weights.pt2", (lambda: None, "weights.pt")])
def test_a_file_does_not_tell_its_framework(model):
    with pytest.raises(ValueError, match=r"a file does not tell its framework.*set backend=..., one of .*'numpy'"):
        FirstOrderDataGenerator(model)


def test_an_import_path_tells_its_framework():
    assert FirstOrderDataGenerator("numpy:exp").backend.info.name == "numpy"


def test_the_promised_signature():
    import inspect

    parameters = inspect.signature(FirstOrderDataGenerator).parameters
    promised = ["model", "device", "batch_size", "output_mode", "output_transform", "input_getter", "model_name"]
    assert list(parameters)[:7] == promised
    assert [parameters[name].default for name in promised[1:]] == ["cpu", 64, "auto", None, None, None]
    assert parameters["backend"].default == "auto"


@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
@pytest.mark.parametrize("shape", [(0, 3), (0,)])
def test_no_scores_become_no_rows(output_mode, shape):
    assert generator(output_mode=output_mode).to_probs(np.empty(shape, np.float32)).shape[0] == 0


@pytest.mark.parametrize("dtype", [np.complex64, "datetime64[s]", "timedelta64[s]", "U9", [("a", "f4"), ("b", "f4")]])
@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
def test_what_are_no_real_numbers_is_refused(dtype, output_mode):
    model = generator(lambda batch: np.zeros((len(batch), 3), dtype), output_mode=output_mode)
    with pytest.raises(
        TypeError, match=r"Model must return numbers, got ndarray of shape \(20, 3\) of .*output_transform"
    ):
        model.generate_distributions(LOGITS)


@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
@pytest.mark.parametrize("wrap", [lambda matrix: matrix, lambda matrix: {"logits": matrix}])
def test_a_sparse_matrix_is_refused_with_the_way_out(wrap, output_mode):
    model = generator(lambda batch: wrap(scipy.sparse.csr_array(batch)), output_mode=output_mode)
    with pytest.raises(TypeError, match=r"an array, got csr_array of shape \(20, 3\); return its toarray\(\)"):
        model.generate_distributions(LOGITS)
