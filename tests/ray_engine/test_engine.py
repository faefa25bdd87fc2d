"""What the engine is asked, and what it says of what workers say."""

import threading
import time
import warnings
from types import SimpleNamespace

import pytest
import ray

from probly.data_generator.errors import StoreError, WorkerError
from tests.ray_engine import models

ROWS = 12 * models.BATCH
ONE_BATCH = {"shard_rows": models.BATCH}
NO_GPUS = {"num_gpus": 0}


@pytest.fixture(scope="module")
def few():
    return models.data(ROWS)


def test_as_many_workers_as_there_is_room_for_who_warn_once(filled, few, tmp_path):
    seen = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = models.Model(tmp_path, warning="mind the gap", together=4)
        teacher = filled(tmp_path / "a.fod", few, model, progress=seen.append, **ONE_BATCH)
    assert len(teacher) == ROWS
    assert len(models.processes(tmp_path)) == 4
    assert [str(warning.message) for warning in caught] == ["mind the gap"]
    assert seen[-1].safe_rows == ROWS
    assert not ray.is_initialized()


def test_an_engine_that_is_connected_already_is_used_as_it_is(cluster, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ray.init(address=cluster.address, logging_level="error")
    try:
        local = models.Model()

        class Defined(models.Model):
            def __call__(self, inputs):
                return local(inputs)  # a class of a notebook, which no worker could import

        class InPlace:
            """It writes to what it holds, as transforms do."""

            def __init__(self, rows):
                self.rows = rows

            def __len__(self):
                return len(self.rows)

            def __getitem__(self, index):
                row = self.rows[index]
                row += 0
                return row

        # The path is relative to the driver's folder.
        teacher = models.run("a.fod", InPlace(few), Defined(), engine="ray", workers=1, engine_options=NO_GPUS)
        assert teacher == models.run("b.fod", few, local)
        with pytest.raises(ValueError, match=r"address: .* leave address out, or call ray\.shutdown\(\)"):
            models.run("c.fod", few, engine="ray", engine_options={"address": cluster.address})
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_each_worker_sees_its_own_gpus(cluster, filled, few, tmp_path):
    model = models.Model(tmp_path, together=2)
    filled(tmp_path / "a.fod", few, model, engine_options={"num_gpus": 1}, **ONE_BATCH)
    assert sorted((tmp_path / str(one)).read_text() for one in models.processes(tmp_path)) == ["0", "1"]
    with pytest.warns(UserWarning, match=r"2 GPUs, .* set engine_options=\{'num_gpus': 1\}, or 0"):
        models.run(tmp_path / "a.fod", few, model, engine="ray", workers=1,
                   engine_options={"address": cluster.address}, **ONE_BATCH)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": 2}, "the engine 'ray' knows address, num_cpus, .*, got cpus"),
        ({"num_gpus": -1}, "num_gpus: expected a number of at least 0, got -1"),
        ({"patience": float("nan")}, "patience: expected a number"),
        ({"resources": {"seat": "one"}}, "seat: expected a number of at least 0, got 'one'"),
        ({"num_cpus": 0}, "workers: say how many"),
    ],
)
def test_options_that_are_none(filled, few, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        filled(tmp_path / "a.fod", few, engine_options=options)
    assert not ray.is_initialized()


def test_what_cannot_be_sent_is_named(filled, few, tmp_path):
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"(?s)the model.* cannot be sent to workers: .*lock"):
        filled(tmp_path / "a.fod", few, lambda inputs: inputs if lock else None, workers=1)


def test_an_error_of_a_worker_then_a_worker_with_other_weights(filled, few, tmp_path):
    fails = {"runtime_env": {"env_vars": {models.FAILS: repr(float(few[-models.BATCH, 0]))}}}
    with pytest.raises(LookupError, match="the last batch is lost") as caught:
        filled(tmp_path / "a.fod", few, workers=1, engine_options=fails, **ONE_BATCH)
    assert type(caught.value) is LookupError
    notes = "\n".join(caught.value.__notes__)
    assert "raised in worker 0 (process " in notes
    assert "models.py" in notes
    assert len(models.shards(tmp_path / "a.fod")) == 11
    wrong = {"runtime_env": {"env_vars": {models.WRONG: "1e-7"}}}  # which no digest of the model sees
    with pytest.raises(StoreError, match="computes with other kernels than the one that began the store"):
        filled(tmp_path / "a.fod", few, workers=1, engine_options=wrong, **ONE_BATCH)
    assert len(models.shards(tmp_path / "a.fod")) == 11


def test_no_room_for_any_worker(cluster, few, tmp_path):
    ray.init(address=cluster.address, logging_level="error")
    try:  # what other runs had is free again, and nodes of theirs are gone, once Ray has noticed
        models.until(lambda: ray.available_resources().get("CPU") == 4)
        with pytest.warns(UserWarning, match=r"1 of 1 workers wait for room"), pytest.raises(WorkerError) as caught:
            models.run(tmp_path / "a.fod", few, engine="ray", workers=1, engine_options={"num_gpus": 3, "patience": 1})
    finally:
        ray.shutdown()
    said = str(caught.value)
    assert (
        "each wants CPU 1, GPU 3, and the cluster has 3 nodes with CPU 2; CPU 2, GPU 2; none of it, of which " in said
    )
    assert "CPU 4, GPU 2 is free in all; none of them has as much" in said


# That there is no room is said before, unless Ray is late to notice.
@pytest.mark.filterwarnings("ignore:.*wait for room:UserWarning")
def test_no_room_for_a_replacement(cluster, filled, few, tmp_path, monkeypatch):
    node = cluster.add_node(num_cpus=1, resources={"seat": 1})

    def kill(progress):
        if progress.safe_rows and node in cluster.worker_nodes:
            cluster.remove_node(node, allow_graceful=False)
            models.until(lambda: all(map(models.is_gone, models.processes(tmp_path))))
            later = SimpleNamespace(monotonic=lambda: time.monotonic() + 301)  # patience is at its end
            monkeypatch.setattr("probly_data_generator_ray.engine.time", later)

    model, options = models.Model(tmp_path), {"resources": {"seat": 1}}
    with pytest.raises(WorkerError, match="each wants CPU 1, seat 1"):
        filled(tmp_path / "a.fod", few, model, progress=kill, engine_options=options, **ONE_BATCH)
    assert 1 <= len(models.shards(tmp_path / "a.fod")) < 12


def test_those_that_have_room_go_on_without_the_others(filled, few, tmp_path, monkeypatch):
    monkeypatch.setattr("probly_data_generator_ray.engine.SECONDS_TO_PLACE", 0)
    options = {"num_cpus": 2}
    with pytest.warns(UserWarning, match=r"of 3 workers wait for room .*: each wants CPU 2"):
        filled(
            tmp_path / "a.fod",
            few,
            models.Model(seconds=0.05),
            devices=["cpu"] * 3,
            engine_options=options,
            **ONE_BATCH,
        )
    assert len(models.shards(tmp_path / "a.fod")) == 12
