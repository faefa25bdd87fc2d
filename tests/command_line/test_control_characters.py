"""Every command on crafted files: nothing that a terminal obeys comes out of any of them."""

import json
import re
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from probly.data_generator import Distributions
from probly.data_generator.store import save
from probly_data_generator_command_line import main
from probly_data_generator_command_line.group import OURS, first_order
from tests.command_line.test_limits import saved
from tests.command_line.test_printing import EVIL, clean

NAME = EVIL.replace("\n", "\x0b")  # as the names of files and columns that a test can write everywhere
ROWS = np.float32([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
MODEL = """
import numpy as np


def model(inputs):
    if isinstance(inputs, dict):
        inputs = next(iter(inputs.values()))
    means = np.asarray(inputs, float).reshape(len(inputs), -1).mean(axis=1) % 1
    return np.stack([means, 1 - means], axis=1)


def stops(inputs):
    raise SystemExit("\\x1b[2J")


class Known:
    feature_names_in_ = np.array(["a\\x1b[2J", "b"], object)

    def predict_proba(self, table):
        return model(table.to_numpy())


known = Known()
"""
GENERATE = ["generate", "--backend", "numpy", "--model", "own:model", "--out"]


@pytest.fixture
def crafted(shell):
    """Give a function that runs a command and checks all that it prints, as lines and as JSON."""
    (shell.folder / "own.py").write_text(MODEL)

    def run(*words, codes=(0, 1, 2), shown=True):
        answer, printed = printed_by(shell, *words)
        assert answer in codes, printed
        assert not shown or re.search(r"\\(u00|x)1b", printed) or "already" in printed, f"nothing is shown: {printed}"
        assert clean(printed), printed
        answer, printed = printed_by(shell, *words, "--json" if answer in (0, 1) else "--debug")
        assert clean(printed) or "Traceback" in printed, printed
        assert "\x1b" not in printed, "a traceback has lines of its own, and nothing else"

    return run


def printed_by(shell, *words):
    shell.capsys.readouterr()
    answer = main([*map(str, words)])
    return answer, "".join(shell.capsys.readouterr())


def hostile(path, **changes):
    meta = {"class_names": [EVIL, "dog"], "model_name": EVIL, EVIL: EVIL, "backend": EVIL, "n": {EVIL: [EVIL]}}
    save(path, Distributions(ROWS, None, [EVIL, "dog", "dog"], {**meta, **changes}))
    return path


@pytest.mark.parametrize("suffix", [".fod", ".json", ".npz", ".parquet", ".safetensors"])
def test_commands_that_read_files(crafted, suffix):
    folder = Path(NAME)
    folder.mkdir()
    first, second = hostile(folder / f"rows{suffix}"), hostile(folder / f"other{suffix}", model_name="x")
    save(second.with_stem("third"), Distributions(ROWS[::-1].copy(), [5, 6, 7], meta={"class_names": [EVIL, "dog"]}))
    for command in ("inspect", "verify", "finish"):
        crafted(command, first)
    crafted("diff", first, second)
    crafted("diff", first, second.with_stem("third"))
    crafted("convert", first, folder / "copy.npz", "--overwrite")
    crafted("convert", first, folder / "copy.fod", "--overwrite", "--top-k", 1)
    crafted("convert", first, folder / f"copy{NAME}")
    if suffix == ".fod":  # the page takes its time
        crafted("report", first, second, "--out", folder / "page.html", "--title", EVIL)
    for wrong in (folder / "nothing.fod", folder / "page.txt", f"{first}\x1b"):
        for command in ("inspect", "verify", "convert", "diff", "report"):
            crafted(command, wrong, *([] if command in ("inspect", "verify", "report") else [first]))


def test_damaged_files(crafted):
    Path("key.json").write_text(json.dumps({"distributions": {EVIL: [0.5, 0.5]}}))
    Path("list.json").write_text(json.dumps({"distributions": {"0": [EVIL]}, "meta": {}}))
    Path("label.json").write_text(json.dumps({"distributions": {"0": [1.0]}, "labels": {"0": {EVIL: EVIL}}}))
    Path("names.json").write_text(json.dumps({"distributions": {"0": [1.0]}, "meta": {"class_names": {EVIL: EVIL}}}))
    np.savez("arrays.npz", **{NAME: ROWS})
    save("store.fod", Distributions(ROWS))
    Path("store.fod/spec.json").write_text(json.dumps({EVIL: EVIL}))
    Path("bytes.fod").mkdir()
    Path("bytes.fod/spec.json").write_bytes(b"\x1b[2J")
    for path in Path().glob("*.*"):
        if path.suffix != ".py":
            for command in ("inspect", "verify"):
                crafted(command, path, shown=False)


def test_pictures(crafted):
    for name in (NAME, "dog"):
        Path("pets", name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(Path("pets", name, f"{NAME}.png"))
    data = ["--data", "pets", "--channels", "last"]
    crafted(*GENERATE, "a.fod", *data)
    crafted("inspect", "a.fod")
    crafted(*GENERATE, "b.fod", *data, "--class-names", "cat,dog")
    Path("pets", NAME, f"damaged{NAME}.png").write_bytes(b"\x1b[2J")
    crafted(*GENERATE, "c.fod", *data, "--batch-size", 1)
    crafted(*GENERATE, "d.fod", *data, "--skip-damaged")
    crafted("report", "d.fod", "--data", "pets", shown=False)
    Path("pets", NAME, f"{NAME}.png").unlink()
    crafted("report", "d.fod", "--data", "pets")
    Path("pets", NAME, f"damaged{NAME}.png").unlink()
    crafted(*GENERATE, "e.fod", *data)


def test_arrays_and_tables(crafted):
    x = np.linspace(0, 1, 6).reshape(3, 2)
    np.savez("named.npz", **{NAME: x, "inputs": x, "labels": np.array([EVIL, "b", "c"])})
    crafted(*GENERATE, "a.fod", "--data", "named.npz")
    crafted(*GENERATE, "b.fod", "--data", "named.npz", "--inputs-key", NAME)
    crafted(*GENERATE, "c.fod", "--data", "named.npz", "--inputs-key", f"{NAME}!")
    pd.DataFrame({NAME: x[:, 0], "label": [EVIL, "b", None]}).to_parquet("table.parquet")
    crafted(*GENERATE, "d.fod", "--data", "table.parquet", "--class-names", f"a,{NAME}")
    crafted(*GENERATE, "e.fod", "--data", "table.parquet", "--inputs-key", NAME, "--labels-key", "nope")
    pd.DataFrame({NAME: ["text", "b", "c"], "other": [1, 2, 3]}).to_parquet("text.parquet")
    crafted(*GENERATE, "f.fod", "--data", "text.parquet")
    pd.DataFrame({"b": x[:, 0], NAME: x[:, 1]}).to_parquet("other.parquet")
    crafted(*[word.replace(":model", ":known") for word in GENERATE], "g.fod", "--data", "other.parquet")
    np.save(f"{NAME}.npy", x)
    crafted(*GENERATE, "h.fod", "--data", f"{NAME}.npy")
    crafted(*GENERATE, f"{NAME}.fod", "--data", f"{NAME}.npy")
    crafted(*GENERATE, "i.fod", "--data", f"{NAME}.npy", "--temperature", 2)
    crafted(*GENERATE, "i.fod", "--data", f"{NAME}.npy", "--temperature", 3, "--model-name", EVIL)


def test_saved_datasets(crafted):
    table = pa.table({NAME: [0.5, 0.25], "label": [EVIL, "b"]})
    crafted(*GENERATE, "a.fod", "--data", saved(Path("one"), table))
    crafted(*GENERATE, "b.fod", "--data", "one", "--inputs-key", NAME)
    crafted(*GENERATE, "c.fod", "--data", "one", "--inputs-key", "label", "--labels-key", NAME, codes=(3,))
    folder = saved(Path("two"), table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": EVIL}]}))
    crafted(*GENERATE, "d.fod", "--data", folder)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": NAME}]}))
    crafted(*GENERATE, "e.fod", "--data", folder)
    for name in ("splits", NAME):
        Path(folder, name).mkdir()
    (folder / "dataset_dict.json").write_text("{}")
    crafted(*GENERATE, "f.fod", "--data", folder)


def test_what_ends_a_run(crafted, shell):
    np.save("x.npy", ROWS)
    words = [word.replace(":model", ":stops") for word in GENERATE]
    crafted(*words, "a.fod", "--data", "x.npy", codes=(3,))
    crafted(*GENERATE, "b.fod", "--data", EVIL)
    crafted("generate", "--backend", EVIL, "--model", "own:model", "--data", "x.npy", "--out", "c.fod")
    crafted(
        "generate", "--backend", "numpy", "--model", f"own:{EVIL}", "--data", "x.npy", "--out", "c.fod", shown=False
    )
    crafted(*GENERATE, "d.fod", "--data", "x.npy", "--option", f"{EVIL}={EVIL}")
    crafted(*GENERATE, "e.fod", "--data", "x.npy", "--wrapper", EVIL)
    crafted(*GENERATE, "f.fod", "--data", "x.npy", "--device", EVIL)
    crafted("demo", "--out", f"demo{NAME}", shown=False)
    crafted("demo", "--out", f"demo{NAME}")
    Path("names.txt").write_text("\n".join(["cat", EVIL.replace("\n", ""), "dog", "dog"]))
    crafted(*GENERATE, "g.fod", "--data", "x.npy", "--class-names", "names.txt", shown=False)


def test_backends_and_the_list_of_commands(crafted, shell, monkeypatch, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    info = site / "stranger-1.0.dist-info"
    info.mkdir()
    summary = EVIL.replace("\r", "").replace("\n", "").replace("\u2028", "")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\x1b[2J\nSummary: {summary}\n", encoding="utf-8"
    )
    groups = ("backends", "commands", "formats", "wrappers")
    entries = [f"[probly.data_generator.{group}]\nname\x1b[2J = nothing\x1b[2J:nothing\n" for group in groups]
    (info / "entry_points.txt").write_text("\n".join(entries))
    monkeypatch.syspath_prepend(site)
    crafted("backends", "--names")
    crafted("backends", "name\x1b[2J")
    crafted("backends", EVIL)
    crafted("name\x1b[2J")
    items = first_order.shell_complete(click.Context(first_order), "name")
    assert [(item.value, clean(item.help)) for item in items] == [(r"name\u001b[2J", True)]
    for words in (["--help"], []):
        printed = printed_by(shell, *words)[1]
        assert clean(printed)
        assert r"name\u001b[2J" in printed


def test_all_commands_were_tried():
    text = Path(__file__).read_text(encoding="utf-8")
    tried = {name for name in OURS if re.search(rf'"{name}"', text)}
    assert tried == set(OURS)
