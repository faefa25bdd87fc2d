"""What ``first-order verify`` says that it compared, and what a format cannot tell."""

import json
import shutil

import numpy as np
import pytest

from probly.data_generator.store import save
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name

ROWS = [[0.25, 0.75], [0.5, 0.5]]
DIGEST = "the digest of rows, indices, labels and class names"


@pytest.mark.parametrize(
    ("suffix", "checked"),
    [
        (".json", [DIGEST]),
        (".pt", [DIGEST]),
        (".npz", ["the CRC-32 of every array", DIGEST]),
        (".safetensors", ["the CRC-32 of the header and of all data", DIGEST]),
        (".parquet", ["the CRC-32 of its pages, where it has them, and of its metadata", DIGEST]),
        (".fod", ["the checksum of every file and of every shard"]),
    ],
)
def test_what_was_compared_is_said(shell, suffix, checked):
    save(shell.folder / f"a{suffix}", dict(enumerate(ROWS)))
    assert shell.json(f"verify a{suffix}")["checked"] == checked
    said = shell.run(f"verify a{suffix}")
    assert said.startswith(f"a{suffix}: all 2 rows are distributions; compared with what was written: {checked[0]}")
    assert ("and the other metadata with nothing" in said) == (checked == [DIGEST])


def test_a_file_that_can_be_compared_with_nothing_says_so(shell):
    (shell.folder / "a.json").write_text(json.dumps({"distributions": dict(enumerate(ROWS))}))
    assert shell.json("verify a.json") == {"path": "a.json", "ok": True, "rows": 2, "checked": [], "problems": []}
    said = shell.run("verify a.json")
    assert "all 2 rows are distributions; nothing else could be compared" in said
    assert "checksum is right" not in said
    np.savez(shell.folder / "a.npz", probabilities=ROWS)
    assert shell.json("verify a.npz")["checked"] == ["the CRC-32 of every array"]


def test_a_changed_digit_is_a_problem(shell):
    save(shell.folder / "a.json", dict(enumerate(ROWS)))
    text = (shell.folder / "a.json").read_text()
    (shell.folder / "a.json").write_text(text.replace("0.25", "0.75", 1).replace("0.75,0.75", "0.75,0.25"))
    found = shell.json("verify a.json", code=1)
    assert found["ok"] is False
    assert "are not those that were written" in found["problems"][0]
    assert 'removes "content_digest" from its meta' in found["problems"][0]


def test_shards_are_named_with_what_to_do(shell):
    save(shell.folder / "a.fod", dict(enumerate(ROWS)))
    (shard,) = (shell.folder / "a.fod/shards").iterdir()
    shard.chmod(0o644)
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    (problem,) = shell.json("verify a.fod", code=1)["problems"]
    assert problem.endswith("remove that shard, and the same call, or `first-order generate`, makes it again")
    shutil.rmtree(shell.folder / "a.fod")


def test_no_control_character_of_a_file_reaches_the_terminal(shell):
    evil = "\x1b[2J\x07\r\u202e\ud800"
    meta = {"class_names": [evil, "b"], evil: evil}
    document = {"meta": meta, "distributions": {"0": [0.25, 0.75]}, "labels": {"0": evil}}
    (shell.folder / "a.json").write_text(json.dumps(document))
    (shell.folder / "b.json").write_text(json.dumps({**document, "distributions": {evil: [0.25, 0.75]}}))
    (shell.folder / "c.json").write_text(json.dumps({**document, "meta": {"class_names": [evil]}}))
    for line in ("verify a.json", "inspect a.json", "verify a.json --json", "inspect a.json --json"):
        shell.run(line)
        check_said(shell)
    for line in ("verify b.json", "verify c.json"):
        shell.run(line, code=1)
        check_said(shell)
    for suffix in (".npz", ".safetensors", ".parquet", ".fod", ".pt"):
        shell.run(f"convert a.json a{suffix}")
        check_said(shell)
        for command in ("verify", "inspect"):
            shell.run(f"{command} a{suffix}")
            check_said(shell)


def check_said(shell):
    said = shell.out + shell.err
    assert said
    assert not [letter for letter in said if letter in "\x1b\x07\r\u202e" or "\ud800" <= letter <= "\udfff"]
