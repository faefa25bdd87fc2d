"""Nodes, workers and drivers that die or stop, while others go on: what comes out is what a single run gives."""

import os
import signal
import subprocess
import sys

import pytest

from tests.ray_engine import driver, models
from tests.ray_engine.models import is_gone, processes, until


class Once:
    """A progress callback that does something once so many shards were received."""

    def __init__(self, shards, what):
        self.shards, self.what, self.seen = shards, what, 0

    def __call__(self, progress):
        self.seen += 1
        if self.seen == self.shards:
            self.what()


@pytest.fixture
def traces(tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    return folder


@pytest.fixture
def start_driver(cluster, tmp_path, traces):
    started = []

    def start(*, seconds, workers, together=1, name="a.fod"):
        command = [sys.executable, driver.__file__, tmp_path / name, traces, seconds, workers, together]
        environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        started.append(subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    start.started = started
    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_killed_node_and_killed_workers(cluster, filled, inputs, single, tmp_path, traces):
    doomed = cluster.add_node(num_cpus=1)

    def kill_the_node():
        cluster.remove_node(doomed, allow_graceful=False)
        until(lambda: any(map(is_gone, processes(traces))))  # it takes its worker along

    def kill_two():
        for process in [process for process in processes(traces) if not is_gone(process)][:2]:
            os.kill(process, signal.SIGKILL)
        models.wait_for(traces, 6)  # of three replacements, there is room for two

    def progress(now):
        if to_do:
            to_do.pop(0)()

    to_do = [kill_the_node, kill_two]
    filled(tmp_path / "a.fod", inputs, models.Model(traces, 0.02, together=5), workers=5, progress=progress)
    assert not to_do
    models.check(tmp_path / "a.fod", single)


def test_a_worker_that_sleeps_through_the_end(filled, inputs, single, tmp_path, traces):
    stopped = []

    def stop():
        stopped.append(min(processes(traces)))
        os.kill(stopped[0], signal.SIGSTOP)

    filled(tmp_path / "a.fod", inputs, models.Model(traces, 0.005), workers=2, progress=Once(9, stop))
    models.check(tmp_path / "a.fod", single)
    assert not is_gone(stopped[0])
    os.kill(stopped[0], signal.SIGCONT)
    until(lambda: is_gone(stopped[0]))
    models.check(tmp_path / "a.fod", single)


def test_a_killed_driver_then_another_number_of_workers(filled, start_driver, inputs, single, tmp_path, traces):
    killed = start_driver(seconds=0.03, workers=1)
    until(lambda: len(models.shards(tmp_path / "a.fod")) >= 3)
    killed.kill()
    until(lambda: all(map(is_gone, processes(traces))))  # Ray ends the workers of a driver that is gone
    there = len(models.shards(tmp_path / "a.fod"))
    assert 3 <= there < 39
    count = Once(0, None)
    filled(tmp_path / "a.fod", inputs, models.Model(traces, 0.03), workers=3, progress=count)
    assert count.seen == 40 - there + 1  # and once at the end
    models.check(tmp_path / "a.fod", single)


def test_two_drivers_at_once(filled, start_driver, inputs, single, tmp_path, traces):
    other = start_driver(seconds=0.005, workers=2, together=4)
    filled(tmp_path / "a.fod", inputs, models.Model(traces, 0.005, together=4), workers=2)
    assert other.wait(120) == 0, other.stderr.read()
    assert len(processes(traces)) == 4
    models.check(tmp_path / "a.fod", single)


def test_drivers_that_are_told_to_end_end_their_workers(start_driver, tmp_path, traces):
    for number in (signal.SIGINT, signal.SIGTERM):
        start_driver(seconds=0.05, workers=2, together=4, name=f"{number}.fod").told = number
    drivers = start_driver.started
    until(lambda: len(processes(traces)) == 4)
    for stopped in drivers:
        stopped.send_signal(stopped.told)
    for stopped in drivers:
        assert stopped.wait(120) in (128 + stopped.told, -stopped.told), stopped.stderr.read()
    until(lambda: all(map(is_gone, processes(traces))))
