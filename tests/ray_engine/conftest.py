"""A cluster of three nodes on this machine, in a network of its own, so that nothing leaves it."""

import ctypes
import fcntl
import os
import socket
import struct
import tempfile

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.ray_engine import models

CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1  # of Linux


@pytest.fixture(scope="session")
def own_network():
    """Move this process into a network namespace that has nothing but a loopback, where it may (it takes root)."""
    library = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    moved = library.unshare(CLONE_NEWNET) == 0
    if moved:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    yield
    if moved:
        assert library.setns(before, CLONE_NEWNET) == 0
    os.close(before)


@pytest.fixture(scope="session")
def own_ray(own_network):
    """Let Ray keep its logs and sockets in a folder that goes away; those of pytest have too long names for sockets."""
    patch = pytest.MonkeyPatch()
    patch.delenv("RAY_ADDRESS", raising=False)
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        patch.setenv("RAY_TMPDIR", folder)
        yield
    patch.undo()


@pytest.fixture(scope="session")
def cluster(own_ray):
    """The head has no processors, so workers are on the other nodes: two on each, and two GPUs on one of them."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for gpus in (0, 2):  # which Ray believes without looking
        made.add_node(num_cpus=2, num_gpus=gpus, wait=False)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy machine, processes take their time to start."""
    monkeypatch.setattr("probly_data_generator_ray.engine.SECONDS_TO_PLACE", 300)


@pytest.fixture
def filled(cluster):
    """Return a function that fills a store on the cluster."""

    def run(out, inputs, model=None, *, engine_options=None, **options):
        options = {
            "engine": "ray",
            "engine_options": {"address": cluster.address, "num_gpus": 0, **(engine_options or {})},
            **options,
        }
        return models.run(out, inputs, model, **options)

    return run


@pytest.fixture(scope="session")
def inputs():
    return models.data()


@pytest.fixture(scope="session")
def single(inputs, tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "single.fod"
    models.run(path, inputs)
    return path
