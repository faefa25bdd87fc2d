"""Messages name the options of the command line, not the parameters of Python that these are elsewhere."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probly.data_generator.store import open_store
from probly_data_generator_command_line.commands.generate_options import DATA_OPTIONS, MODEL_OPTIONS, STORE_OPTIONS
from probly_data_generator_command_line.remedies import OPTIONS, here
from tests.command_line.own_code import ROWS, check_rows, seen

LINE = "generate --backend numpy --model demo.model:build --data demo/test.npz --out a.fod"
OWN = """
import numpy as np

ROWS = np.load("rows.npy")


def picked(sample):
    return sample[0]


def label(sample):
    return sample[2]


def place(sample):
    return sample[1]


def triples():
    return [(row, 19 - place, place % 3) for place, row in enumerate(ROWS)]


def batches():
    return [ROWS[:8], ROWS[8:16], ROWS[16:]]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('set output_mode="probs"', "; here, output_mode is --output-mode"),
        ("set output_transform", "; here, output_transform is done in the model that --model names"),
        ("or set batch_size=1", "; here, batch_size is --batch-size"),
        ("class_names: expected 3 names; pass --class-names", ""),
        ("set backend=..., one of 'a'", "; here, backend is --backend"),
        ("the backends are installed", ""),
        ("set batched=True", "; here, batched is --batched or --not-batched"),
        ("pass it with options={'trust': True}, or --trust-model on the command line", ""),
        ("set options={'autocast': 'bfloat16'}", "; here, options are --option NAME=VALUE, one each"),
        ("output_transform: the store has None, this run has {'name': 'Temperature(2.0)'}. Undo the change",
         "; here, the temperature is --temperature"),
        ("output_transform name: the store has 'Temperature(4.0)', this run has 'Temperature(2.0)'",
         "; here, the temperature is --temperature"),
        ("set output_transform. The temperature needs logits",
         "; here, output_transform is done in the model that --model names"),
    ],
)  # fmt: skip
def test_what_is_added_to_a_message(text, said):
    assert here(text) == said


def test_every_option_that_is_named_is_one():
    from probly_data_generator_command_line.commands.generate import generate

    known = {name for option in generate.params for name in (*option.opts, *option.secondary_opts)}
    assert len(generate.params) >= len(MODEL_OPTIONS) + len(DATA_OPTIONS) + len(STORE_OPTIONS)
    named = {word.strip(",") for said in OPTIONS.values() for word in said.split() if word.startswith("--")}
    assert named <= known
    assert len(named) >= 10


def test_another_temperature_is_named_by_its_option(demo):
    demo.run(f"{LINE} --temperature 4")
    for other in ("", "--temperature 2"):
        said = demo.fails(f"{LINE} {other}")
        assert "here, the temperature is --temperature" in said
        assert "--model names" not in said
    demo.run(f"{LINE} --temperature 4")
    demo.run(f"{LINE} --temperature 2 --fresh")


def test_another_output_mode_is_named_by_its_option(demo):
    demo.run(LINE)
    assert "here, output_mode is --output-mode" in demo.fails(f"{LINE} --output-mode logits")


def test_samples_of_three_parts_are_read_with_the_options_that_the_message_names(mine):
    np.save("rows.npy", ROWS)
    (mine.folder / "own.py").write_text(OWN)
    line = "generate --backend numpy --model mine:model --out out.fod --data own:triples"
    said = mine.fails(line)
    assert "input_getter is --input-getter MODULE:FUNCTION" in said
    assert "label_getter is --label-getter MODULE:FUNCTION" in said
    mine.run(f"{line} --input-getter own:picked --label-getter own:label --class-names a,b,c")
    assert check_rows().labels.tolist() == (np.arange(20) % 3).tolist()
    line = line.replace("out.fod", "other.fod")
    assert "indices" in mine.fails(f"{line} --input-getter own:picked --index-getter own:place")


def test_batches_are_said_to_be_some(mine):
    np.save("rows.npy", ROWS)
    (mine.folder / "own.py").write_text(OWN)
    mine.run("generate --backend numpy --model mine:model --out out.fod --data own:batches --batched")
    np.testing.assert_allclose(open_store("out.fod").probabilities, ROWS, atol=1e-7)


def save_rows():
    np.save("rows.npy", ROWS)
    np.savez("rows.npz", inputs=ROWS)
    pd.DataFrame(ROWS, columns=["a", "b", "c"]).to_parquet("rows.parquet")


@pytest.mark.parametrize("name", ["rows.npy", "rows.npz", "rows.parquet"])
def test_a_dtype_that_numpy_lacks_is_refused_where_models_get_its_arrays(mine, name):
    save_rows()
    assert mine.fails(
        f"generate --backend numpy --model mine:model --out out.fod --data {name} --input-dtype bfloat16"
    ) == (
        "Error: --input-dtype bfloat16: models of backend 'numpy' get arrays of NumPy, which has no bfloat16; pass "
        "float32 or float16\n"
    )


def test_a_dtype_is_checked_and_reaches_own_code_and_pictures(mine):
    save_rows()
    (mine.folder / "own.py").write_text(OWN)
    line = "generate --backend numpy --model mine:model --out out.fod"
    assert "such as 'float32', got 'flaot'; here, input_dtype is" in mine.fails(
        f"{line} --data rows.npy --input-dtype flaot"
    )
    mine.run(f"{line} --data own:batches --batched --input-dtype float32")
    assert seen().dtype == np.float32
    (mine.folder / "test").mkdir()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save("test/0.png")
    for name in ("rows.npy", "rows.npz", "rows.parquet"):
        mine.run(f"{line} --data {name} --input-dtype float32 --fresh")
        assert seen().dtype == np.float32
        assert open_store("out.fod").meta["options"] == {"input_dtype": "float32"}
    mine.run(f"{line.replace('model --out', 'mean --out')} --fresh --data test --channels last --input-dtype float64")
    assert seen().dtype == np.float64
