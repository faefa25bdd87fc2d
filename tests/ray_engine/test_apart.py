"""Nodes that do not see the same store: one of them has a folder of its own at the path."""

import os
import subprocess
import sys
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
        models.until(lambda: ray.cluster_resources().get("apart"))
        yield folder
    finally:
        ray.shutdown()
        started.terminate()
        started.wait()


@pytest.fixture
def other(cluster):
    """A node that sees what the driver sees."""
    node = cluster.add_node(num_cpus=1, resources={"seat": 1})
    yield
    cluster.remove_node(node)


def run(folder, *, together, **options):
    model = models.Model(folder.parent, together=together)
    return models.run(
        folder / "a.fod", models.data(ROWS), model, shard_rows=models.BATCH, engine="ray",
        engine_options={"num_gpus": 0, **options},
    )  # fmt: skip


def test_each_node_has_begun_a_store_of_its_own(apart, other):
    with pytest.raises(StoreError, match=r"(?s)worker \d .* and worker \d .* have each begun a store of their own"):
        run(apart, together=2, resources={"seat": 1})


def test_the_driver_does_not_see_what_the_workers_have_begun(apart, monkeypatch):
    monkeypatch.setattr("probly_data_generator_ray.engine.SECONDS_TO_SEE", 0.5)
    with pytest.raises(StoreError, match="has begun a store there, which this machine does not see; let the path be"):
        run(apart, together=1, resources={"apart": 1})
