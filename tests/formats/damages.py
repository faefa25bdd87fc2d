"""Random damage to files of ours, and what becomes of it: right rows or a StoreError, and nothing else.

The tests do some hundreds to a file of each form. A hundred thousand, one form after the other, take about an hour:

    python -m tests.formats.damages 100000

or with the forms behind the number, such as ``.json`` and ``.fod/top-2``; a line for each says how many were refused,
how many changed nothing that counts, and how large the process grew.
"""

import collections
import functools
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from probly.data_generator import Distributions, StoreError
from probly.data_generator.discovery import listing
from probly.data_generator.formats.choosing import format_of, load, save

ROWS = np.random.default_rng(4).dirichlet(np.ones(3), 9).astype(np.float32)
INDICES = [0, 1, 2, 5, 8, 13, 21, 34, 400]
LABELS = {
    "numbers": [0, 2, 1, 1, 0, -1, 2, 2, 1],
    "texts": ["cat", "dög", None, "cat", "horse", "dög", "cat", "a", "b"],
}
MEMBERS = np.random.default_rng(5).dirichlet(np.ones(3), (9, 2)).astype(np.float32)
COLUMNS = {"numbers": {}, "texts": {"members": MEMBERS}}
META = {"class_names": ["cat", "dög", "horse"], "classes": ["c", "d", "h"], "model_name": "mine", "accuracy": 0.75}
FORMS = (
    ".json", ".npz", ".safetensors", ".parquet", ".feather", ".csv", ".pt", ".fod/float32", ".fod/float16", ".fod/top-2"
)  # fmt: skip
KEYS = {"numbers": [7, 8, 9, 1, 2, 3, 4, 5, 6], "texts": ["a.png", "b/ö.png", "", "d", "e", "f", "g", "h", "i"]}


def written(folder, form, labels):
    """Write distributions in a form, and return where and what a reader must find."""
    suffix, _, encoding = form.partition("/")
    path, whole = (
        folder / f"{labels}{suffix}",
        Distributions(ROWS, INDICES, LABELS[labels], META, columns=COLUMNS[labels], sample_keys=KEYS[labels]),
    )
    if suffix == ".csv":  # which has no place for columns
        whole = Distributions(ROWS, INDICES, LABELS[labels], META, sample_keys=KEYS[labels])
    if encoding:
        format_of(path).write(path, whole, whole.meta, encoding, 1e-4)
    else:
        save(path, whole)
    return path, content_of(path)


def content_of(path):
    """Return all of a file that counts, as plain values; what a user asks of it later is asked now."""
    found, _ = load(path)
    if path.suffix == ".fod":
        found.verify()
    labels = None if found.labels is None else found.labels.tolist()
    rows = np.asarray(found)
    beside = {name: np.asarray(column[:]).tolist() for name, column in found.columns.items()}
    keys = None if found.sample_keys is None else found.sample_keys.tolist()
    return rows.tobytes(), beside, found.indices.tolist(), labels, found.class_names, found.classes, keys


def damaged(content, draw):
    """Return a file's bytes with one damage, and what it was."""
    place = draw.randrange(len(content))
    kind = draw.choices(["bit", "byte", "cut", "lost", "extra", "zeros"], [40, 30, 10, 8, 7, 5])[0]
    before, byte, after = content[:place], content[place], content[place + 1 :]
    if kind == "bit":
        middle = bytes([byte ^ 1 << draw.randrange(8)])
    elif kind == "byte":
        middle = bytes([draw.choice([one for one in range(256) if one != byte])])
    elif kind == "cut":
        middle, after = b"", b""
    elif kind == "lost":
        middle = b""
    elif kind == "extra":
        middle = bytes([draw.randrange(256), byte])
    else:
        count = draw.randrange(1, 65)
        middle, after = bytes(min(count, len(content) - place)), content[place + count :]
    return before + middle + after, f"{kind} at {place}"


def outcomes(folder, form, count, seed=0):
    """Damage files of a form so often, and count what came of it.

    Raises:
        AssertionError: Something else was read than was written, or another error came.
    """
    draw, found = random.Random(f"{form}{seed}"), collections.Counter()
    whole = [(*written(folder, form, labels), labels) for labels in LABELS]
    for _ in range(count):
        path, wanted, labels = draw.choice(whole)
        files = (
            sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)
            if path.is_dir()
            else [path]
        )
        file = draw.choice(files)
        content = file.read_bytes()
        changed, what = damaged(content, draw)
        if changed == content:
            continue
        found[result(path, file, changed, content, wanted, f"{form} {labels}, {file.name}, {what}")] += 1
    return found


def result(path, file, changed, content, wanted, what):
    """Return "refused" or "the same"."""
    replaced(file, changed)
    try:
        answer = content_of(path)
    except StoreError:
        return "refused"
    except Exception as error:
        message = f"{what}: {type(error).__name__}: {error}"
        raise AssertionError(message) from error
    finally:
        replaced(file, content)
    assert answer == wanted, f"silently wrong: {what}"
    return "the same"


def replaced(file, content):
    file.chmod(0o644)
    file.write_bytes(content)


def main(count, forms):
    listing._scan = functools.cache(listing._scan)  # see conftest.py
    memory = Path("/dev/shm")
    for form in forms:
        folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        try:
            found = outcomes(folder, form, count, seed=1)
        finally:
            shutil.rmtree(folder)
        peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
        print(form, dict(found), f"{int(peak) // 1024} MB", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or FORMS)
