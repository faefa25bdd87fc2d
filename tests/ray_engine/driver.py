"""A driver of its own, on the cluster of RAY_ADDRESS: python driver.py OUT TRACES SECONDS WORKERS TOGETHER."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.ray_engine import models

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
    out, traces, seconds, workers, together = sys.argv[1:]
    model = models.Model(traces, float(seconds), together=int(together))
    models.run(Path(out), models.data(), model, engine="ray", workers=int(workers), engine_options={"num_gpus": 0})
