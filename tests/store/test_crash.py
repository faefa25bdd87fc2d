"""kill -9 at any line and inside any change of the disk; power loss with anything that was not synced lost or torn."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import StoreError
from probly.data_generator.store import open_partial
from probly_data_generator_store import files, layout
from probly_data_generator_store.shards import list_shards
from tests.store import stores


@pytest.mark.parametrize(("how", "kills"), [("lines", 60), ("calls", 50)])
def test_killed_runs_are_finished_by_the_same_call(tmp_path, how, kills):
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, script, tmp_path, how], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= kills


# Power loss: the changes of a run are recorded, and the disk is rebuilt as it may be after a loss at any of them.


def record(path):
    """Return all changes of a run; ("safe", rows) stands where a shard counts as published."""
    log, inodes = [], {}
    original_publish = files.Draft.publish

    def before(name, original, *arguments):
        answer = original(*arguments)
        if name == "create":
            inodes[answer] = len(log)
            log.append((name, arguments[0], inodes[answer]))
        elif name == "write":
            log.append((name, inodes[arguments[0]], memoryview(arguments[1]).tobytes(), arguments[2]))
        elif name == "sync":
            log.append((name, inodes[arguments[0]]))
        else:
            log.append((name, *arguments))
        return answer

    def publish(draft, target):
        given = original_publish(draft, target)
        if target.parent.name == "shards":
            log.append(("safe", target.name))
        return given

    with stores.watching(before), pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.Draft, "publish", publish)
        assert stores.agrees(stores.run(path))
    return log


def content(log, inode, keep):
    """Return the bytes of a file: what was synced, and of the rest what ``keep`` lets through."""
    synced = max((position for position, entry in enumerate(log) if entry == ("sync", inode)), default=-1)
    data = bytearray()
    for position, entry in enumerate(log):
        if entry[:2] == ("write", inode):
            piece, start = entry[2] if position < synced else keep(entry[2]), entry[3]
            if piece:
                data.extend(bytes(max(0, start + len(piece) - len(data))))
                data[start : start + len(piece)] = piece
    return bytes(data)


def names(log, chosen):
    """Return the names and folders on the disk: changes that were synced, and others if they are chosen."""
    found, folders = {}, set()
    for position, entry in enumerate(log):
        if entry[0] not in ("create", "give_name", "remove", "make_directory"):
            continue
        parent = entry[1].parent
        durable = any(later == ("sync_directory", parent) for later in log[position:])
        if not (durable or chosen()):
            continue
        if entry[0] == "make_directory":
            folders.add(entry[1])
        elif entry[0] == "create":
            found[entry[1]] = entry[2]
        elif entry[0] == "remove":
            found.pop(entry[1], None)
        else:
            found[entry[2]] = next(e[2] for e in reversed(log[:position]) if e[0] == "create" and e[1] == entry[1])
    return found, folders


def losses(draw):
    """Return ways to lose what was not synced: data and names."""
    yes, no, maybe = lambda: True, lambda: False, lambda: draw.random() < 0.5
    return [
        (lambda piece: piece, no),
        (lambda piece: b"", yes),
        (lambda piece: bytes(len(piece)), yes),
        (lambda piece: piece[: len(piece) // 2], yes),
        (lambda piece: draw.choice([piece, bytes(len(piece))]), yes),
        (lambda piece: draw.choice([piece, b"", bytes(len(piece)), draw.randbytes(len(piece))]), maybe),
        (lambda piece: piece[: draw.randrange(len(piece) + 1)] + b"\0" * draw.randrange(40), maybe),
    ]


def rebuild(log, old, new, keep, chosen):
    found, folders = names(log, chosen)
    new.mkdir(exist_ok=True)
    for folder in sorted(folders):
        (new / folder.relative_to(old)).mkdir(parents=True, exist_ok=True)
    for path, inode in found.items():
        target = new / path.relative_to(old)
        if target.parent.is_dir():
            target.write_bytes(content(log, inode, keep))


def outcome(log, folder, path):
    """Return what became of a run after a loss of power: right, lost, refused or wrong."""
    try:
        published = {rows.file_name for rows in list_shards(path)} if (path / "shards").exists() else set()
        if not {entry[1] for entry in log if entry[0] == "safe"} <= published:
            return "lost"
        if (path / "spec.json").exists():
            partial = open_partial(path)
            if not np.array_equal(partial.gather(partial.indices), stores.EXPECTED.gather(partial.indices)):
                return "wrong"
        return "right" if stores.agrees(stores.run(path)) else "wrong"
    except StoreError:
        return "refused"


def outcomes(tmp_path, change=list):
    """Return what happens after a power loss at every point of a run, in every way."""
    old = tmp_path / "old"
    old.mkdir()
    log = change(record(old / "a.fod"))
    draw, found = random.Random(0), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", lambda handle: None)  # only the recorded run's matter
        patch.setattr(files, "sync_directory", lambda path: None)
        for stop in range(len(log) + 1):
            for number, (keep, chosen) in enumerate(losses(draw)):
                new = tmp_path / f"{stop}-{number}"
                rebuild(log[:stop], old, new, keep, chosen)
                found.append(outcome(log[:stop], new, new / "a.fod"))
    return found


def test_a_run_survives_a_loss_of_power_at_any_point(tmp_path):
    found = outcomes(tmp_path)
    assert len(found) > 300
    assert set(found) == {"right"}


def without(step):
    return lambda log: [entry for entry in log if entry[0] != step]


def without_drafts(log):
    """Write under the final name at once."""
    changed, targets = [], []
    for entry in reversed(log):
        if entry[0] == "give_name":
            targets.append(entry)
        elif entry[0] == "remove":
            continue
        elif entry[0] == "create":
            changed.append((entry[0], next(t[2] for t in reversed(targets) if t[1] == entry[1]), entry[2]))
        else:
            changed.append(entry)
    return changed[::-1]


@pytest.mark.parametrize(
    ("change", "fails"),
    [(without("sync"), "refused"), (without_drafts, "refused"), (without("sync_directory"), "lost")],
    ids=["fsync", "drafts", "directory fsync"],
)
def test_no_step_can_be_left_out(tmp_path, change, fails):
    found = outcomes(tmp_path, change)
    assert found.count(fails) > 5
    assert "wrong" not in found  # the checksums notice


def test_the_checksums_cannot_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "check_data", lambda handle, size, header: None)
    assert "wrong" in outcomes(tmp_path, without("sync"))
