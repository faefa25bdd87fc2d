"""A driver of its own, on the cluster of RAY_ADDRESS: python driver.py OUT TRACES SECONDS WORKERS."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.ray_engine import models

if __name__ == "__main__":
    out, traces, seconds, workers = sys.argv[1:]
    models.run(
        Path(out), models.data(), models.Model(traces, float(seconds)), engine="ray", workers=int(workers),
        engine_options={"num_gpus": 0},
    )  # fmt: skip
