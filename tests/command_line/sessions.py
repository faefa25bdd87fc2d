"""A session with `first-order` on a folder of pictures, as a new user has it."""

import json
import signal

import numpy as np
import pandas as pd
from PIL import Image

from probly.data_generator.store import open_partial, open_store
from tests.command_line.commands import finished, stopped

SIZE, COUNT = 12, 100
CLASSES = ("bird", "cat", "dog")


def folder_of_pictures(path):
    """Write a class per subfolder, and return all pictures as float32 of shape (N, height, width, 3)."""
    random = np.random.default_rng(0)
    found = []
    for name in CLASSES:
        (path / name).mkdir(parents=True)
        for number in range(COUNT):
            pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number:03}.png")
            found.append(pixels)
    return np.stack(found).astype(np.float32) / 255


def softmax(logits):
    rows = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return rows / rows.sum(axis=1, keepdims=True)


def check_session(folder, expected):
    """Verify the store, convert it to Parquet, read that with pandas, and make the page."""
    store = open_store(folder / "teacher.fod")
    np.testing.assert_allclose(np.asarray(store), expected, rtol=0, atol=1e-6)
    assert store.class_names == list(CLASSES)
    assert store.labels.tolist() == np.repeat(range(3), COUNT).tolist()
    assert store.sample_keys[COUNT] == "cat/000.png"
    assert json.loads(finished(folder, "verify", "teacher.fod", "--json").stdout)["ok"]
    finished(folder, "convert", "teacher.fod", "teacher.parquet")
    frame = pd.read_parquet(folder / "teacher.parquet")
    assert frame["index"].tolist() == list(range(3 * COUNT))
    np.testing.assert_array_equal(np.stack(frame["probabilities"]), np.asarray(store))
    assert frame["label"].tolist() == store.labels.tolist()
    finished(folder, "diff", "teacher.fod", "teacher.parquet")
    finished(folder, "report", "teacher.fod", "--data", "pets", "--out", "report.html")
    assert "data:image/png;base64" in (folder / "report.html").read_text(encoding="utf-8")


def generated(folder, backend, model):
    """Kill a run when it has published its first rows, and let the same command make the others."""
    words = ["generate", "--backend", backend, "--model", model, "--data", "pets", "--out", "teacher.fod"]
    words += ["--batch-size", "1", "--shard-seconds", "0.001"]
    process, _ = stopped(folder, *words, store="teacher.fod")
    assert process.returncode == -signal.SIGKILL
    safe = len(open_partial(folder / "teacher.fod"))
    assert 0 < safe < 3 * COUNT
    result = json.loads(finished(folder, *words, "--json").stdout)
    assert result["rows_before"] == safe
    return result
