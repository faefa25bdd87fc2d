"""`first-order` with saved folders: pictures, and texts in every kind of file."""

import csv
import json
import signal
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probly.data_generator.store import open_partial, open_store
from tests.command_line.commands import stopped
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.command_line.sessions import CLASSES, COUNT, folder_of_pictures
from tests.transformers_backend.runs import (
    image_processor,
    of_pictures,
    of_texts,
    rows_of_pictures,
    rows_of_texts,
    sentences,
    tokenizer,
)


def test_a_folder_of_pictures_is_killed_and_continued(shell, vit):
    pixels = folder_of_pictures(shell.folder / "pets")
    line = f"generate --model {vit} --data pets --out a.fod --batch-size 4 --shard-seconds 0.001"
    process, _ = stopped(shell.folder, *line.split(), store="a.fod")
    assert process.returncode == -signal.SIGKILL
    safe = len(open_partial("a.fod"))
    assert 0 < safe < len(pixels)
    result = shell.json(line)
    assert result["rows_before"] == safe
    assert result["data"]["pictures"] == "as they are; the model's own image processor prepares them"
    given = [Image.fromarray((array * 255).round().astype(np.uint8)) for array in pixels]
    store = open_store("a.fod")
    expected = rows_of_pictures(of_pictures(), image_processor(), given)
    np.testing.assert_allclose(store.probabilities, expected, rtol=0, atol=1e-6)
    assert store.class_names == list(CLASSES)
    assert store.labels.tolist() == np.repeat(range(3), COUNT).tolist()
    assert store.sample_keys[COUNT] == "cat/000.png"
    assert shell.json("verify a.fod")["ok"]
    shell.run("report a.fod --data pets --out report.html")
    assert "data:image/png;base64" in (shell.folder / "report.html").read_text(encoding="utf-8")


TEXTS = [*sentences(20), 'good\n"bad", cat', "good " * 40]
LABELS = [("bad", "fair", "good")[place % 3] for place in range(len(TEXTS))]
NUMBERED = [place % 3 for place in range(len(TEXTS))]


def as_csv():
    with Path("data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text", "label"), *zip(range(22), TEXTS, LABELS, strict=True)])


def as_lines():
    lines = [json.dumps({"text": text, "label": label}) for text, label in zip(TEXTS, NUMBERED, strict=True)]
    Path("data.jsonl").write_text("\n".join(lines), encoding="utf-8")


def as_dataset():
    """Its labels count other names than the model."""
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["good", "fair", "bad"])}
    columns = {"text": TEXTS, "label": LABELS}
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).save_to_disk("data")


FILES = {
    "data.csv": as_csv,
    "data.jsonl": as_lines,
    "data.parquet": lambda: pd.DataFrame({"id": 7, "text": TEXTS, "label": LABELS}).to_parquet("data.parquet"),
    "data": as_dataset,
}


@pytest.mark.filterwarnings("always:1 of 22 texts were longer")
@pytest.mark.parametrize("name", FILES)
def test_texts_in_files(shell, bert, name):
    FILES[name]()
    shell.run(f"generate --model {bert} --data {name} --out a.fod --batch-size 8")
    assert "Warning: 1 of 22 texts were longer than 24 tokens" in shell.err
    store = open_store("a.fod")
    np.testing.assert_allclose(store.probabilities, rows_of_texts(of_texts(), tokenizer(), TEXTS), rtol=0, atol=1e-6)
    assert store.class_names == ["bad", "fair", "good"]
    assert [label if isinstance(label, str) else LABELS[label] for label in store.labels.tolist()] == LABELS
    shell.run("verify a.fod")


SHORT = sentences(20, longest=8)
OTHERS = SHORT[::-1]


@pytest.mark.parametrize("name", ["data.parquet", "data"])
def test_pairs_of_texts_in_files(shell, bert, name):
    expected = rows_of_texts(of_texts(), tokenizer(), SHORT, OTHERS)
    for columns, options in (("text", "text_pair"), ""), (("premise", "text"), "--inputs-key premise,text"):
        data = dict(zip(columns, (SHORT, OTHERS), strict=True)) | {"idx": range(20)}
        if name == "data":
            datasets.Dataset.from_dict(data).save_to_disk(name)
        else:
            pd.DataFrame(data).to_parquet(name)
        shell.run(f"generate --model {bert} --data {name} --out a.fod --fresh {options}")
        np.testing.assert_allclose(open_store("a.fod").probabilities, expected, rtol=0, atol=1e-6)


def test_tokenised_samples_in_a_saved_dataset(shell, bert):
    datasets.Dataset.from_dict(dict(tokenizer()(SHORT))).save_to_disk("data")
    shell.run(f"generate --model {bert} --data data --out a.fod --inputs-key input_ids,attention_mask,token_type_ids")
    expected = rows_of_texts(of_texts(), tokenizer(), SHORT)
    np.testing.assert_allclose(open_store("a.fod").probabilities, expected, rtol=0, atol=1e-6)


def test_mistakes(shell, bert, vit):
    as_csv()
    pd.DataFrame({"title": SHORT, "body": OTHERS}).to_parquet("data.parquet")
    assert "--inputs-key" in shell.fails(f"generate --model {bert} --data data.parquet --out a.fod")
    assert "the model takes pictures" in shell.fails(f"generate --model {vit} --data data.csv --out a.fod")
    pd.DataFrame({"text": range(5)}).to_csv("numbers.csv", index=False)
    assert "expected texts, got numbers" in shell.fails(f"generate --model {bert} --data numbers.csv --out a.fod")
    assert "opens none of them" in shell.fails(f"generate --model {vit} --data data.csv --out a.fod --trust-model")
    (shell.folder / "pets").mkdir()
    Image.new("RGB", (9, 9)).save(shell.folder / "pets" / "a.png")
    said = shell.fails(f"generate --model {vit} --data pets --image-size 8 --mean 0,0,0 --out a.fod")
    assert "leave out --image-size, --mean" in said
