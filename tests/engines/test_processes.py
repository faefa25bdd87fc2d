"""Workers in processes of this machine: the rows of a single run, whoever dies, stops or fails in between."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly.data_generator.errors import WorkerError
from probly.data_generator.store import open_partial, open_store
from tests.engines import models
from tests.store import shared, stores

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "single.fod"
    shared.run(path)
    return path


def run(path, model=None, *, workers=2, **options):
    return shared.run(path, model=model, share=None, workers=workers, **options)


def test_two_workers_give_the_store_of_one(tmp_path, single):
    seen, path = [], tmp_path / "a.fod"
    generator = stores.generator()
    found = generator.generate_distributions(
        stores.DATA, out=path, workers=2, shard_rows=shared.SHARD_ROWS, progress=seen.append
    )
    assert stores.agrees(found)
    shared.check(path, single)
    assert [one.rows for one in seen][-1] == stores.ROWS
    assert (
        sorted({one.safe_rows for one in seen}) == [one.safe_rows for one in seen][: len({o.safe_rows for o in seen})]
    )
    assert seen[0].total == stores.ROWS


def test_a_complete_store_is_looked_at_and_nothing_is_computed_twice(tmp_path):
    path = tmp_path / "a.fod"
    run(path, workers=1)
    before = {shard.name: shard.stat().st_mtime_ns for shard in (path / "shards").iterdir()}
    run(path, workers=1)
    assert {shard.name: shard.stat().st_mtime_ns for shard in (path / "shards").iterdir()} == before


def test_a_worker_that_is_killed_is_replaced(tmp_path, single):
    path = tmp_path / "a.fod"
    model = models.Marking(20, models.die, once=str(tmp_path / "once"))
    model.__class__.__qualname__ = "Marking"
    run(path, model)
    assert (tmp_path / "once").exists()
    assert shared.entries(path) == shared.entries(single)


def test_a_worker_that_stops_holds_nobody_up(tmp_path, single):
    path = tmp_path / "a.fod"
    started = time.monotonic()
    run(path, models.Marking(20, models.stop, once=str(tmp_path / "once")))
    assert time.monotonic() - started < 60
    assert shared.entries(path) == shared.entries(single)


def test_a_shard_that_kills_whoever_computes_it_ends_the_run(tmp_path):
    path = tmp_path / "a.fod"
    with pytest.raises(WorkerError, match=r"3 workers died while they computed shard 2; the last one .* by signal 9"):
        run(path, models.Marking(20, models.die))
    assert list(open_partial(path))[:20] == list(range(20))


def test_an_error_of_a_worker_is_raised_with_its_type_and_place(tmp_path):
    path = tmp_path / "a.fod"
    with pytest.raises(RuntimeError, match="broken layer") as caught:
        run(path, models.Marking(20, models.fail))
    notes = "\n".join(caught.value.__notes__)
    assert "whose first sample is 20" in notes
    assert "raised in worker" in notes
    assert "models.py" in notes
    assert len(open_partial(path)) >= 10


def test_an_error_of_the_model_is_not_taken_for_the_end_of_the_driver(tmp_path):
    with pytest.raises(EOFError, match="No data left in file"):
        run(tmp_path / "a.fod", models.Marking(20, models.end_of_file), workers=1)


def test_a_warning_that_cannot_be_sent_is_heard_all_the_same(tmp_path, single):
    path = tmp_path / "a.fod"
    with pytest.warns(UserWarning, match="of a class that nobody can import"):
        run(path, models.Marking(20, models.warn_of_a_kind_of_its_own), workers=1)
    assert shared.entries(path) == shared.entries(single)


def test_a_worker_is_dead_even_if_processes_that_it_forked_are_not(tmp_path, single):
    path = tmp_path / "a.fod"
    started = time.monotonic()
    run(path, models.Marking(20, models.die_and_leave_a_child, once=str(tmp_path / "once")), workers=1)
    assert time.monotonic() - started < 55
    assert shared.entries(path) == shared.entries(single)


def test_a_worker_that_a_thread_keeps_from_ending_is_replaced(tmp_path, single):
    path = tmp_path / "a.fod"
    started = time.monotonic()
    run(path, models.Marking(20, models.leave_with_a_thread, once=str(tmp_path / "once")), workers=1)
    assert time.monotonic() - started < 55
    assert shared.entries(path) == shared.entries(single)


def test_a_program_without_a_file_is_refused(tmp_path):
    script = DRIVER.replace("sys.argv[1]", repr(str(tmp_path / "a.fod")))
    found = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, check=False,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "this program is <stdin>, which worker processes cannot import; run it from a file" in found.stderr


def test_a_worker_whose_model_is_another_one_is_refused(tmp_path):
    path = tmp_path / "a.fod"
    shared.run(path, model=models.DifferentInWorkers())
    stores.shard(path, 2).unlink()
    with pytest.raises(StoreError, match="this worker computes with other kernels") as caught:
        run(path, models.DifferentInWorkers())
    assert "raised in worker" in caught.value.__notes__[-1]


def test_warnings_of_workers_are_heard_once(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(tmp_path / "a.fod", data=stores.Images(), model=functools.partial(models.Sleeping(0)), workers=2)
    texts = [str(one.message) for one in caught]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("model", {"model": lambda inputs: inputs}),
        ("input_getter", {"input_getter": lambda sample: sample[0]}),
    ],
)
def test_what_cannot_be_sent_is_named(tmp_path, what, arguments):
    with pytest.raises(TypeError, match=rf"{what}: cannot be sent to a worker process: .*defined in a module"):
        run(tmp_path / "a.fod", generator=stores.generator(**arguments))


def test_options_that_the_engine_does_not_have(tmp_path):
    with pytest.raises(ValueError, match="engine_options: the engine 'processes' has none, got nice"):
        run(tmp_path / "a.fod", engine="processes", engine_options={"nice": 1})


DRIVER = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, also where the tests run in the background
from tests.engines import models
from tests.store import shared, stores
if __name__ == "__main__":
    stores.generator(models.Sleeping(0.25)).generate_distributions(
        stores.DATA, out=sys.argv[1], progress=False, workers=2, shard_rows=shared.SHARD_ROWS)
"""


@pytest.mark.parametrize("number", [1, 2])
def test_ctrl_c_ends_driver_and_workers_however_often_it_comes(tmp_path, number):
    driver = started(tmp_path / "a.fod")
    for _ in range(number):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert driver.wait(60) != 0


def started(path):
    """Start a driver and wait until it has published something."""
    script = path.parent / "driver.py"
    script.write_text(DRIVER)
    driver = subprocess.Popen([sys.executable, script, path], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not list(path.glob("shards/*.safetensors")):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return driver


def test_a_driver_that_is_killed_and_two_at_once(tmp_path, single):
    path = tmp_path / "a.fod"
    driver = started(path)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (path / "manifest.json").exists()
    # Its workers may still be at work; two other drivers go on, with other numbers of workers.
    other = started(path)
    run(path, models.Sleeping(0.25), workers=1)
    assert other.wait() == 0
    assert shared.entries(path) == shared.entries(single)
    open_store(path).verify()


def test_sigterm_ends_a_driver_and_its_workers_in_order(tmp_path, single):
    path = tmp_path / "a.fod"
    driver = started(path)
    driver.terminate()
    assert driver.wait(60) == 128 + signal.SIGTERM
    run(path, models.Sleeping(0.25), workers=1)
    assert shared.entries(path) == shared.entries(single)


def test_ten_shares_of_which_three_are_killed(tmp_path, single):
    path = tmp_path / "a.fod"
    script = tmp_path / "share.py"
    script.write_text(
        "import os, signal, sys\n"
        "from tests.store import shared, stores\n"
        "from probly_data_generator_store import files\n"
        "original = files.give_name\n"
        "def give_name(source, target):\n"
        "    if sys.argv[3] == 'dies' and target.name.endswith('safetensors'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return original(source, target)\n"
        "files.give_name = give_name\n"
        "shared.run(__import__('pathlib').Path(sys.argv[1]), share=(int(sys.argv[2]), 10), shard_rows=5)\n"
    )
    fine = tmp_path / "single.fod"
    shared.run(fine, shard_rows=5)
    for group in ((2, 5, 8), (0, 1, 3, 4, 6, 7, 9)):
        children = [
            subprocess.Popen(
                [sys.executable, script, path, str(number), "dies" if number in (2, 5, 8) else ""],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for number in group
        ]  # fmt: skip
        codes = [child.wait() for child in children]
        assert codes == [-signal.SIGKILL if number in (2, 5, 8) else 0 for number in group]
    shared.check(path, fine)


def test_a_generator_of_files_and_lists_is_made_again_on_each_device(tmp_path):
    generator = FirstOrderDataGenerator(
        [stores.Linear(), stores.Linear(1.0)], batch_size=stores.BATCH, backend="numpy", output_mode="logits"
    )
    path = tmp_path / "a.fod"
    found = generator.generate_distributions(
        stores.DATA, out=path, progress=False, devices=["cpu", "cpu"], shard_rows=shared.SHARD_ROWS
    )
    alone = generator.generate_distributions(stores.DATA, progress=False)
    assert np.array_equal(np.asarray(found), np.asarray(alone))
    assert np.array_equal(np.asarray(found.columns["members"]), np.asarray(alone.columns["members"]))
    assert json.loads((path / "spec.json").read_bytes())["meta"]["members"] == 2
