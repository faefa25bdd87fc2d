"""Nodes that do not see the same store: one of them has a folder of its own at the path."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from probly.data_generator.errors import StoreError
from tests.ray_engine import models

ROWS = 12 * models.BATCH


@pytest.fixture
def apart(cluster, tmp_path):
    """Return a folder that one node, which alone has the resource ``apart``, has another one in place of."""
    folder = tmp_path / "apart"
    folder.mkdir()
    node = f'exec ray start --address {cluster.address} --num-cpus 1 --resources \'{{"apart": 1, "seat": 1}}\' --block'
    script = f"mount -t tmpfs none {folder} && {node}"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    namespace = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    started = subprocess.Popen([*namespace, "sh", "-c", script], env=environment, stdout=subprocess.DEVNULL)
    ray.init(address=cluster.address, logging_level="error")
    try:
        end = time.monotonic() + 60
        while not ray.cluster_resources().get("apart"):
            assert time.monotonic() < end
            time.sleep(0.1)
        yield folder
    finally:
        ray.shutdown()
        started.terminate()
        started.wait()


def run(folder, name, **options):
    model = models.Model(folder.parent, together=2)
    return models.run(
        folder / name, models.data(ROWS), model, shard_rows=models.BATCH, engine="ray",
        engine_options={"num_gpus": 0, **options},
    )  # fmt: skip


def test_each_node_has_begun_a_store_of_its_own(cluster, apart, monkeypatch):
    other = cluster.add_node(num_cpus=1, resources={"seat": 1})
    with pytest.raises(StoreError, match=r"(?s)worker \d .* and worker \d .* have each begun a store of their own"):
        run(apart, "a.fod", resources={"seat": 1})
    cluster.remove_node(other)
    monkeypatch.setattr("probly_data_generator_ray.engine.SECONDS_TO_SEE", 0.5)
    with pytest.raises(StoreError, match="has begun a store there, which this machine does not see; let the path be"):
        run(apart, "b.fod", resources={"apart": 1})
