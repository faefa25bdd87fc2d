"""``first-order generate`` by several workers, and ``first-order finish``."""

import json

import pytest

from probly.data_generator.store import open_store
from probly_data_generator_command_line.commands import sharing_options
from probly_data_generator_command_line.errors import InputError

GENERATE = "generate --backend numpy --model demo.model:build --data demo/test.npz --shard-rows 128 --quiet"


def entries(folder, name):
    return json.loads((folder / name / "manifest.json").read_bytes())["shards"]


def test_processes_and_shares_give_the_same_store(demo):
    demo.run(f"{GENERATE} --out one.fod")
    demo.run(f"{GENERATE} --out two.fod --workers 2")
    for share in ("2/3", "0/3", "1/3"):
        demo.run(f"{GENERATE} --out three.fod --share {share}")
    assert entries(demo.folder, "one.fod") == entries(demo.folder, "two.fod") == entries(demo.folder, "three.fod")
    assert len(entries(demo.folder, "one.fod")) == 8
    demo.run("diff one.fod three.fod")  # which says by its exit code that they are the same


def test_a_shared_store_is_continued_by_the_plain_command_and_completed_by_finish(demo):
    demo.run(f"{GENERATE} --out a.fod")
    shards = sorted((demo.folder / "a.fod/shards").iterdir())
    (demo.folder / "a.fod/manifest.json").unlink()
    assert demo.json("finish a.fod") == {"path": "a.fod", "complete": True, "rows": 1000, "classes": 3}
    (demo.folder / "a.fod/manifest.json").unlink()
    shards[3].unlink()
    said = demo.run("finish a.fod", code=1)
    assert "1 of 8 shards are missing, the first one of the rows 384 to 512; 872 of 1000" in said
    assert "here, that call is the `first-order generate` that began it" in said
    demo.run("generate --backend numpy --model demo.model:build --data demo/test.npz --out a.fod --quiet")
    assert open_store(demo.folder / "a.fod").complete
    assert "was begun by a run that shares it with nobody" in demo.fails(f"{GENERATE} --out demo/teacher.fod")


def test_finish_of_what_is_no_shared_store(demo):
    assert "complete" in demo.run("finish demo/teacher.fod")
    assert "there is no such" in demo.fails("finish nothing.fod")
    demo.run("convert demo/teacher.fod a.npz")
    assert "workers cannot share it" in demo.fails("finish a.npz")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--share 3/3", "--share 3/3: expected I/N with I from 0 to N - 1"),
        ("--share half", "--share half: expected I/N"),
        ("--share 0/2 --workers 2", "share: is for processes that you start yourself; leave out workers"),
        ("--share 0/2 --fresh", "--fresh: several processes cannot replace one store"),
        ("--device cpu --devices cpu,cpu", "--device and --devices exclude each other"),
        ("--devices cpu,,cpu", "expected names separated by commas"),
        ("--engine slurm", "Unknown engine: slurm"),
        ("--workers 2 --engine processes --engine-option nice=1", "the engine 'processes' has none, got nice"),
        ("--batch-size 50", "shard_rows: expected a multiple of the batch size, 50, got 128; pass 150"),
    ],
)
def test_what_is_refused(demo, line, message):
    demo.run(f"{GENERATE} --out a.fod {line}", code=2)
    assert message in " ".join(demo.err.split())
    assert not (demo.folder / "a.fod").exists()


def array(number, count, first, last, step):
    """Return what SLURM says to a job of an array."""
    names = {"ID": number, "COUNT": count, "MIN": first, "MAX": last, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in names.items()}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "first", "WORLD_SIZE": "2"}, "RANK: expected a number, got 'first'; pass I/N"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK and WORLD_SIZE say 2 of 2, counted from 0; pass I/N"),
    ],
)
def test_what_launchers_cannot_mean(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        sharing_options.sharing_of(OPTIONS)


def test_an_error_of_a_worker_is_said_without_its_traceback(demo):
    demo.run(f"{GENERATE} --out a.fod --workers 1", code=0)
    demo.run(f"{GENERATE} --out a.fod --workers 1 --batch-size 32", code=2)
    assert "batch_size: the store has 64, this run has 32" in demo.err
    assert "raised in worker 0" in demo.err
    assert "File " not in demo.err
    (demo.folder / "own.py").write_text("def build():\n    return broken\n\n\ndef broken(inputs):\n    return 1 / 0\n")
    demo.run(f"{GENERATE.replace('demo.model:build', 'own:build')} --out b.fod --workers 1", code=3)
    assert "ZeroDivisionError" in demo.err
    assert "own.py, line 6; --debug shows the traceback" in " ".join(demo.err.split())


OPTIONS = {"share": "auto", "devices": ["gpu:0", "gpu:1"], "device": None, "engine_option": (), "workers": None}
OPTIONS |= {"engine": None, "shard_rows": None, "tolerance": 0.0}


@pytest.mark.parametrize(
    ("variables", "share", "device"),
    [
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, (3, 8), "gpu:1"),
        ({"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_ARRAY_TASK_MIN": "1"}, (4, 8), "gpu:0"),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}, (3, 4), "gpu:0"),
        # An array of jobs of one task each: SLURM sets both.
        (
            {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
            (2, 4),
            "gpu:0",
        ),
        ({"RANK": "0", "WORLD_SIZE": "1"}, (0, 1), "gpu:0"),
        (array(4, 3, first=0, last=4, step=2), (2, 3), "gpu:0"),
        (array(17, 2, first=3, last=17, step=1), (14, 15), "gpu:0"),
    ],
    ids=["torchrun", "array that begins at 1", "srun", "array of single tasks", "alone", "0-4:2", "3,17"],
)
def test_what_launchers_say(monkeypatch, variables, share, device):
    for name in [name for names in (*sharing_options.AUTO, sharing_options.LOCAL) for name in names]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="none of them is set; pass I/N"):
        sharing_options.sharing_of(OPTIONS)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = sharing_options.sharing_of(OPTIONS)
    assert (found["share"], found["devices"]) == (share, None)
    assert sharing_options.device_of(OPTIONS) == device
