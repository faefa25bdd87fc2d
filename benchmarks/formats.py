"""Saving and loading distributions in every format, against the plainest code that writes the same rows."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import processes
import timing

from probly.data_generator import Distributions, store

CLASSES = 10


def run(rows, rounds=None):
    """Return the figures of each format, in a process of its own."""
    return list(processes.figures_of(__file__, rows, rounds or 0))


def plain_json(rows, path):
    with path.open("w") as file:
        json.dump({"meta": {}, "distributions": {str(index): row.tolist() for index, row in enumerate(rows)}}, file)


def plain_npz(rows, path):
    np.savez(path, probabilities=rows)


def plain_parquet(rows, path):
    import pyarrow as pa
    from pyarrow import parquet

    values = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    parquet.write_table(pa.table({"index": np.arange(len(rows)), "probabilities": values}), path)


def plain_safetensors(rows, path):
    from safetensors.numpy import save_file

    save_file({"probabilities": rows}, path)


def plain_fod(rows, path):
    np.save(path.with_suffix(".npy"), rows)


PLAIN = {
    ".json": plain_json,
    ".npz": plain_npz,
    ".parquet": plain_parquet,
    ".safetensors": plain_safetensors,
    ".fod": plain_fod,
}


def measure(suffix, rows, rounds):
    """Return the seconds of ours and of the plain code, and of loading."""
    distributions = Distributions(rows, labels=np.arange(len(rows)) % CLASSES)

    def ours(folder):
        store.save(folder / f"x{suffix}", distributions)
        return rows

    def plain(folder):
        PLAIN[suffix](rows, folder / f"x{suffix}")
        return rows

    taken = timing.interleaved({"plain": plain, "ours": ours}, rounds or None)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"x{suffix}"
        store.save(path, distributions)
        begin = time.perf_counter()
        loaded, _ = store.load(path)
        same = np.asarray(loaded)
        seconds = time.perf_counter() - begin
    np.testing.assert_allclose(same, rows, rtol=0, atol=1e-6)
    return {
        "format": suffix,
        "rows": len(rows),
        "save": float(np.median(taken["ours"])),
        "ratio": timing.ratio(taken["ours"], taken["plain"]),
        "load": seconds,
    }


def main():
    """Be the process of all formats."""
    send = processes.sender()
    rows = np.random.default_rng(0).dirichlet(np.ones(CLASSES), int(sys.argv[1])).astype(np.float32)
    for suffix in PLAIN:
        send(measure(suffix, rows, int(sys.argv[2])))


if __name__ == "__main__":
    main()
