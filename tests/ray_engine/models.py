"""A model that leaves a trace of each process that it works in, and the run that it is asked in."""

import json
import os
import time
import warnings
from pathlib import Path

import numpy as np

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.store import open_store

CLASSES = 100
BATCH = 500
SHARD_ROWS = 5000
WRONG = "TESTS_WRONG_WEIGHTS"
"""By how much the weights are larger where it is set, which no digest sees."""
TOGETHER = "together"
FAILS = "TESTS_FAILS"
"""The first number of a batch that the model fails over."""


class Model:
    """Linear; it sleeps as long as it is told, and leaves a file per process, which says what GPUs that sees.

    No process goes on with its second batch, the first one of a shard that it was handed, before as many as the file
    ``together`` among the traces says are at theirs: the driver has then heard that each was admitted, and how long
    each took says nothing of the engine.
    """

    def __init__(self, traces=None, seconds=0.0, warning=None, together=1):
        self.weights = np.linspace(-1, 1, 3 * CLASSES).reshape(3, CLASSES)
        self.told = {"traces": traces and str(traces), "seconds": seconds, "warning": warning}
        if traces:
            wait_for(traces, together)

    def __call__(self, inputs):
        if self.told["traces"]:
            self.meet(Path(self.told["traces"]))
        if self.told["warning"]:
            warnings.warn(self.told["warning"], stacklevel=2)
        if inputs[0, 0] == float(os.environ.get(FAILS, "nan")):
            raise LookupError("the last batch is lost")
        time.sleep(self.told["seconds"])
        return inputs @ (self.weights * (1 + float(os.environ.get(WRONG, "0"))))

    @staticmethod
    def meet(traces):
        begun = traces / f"{os.getpid()}.begun"
        if begun.exists():
            (traces / str(os.getpid())).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
            until(lambda: len(processes(traces)) >= int((traces / TOGETHER).read_text()))
        begun.touch()


def wait_for(traces, number):
    draft = Path(traces) / f"{os.getpid()}.draft"
    draft.write_text(str(number))
    draft.replace(Path(traces) / TOGETHER)  # at once: others may be reading it


def processes(traces):
    """Return the numbers of the processes that left a trace."""
    return [int(path.name) for path in traces.iterdir() if path.name.isdigit()]


def is_gone(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def data(rows=200_000):
    return np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)


def run(out, inputs, model=None, **options):
    generator = FirstOrderDataGenerator(model or Model(), output_mode="logits", backend="numpy", batch_size=BATCH)
    return generator.generate_distributions(inputs, out=out, **{"progress": False, "shard_rows": SHARD_ROWS, **options})


def check(path, single):
    """Compare a store with that of a single run: manifest entries, and the bytes of rows."""
    open_store(path).verify()
    entries = [json.loads((one / "manifest.json").read_bytes())["shards"] for one in (path, single)]
    assert entries[0] == entries[1]
    assert list(map(payload, shards(path))) == list(map(payload, shards(single)))
    assert not list(path.glob("**/.*.part"))


def shards(path):
    return sorted((path / "shards").glob("*.safetensors"))


def payload(shard):
    """Return the bytes after the header, which names the store."""
    content = shard.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]
