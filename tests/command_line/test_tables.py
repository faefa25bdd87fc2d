"""Tables as `--data`: by name for models that know their columns, in a stated order for others, without an index."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly.data_generator.store import open_store
from probly_data_generator_command_line.data.loading import load_data
from probly_data_generator_command_line.data.settings import DataSettings
from probly_data_generator_command_line.data.tables import GAPS
from probly_data_generator_command_line.errors import InputError
from tests.command_line.own_code import LABELS, ROWS, check_rows, generate

KNOWING = """
import numpy as np

KINDS = []


class Knowing:
    feature_names_in_ = np.array(["a", "b", "c"], object)

    def predict_proba(self, table):
        assert list(table.columns) == ["a", "b", "c"], list(table.columns)
        KINDS.append([str(kind) for kind in table.dtypes])
        return table.to_numpy(float)


class Numbered(Knowing):
    feature_names_in_ = np.array(["Column_0", "Column_1", "Column_2"], object)

    def predict_proba(self, table):
        assert type(table) is np.ndarray, type(table)
        return table


class OfArrays(Knowing):
    def predict_proba(self, rows):
        assert type(rows) is np.ndarray, type(rows)
        return rows


def by_town(table):
    ulm = (table["town"] == "Ulm").to_numpy()
    return np.stack([ulm, ~ulm], axis=1).astype(float)


def of_plane(table):
    return table[["x", "y"]].to_numpy(float)


def lengths(texts):
    KINDS.append(type(texts[0]))
    long = np.array([len(text) > 3 for text in texts], float)
    return np.stack([long, 1 - long], axis=1)


by_town.feature_names_in_ = ["town", "size"]
of_plane.feature_names = ["x", "y"]
knowing = Knowing()
predict = knowing.predict_proba
"""
LINE = "generate --backend numpy --out out.fod --data data.parquet --model"
FRAME = pd.DataFrame({"c": ROWS[:, 2], "label": LABELS, "a": ROWS[:, 0], "b": ROWS[:, 1]})


@pytest.fixture
def knowing(mine):
    (mine.folder / "own.py").write_text(KNOWING)
    return mine


def settings(*names, **others):
    return DataSettings(feature_names=names, **others)


@pytest.mark.parametrize("model", ["own:Knowing", "own:knowing", "own:predict"])
def test_a_model_gets_the_columns_that_it_knows_by_name(knowing, model):
    FRAME.assign(note="text").sample(frac=1, random_state=0).sort_index().to_parquet("data.parquet")
    said = knowing.json(f"{LINE} {model}")["data"]
    assert check_rows().labels.tolist() == LABELS.tolist()
    assert said["inputs"] == "a, b, c: a data frame, as the model knows them, float64 [20, 3]"
    assert said["not used"] == "note, __index_level_0__ (an index of pandas)"


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda frame: frame.drop(columns="b"), "", "the table lacks 'b'; there are c, label, a; rename the columns"),
        (lambda frame: frame.rename(columns={"a": "A"}), "", "the table lacks 'a'; there are c, label, A, b"),
        (lambda frame: frame.rename(columns={"a": "label", "label": "A"}), "", "the table lacks 'a'"),
        (lambda frame: frame, "--inputs-key a,b", "--inputs-key a,b: the model knows its columns by name, a, b, c,"),
        (
            lambda frame: frame.assign(d=1),
            "--inputs-key a,b,d",
            "the option lacks 'c' and has 'd'; name those, or leave",
        ),
        (lambda frame: frame, "--labels-key a", "the model takes this column as an input; name another column"),
        (lambda frame: frame, "--labels-key z", "there is no such array or column; there are c, label, a, b"),
    ],
)
def test_columns_that_the_model_does_not_know_are_refused_by_name(knowing, change, options, said):
    change(FRAME).to_parquet("data.parquet")
    assert said in knowing.fails(f"{LINE} own:knowing {options}")


def test_the_order_of_the_option_is_not_the_order_of_the_model(knowing):
    FRAME.to_parquet("data.parquet")
    knowing.run(f"{LINE} own:knowing --inputs-key c,a,b")
    check_rows()


def test_a_column_that_the_model_knows_is_no_label(knowing):
    pd.DataFrame({"x": [0.25, 1.0], "y": [0.75, 0.0]}).to_parquet("data.parquet")
    assert knowing.json(f"{LINE} own:of_plane")["data"]["labels"] == "none"
    np.testing.assert_array_equal(open_store("out.fod").probabilities, [[0.25, 0.75], [1, 0]])


def test_text_and_gaps_reach_a_model_that_knows_its_columns(knowing):
    pd.DataFrame({"town": ["Ulm", None, "Bonn"], "size": [1.5, 2.0, None], "y": [0, 1, 1]}).to_parquet("data.parquet")
    knowing.run(f"{LINE} own:by_town")
    assert open_store("out.fod").probabilities[:, 0].tolist() == [1, 0, 0]


def test_a_csv_has_the_gaps_that_pandas_finds_in_it(tmp_path):
    """Whatever stands for a missing value: a model that was fitted with what pandas read gets the same frame."""
    gaps = [*GAPS, '""', '"NA"', "Ulm", '" "']
    lines = "".join(f"{gap},{number}\n" for gap, number in zip(gaps, [*GAPS, 1, 2, 3, 4], strict=True))
    (tmp_path / "data.csv").write_text(f"town,size\n{lines}")
    found = load_data(str(tmp_path / "data.csv"), settings("town", "size")).samples
    pd.testing.assert_frame_equal(found, pd.read_csv(tmp_path / "data.csv"))
    assert found["town"].isna().sum() == len(GAPS) + 2
    texts = load_data(str(tmp_path / "data.csv"), DataSettings(inputs_key="town")).samples
    assert list(texts)[-4:] == ["", "NA", "Ulm", " "]  # what a model reads is no frame, and has no gaps


def test_lists_have_no_names_and_go_by_position(knowing):
    pd.DataFrame({"inputs": list(ROWS), "label": LABELS}).to_parquet("data.parquet")
    said = knowing.json(f"{LINE} own:OfArrays")["data"]["inputs"]
    assert said == "inputs: float64 [20, 3], by position: its lists have no names"
    check_rows()
    pd.DataFrame({"inputs": list(ROWS[:, :2])}).to_parquet("data.parquet")
    assert "column 'inputs' holds lists of 2 numbers, the model takes 3: a, b, c" in knowing.fails(
        f"{LINE} own:OfArrays"
    )


def test_names_that_a_library_made_up_are_none(knowing):
    FRAME[["a", "b", "c", "label"]].to_parquet("data.parquet")
    assert knowing.json(f"{LINE} own:Numbered")["data"]["inputs"] == "a, b, c: float64 [20, 3]"
    check_rows()


def test_a_data_frame_keeps_the_dtypes_of_pandas(tmp_path):
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None], dtype="Int64"),
            "kind": pd.Categorical(["x", "y"], categories=["y", "x"]),
            "day": pd.to_datetime(["2026-01-01", "2026-01-02"]),
            "half": np.array([1, 2], np.float32),
        },
        index=pd.Index([7, 3], name="number"),
    )
    frame.to_parquet(tmp_path / "data.parquet")
    found = load_data(str(tmp_path / "data.parquet"), settings(*frame.columns)).samples
    pd.testing.assert_frame_equal(found, frame.reset_index(drop=True))
    cast = load_data(str(tmp_path / "data.parquet"), settings("half", "kind", dtype="float64")).samples
    assert [str(kind) for kind in cast.dtypes] == ["float64", "category"]
    # An index that the model knows by name is a column like others.
    found = load_data(str(tmp_path / "data.parquet"), settings("number", "half")).samples
    assert found["number"].tolist() == [7, 3]


@pytest.mark.parametrize("name", [None, "patient"])
def test_an_index_of_pandas_is_no_input(mine, name):
    frame = FRAME[["a", "b", "c", "label"]].set_axis(pd.Index(np.arange(20)[::-1], name=name), axis=0)
    frame.to_parquet("data.parquet")
    said = generate(mine, "data.parquet")["data"]
    assert said["inputs"] == "a, b, c: float64 [20, 3]"
    assert said["not used"] == f"{name or '__index_level_0__'} (an index of pandas)"
    check_rows()


@pytest.mark.parametrize("metadata", [None, b"nonsense", b'{"index_columns": 5}', b"[]", b'{"index_columns": [{}, 5]}'])
def test_an_index_is_known_by_its_name_where_the_metadata_are_lost_or_damaged(tmp_path, metadata):
    path = tmp_path / "data.parquet"
    FRAME.iloc[::-1].to_parquet(path, index=True)
    table = pq.read_table(path).replace_schema_metadata({b"pandas": metadata} if metadata else None)
    pq.write_table(table, path)
    inputs, labels = load_data(str(path), DataSettings()).samples
    np.testing.assert_array_equal(inputs, FRAME[["c", "a", "b"]].to_numpy()[::-1])
    assert labels.tolist() == LABELS[::-1].tolist()
    frame, _ = load_data(str(path), settings("a", "b")).samples
    np.testing.assert_array_equal(frame.to_numpy(), ROWS[::-1, :2])
    chosen = load_data(str(path), DataSettings(inputs_key="__index_level_0__,a")).samples
    np.testing.assert_array_equal(chosen[0][:, 0], np.arange(20)[::-1])


def test_the_folder_of_a_table_is_no_column_of_it(tmp_path):
    folder = tmp_path / "year=2026"
    folder.mkdir()
    FRAME.to_parquet(folder / "data.parquet")
    assert load_data(str(folder / "data.parquet"), DataSettings()).samples[0].shape == (20, 3)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    pq.write_table(pa.table([[1.0], [2.0]], names=["a", "a"]), tmp_path / "data.parquet")
    with pytest.raises(InputError, match="1 names stand at several columns, as 'a'"):
        load_data(str(tmp_path / "data.parquet"), DataSettings())


def test_one_column_of_text_is_given_as_texts(knowing):
    pd.DataFrame({"text": ["long", "abc", "longer"], "label": [0, 1, 0]}).to_parquet("data.parquet")
    assert knowing.json(f"{LINE} own:lengths")["data"]["inputs"] == "text: object [3]"
    store = open_store("out.fod")
    assert store.probabilities[:, 0].tolist() == [1, 0, 1]
    assert store.labels.tolist() == [0, 1, 0]


def test_rows_without_a_label_are_kept_and_counted(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "label": pa.array([1, None, 0], pa.int8())}), path)
    found = load_data(str(path), DataSettings())
    assert found.samples[1].tolist() == [1, -1, 0]
    assert found.description["labels"] == "'label', int64 [3]; 1 row has none"
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "label": ["x", None, None]}), path)
    found = load_data(str(path), DataSettings())
    assert found.samples[1].tolist() == ["x", None, None]
    assert found.description["labels"] == "'label', object [3]; 2 rows have none"


def test_the_first_gap_among_numbers_is_named(tmp_path):
    pq.write_table(pa.table({"a": [1.0, None, None]}), tmp_path / "data.parquet")
    with pytest.raises(InputError, match="column 'a' lacks 2 values, the first in row 1"):
        load_data(str(tmp_path / "data.parquet"), DataSettings())


def test_a_report_knows_the_columns_that_the_rows_were_made_from(knowing):
    FRAME.assign(note="text").to_parquet("data.parquet")
    knowing.run(f"{LINE} own:knowing")
    knowing.run("report out.fod --data data.parquet")
    assert knowing.err == ""
    FRAME.assign(a=FRAME.b).to_parquet("data.parquet")
    knowing.run("report out.fod --data data.parquet")
    assert "its inputs are not the arrays that the rows were made from" in knowing.err


def test_a_damaged_table_is_named(tmp_path):
    path = tmp_path / "data.parquet"
    kinds = {"x": np.arange(50.0), "label": ["name"] * 50, "kind": pa.array(["a", "b"] * 25).dictionary_encode()}
    pq.write_table(pa.table(kinds), path, row_group_size=20)
    content, random = path.read_bytes(), np.random.default_rng(0)
    pages = len(content) - int.from_bytes(content[-8:-4], "little")  # some damages behind them end pyarrow 26 itself
    said = []
    for _ in range(200):
        damaged = bytearray(content)
        damaged[random.integers(pages)] = random.integers(256)
        path.write_bytes(damaged)
        try:
            load_data(str(path), DataSettings(inputs_key="x"))
        except InputError as error:
            said.append(error.message)
    assert len(said) > 20
    assert [message for message in said if f"{path}: " not in message] == []


def test_a_second_column_of_labels_is_no_input(mine):
    frame = FRAME[["a", "b", "c", "label"]]
    frame.assign(labels=frame.label.to_numpy()[::-1]).to_parquet("data.parquet")
    line = "generate --backend numpy --model mine:model --out out.fod --data data.parquet"
    said = mine.fails(line)
    assert "data.parquet: has both 'label' and 'labels'; name the labels with --labels-key, and the inputs with" in said
    generate(mine, "data.parquet --labels-key label --inputs-key a,b,c")
    check_rows()


@pytest.mark.parametrize("name", ["data.csv", "data.jsonl"])
def test_tables_of_text_files(mine, name):
    """Numbers are numbers there, too, and what is no table is named."""
    write = {
        "data.csv": FRAME.to_csv,
        "data.jsonl": lambda path, index: FRAME.to_json(path, orient="records", lines=True),
    }
    write[name](name, index=False)
    assert generate(mine, name)["data"]["inputs"] == "c, a, b: float64 [20, 3]"
    labels = open_store("out.fod").labels
    assert labels.tolist() == LABELS.tolist()
    (mine.folder / name).write_text('{"a": 1}\n{"a": [\n' if name == "data.jsonl" else "a,b\n1,2\n3\n")
    said = mine.fails(f"generate --backend numpy --model mine:model --out other.fod --data {name}")
    assert f"{name}: cannot be read as {'CSV' if name == 'data.csv' else 'lines of JSON'}: " in said
