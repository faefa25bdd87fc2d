"""What scikit-learn models are fed with: data frames, sparse matrices, texts, mappings, each row under its index."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, StandardScaler

from probly.data_generator import FirstOrderDataGenerator, SimpleDataLoader

ROWS = 50
RANDOM = np.random.default_rng(0)
LABELS = np.array(["no", "yes"])[RANDOM.integers(0, 2, ROWS)]
TABLE = pd.DataFrame(
    {
        "size": RANDOM.normal(size=ROWS),
        "town": np.array(["Ulm", "Köln", "Jena"])[RANDOM.integers(0, 3, ROWS)],
        "rooms": RANDOM.integers(1, 6, ROWS),
        "new": RANDOM.integers(0, 2, ROWS).astype(bool),
    },
    index=RANDOM.permutation(ROWS),  # so that looking up by label would give other rows
)
COUNTS = scipy.sparse.csr_array(RANDOM.integers(0, 3, (ROWS, 6)))
TEXTS = [" ".join(RANDOM.choice(["rain", "sun", "wind", "snow"], 5)) for _ in range(ROWS)]
DICTS = [{"town": town, "size": size} for town, size in zip(TABLE["town"], TABLE["size"], strict=True)]


def by_name():
    """Return a pipeline that picks its columns by name."""
    parts = [("scale", StandardScaler(), ["size", "rooms"]), ("encode", OneHotEncoder(), ["town"])]
    return make_pipeline(ColumnTransformer(parts, remainder="passthrough"), LogisticRegression()).fit(TABLE, LABELS)


def agrees(model, dataset, inputs, **options):
    """Check a run's rows and indices against ``predict_proba`` of the whole; warnings are errors."""
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, **options})
    distributions = generator.generate_distributions(dataset, progress=False)
    assert distributions.meta["backend"] == "sklearn"
    np.testing.assert_array_equal(distributions.indices, np.arange(ROWS))
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(inputs), rtol=0, atol=1e-7)
    return distributions


class Recording(LogisticRegression):
    """Remembers what it was fed with."""

    seen: list = []  # noqa: RUF012  # shared with clones

    def predict_proba(self, inputs):
        self.seen.append(inputs)
        return super().predict_proba(inputs)


# Data frames


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.tolist(),
        pd.Series(LABELS, index=range(2 * ROWS, ROWS, -1)),
        pd.Series(LABELS, TABLE.index, "category"),
    ],
)
def test_data_frames_come_with_labels_of_any_kind(labels):
    assert agrees(by_name(), (TABLE, labels), TABLE).labels.tolist() == LABELS.tolist()


def test_data_frames_come_alone():
    assert agrees(by_name(), TABLE, TABLE).labels is None


def test_batches_are_data_frames_with_their_columns_and_dtypes():
    numbers = TABLE[["size", "rooms", "new"]]
    model = Recording().fit(numbers, LABELS)
    Recording.seen.clear()
    agrees(model, (numbers, LABELS), numbers, output_mode="probs")
    batches = Recording.seen[:4]
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    pd.testing.assert_frame_equal(pd.concat(batches), numbers)


def test_shuffled_data_frames_land_under_the_right_index():
    loader = SimpleDataLoader((TABLE, LABELS), batch_size=16, shuffle=True, seed=0)
    assert agrees(by_name(), loader, TABLE).labels.tolist() == LABELS.tolist()


def test_rows_of_data_frames_become_data_frames_again():
    """A getter sees samples; the model still gets its columns, each with a dtype of its own."""
    wider = TABLE.assign(other="?")
    columns = list(TABLE.columns)
    agrees(by_name(), (wider, LABELS), TABLE, input_getter=lambda pair: pair[0][columns])
    agrees(by_name(), TABLE.assign(key=range(ROWS)), TABLE, index_getter=lambda row: row["key"])
    agrees(by_name(), [row for _, row in TABLE.iterrows()], TABLE)
    numbers = TABLE.drop(columns="town").assign(many=10**9)
    model = Recording().fit(numbers.drop(columns="many"), LABELS)
    Recording.seen.clear()
    agrees(model, numbers, numbers.drop(columns="many"), input_getter=lambda row: row.drop("many"), output_mode="probs")
    assert Recording.seen[0].dtypes.astype(str).tolist() == ["float64", "int64", "bool"]


def test_categories_and_missing_values_reach_the_model():
    table = TABLE.assign(town=TABLE["town"].astype("category"))
    table.iloc[3, 0] = np.nan
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(table, LABELS)
    agrees(model, (table, LABELS), table)


def test_columns_in_another_order_are_put_right():
    """Estimators of scikit-learn refuse them; those of other libraries may read them by place."""
    table = TABLE[["size", "rooms"]]
    model = Recording().fit(table, LABELS)
    Recording.seen.clear()
    agrees(model, table[["rooms", "size"]], table, output_mode="probs")
    assert [list(batch.columns) for batch in Recording.seen[:4]] == [["size", "rooms"]] * 4


def test_missing_columns_are_the_models_own_error():
    with pytest.raises(ValueError, match="columns are missing") as caught:
        agrees(by_name(), TABLE.drop(columns="town"), TABLE)
    assert any("batch 0" in note for note in caught.value.__notes__)


# Sparse matrices


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_sparse_inputs_of_any_format(kind, make):
    model = MultinomialNB().fit(COUNTS, LABELS)
    counts = make(COUNTS).asformat(kind)
    assert agrees(model, (counts, LABELS), COUNTS).labels.tolist() == LABELS.tolist()
    agrees(model, counts, COUNTS)


def test_sparse_batches_stay_sparse():
    model = Recording().fit(COUNTS, LABELS)
    Recording.seen.clear()
    agrees(model, (COUNTS.tocsc(), LABELS), COUNTS, output_mode="probs")
    assert all(scipy.sparse.issparse(batch) and batch.format == "csr" for batch in Recording.seen)
    assert [batch.shape[0] for batch in Recording.seen[:4]] == [16, 16, 16, 2]


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_sparse_rows_become_a_sparse_batch_again(make):
    model = MultinomialNB().fit(COUNTS, LABELS)
    counts = make(COUNTS)
    agrees(model, (counts, LABELS), COUNTS, input_getter=lambda pair: pair[0])
    agrees(model, SimpleDataLoader((counts, LABELS), batch_size=16, shuffle=True, seed=0), COUNTS)
    agrees(model, [(counts[[row]], label) for row, label in enumerate(LABELS)], COUNTS)


# Texts and mappings


@pytest.mark.parametrize("dataset", [TEXTS, np.array(TEXTS), np.array(TEXTS, object), pd.Series(TEXTS)])
def test_texts(dataset):
    model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(TEXTS, LABELS)
    agrees(model, dataset, TEXTS)
    if not isinstance(dataset, list):
        agrees(model, (dataset, LABELS), TEXTS)
    samples = list(zip(dataset, LABELS, strict=True))
    assert agrees(model, samples, TEXTS).labels.tolist() == LABELS.tolist()


def test_mappings_of_features():
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(DICTS, LABELS)
    agrees(model, DICTS, DICTS)
    agrees(model, [{**sample, "size": np.float64(sample["size"])} for sample in DICTS], DICTS)
    agrees(model, (np.array(DICTS, object), LABELS), DICTS)
    some = [{key: value for key, value in sample.items() if key != "town" or value != "Ulm"} for sample in DICTS]
    assert agrees(model, list(zip(some, LABELS, strict=True)), some).labels.tolist() == LABELS.tolist()


def test_lists_of_numbers_and_iterables():
    numbers = TABLE[["size", "rooms"]].to_numpy()
    model = LogisticRegression().fit(numbers, LABELS)
    agrees(model, numbers.tolist(), numbers)
    agrees(model, iter(numbers.tolist()), numbers)
    agrees(model, [(row, label) for row, label in zip(numbers.tolist(), LABELS, strict=True)], numbers)


def test_bunches_are_refused_with_the_way_out():
    bunch = load_iris()
    model = LogisticRegression(max_iter=500).fit(bunch.data, bunch.target)
    with pytest.raises(TypeError, match=r"got a scikit-learn Bunch; pass \(bunch.data, bunch.target\)"):
        FirstOrderDataGenerator(model).generate_distributions(bunch)


# Nothing is changed


@pytest.mark.parametrize(
    ("scaler", "inputs"),
    [
        (StandardScaler(copy=False), np.ascontiguousarray(TABLE[["size", "rooms"]])),
        (StandardScaler(copy=False), TABLE[["size", "rooms"]].astype(float)),
        (MaxAbsScaler(copy=False), COUNTS.astype(float)),
        (FunctionTransformer(lambda batch: np.multiply(batch, 2, out=batch)), TABLE[["size", "rooms"]].to_numpy()),
    ],
)
@pytest.mark.parametrize("output_mode", ["auto", "probs"])
def test_steps_that_work_in_place_change_no_input(scaler, inputs, output_mode):
    model = make_pipeline(scaler, LogisticRegression()).fit(inputs.copy(), LABELS)
    before, expected = inputs.copy(), model.predict_proba(inputs.copy())
    generator = FirstOrderDataGenerator(model, batch_size=16, output_mode=output_mode)
    distributions = generator.generate_distributions((inputs, LABELS), progress=False)
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-7)
    difference = inputs - before
    assert abs(np.asarray(difference.todense() if scipy.sparse.issparse(difference) else difference)).max() == 0


def test_jobs_are_the_models_own_choice():
    from joblib import parallel_config

    numbers = TABLE[["size", "rooms"]].to_numpy()
    model = RandomForestClassifier(5, random_state=0, n_jobs=2).fit(numbers, LABELS)
    agrees(model, (numbers, LABELS), numbers)
    assert model.n_jobs == 2
    with parallel_config(backend="threading", n_jobs=2):
        agrees(model.set_params(n_jobs=None), (numbers, LABELS), numbers)
