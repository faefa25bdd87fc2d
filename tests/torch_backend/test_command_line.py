"""`first-order` with a torch model: weights in a file, a run that is killed, and everything after it."""

import json
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from probly.data_generator.store import open_partial
from tests.command_line.commands import finished, stopped
from tests.command_line.commands import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.command_line.sessions import COUNT, check_session, folder_of_pictures, softmax

TORCH = """
import time

import torch


class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(400, 3))

    def forward(self, inputs):
        time.sleep(0.05)
        return self.layers(inputs)
"""


def test_torch_weights_and_a_run_that_is_killed(tmp_path):
    pixels = folder_of_pictures(tmp_path / "pets")
    (tmp_path / "net.py").write_text(TORCH)
    names = {}
    exec(TORCH, names)
    model = names["Slow"]()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    line = "generate --backend torch --model net:Slow --weights w.safetensors --data pets --device cpu"
    words = [*line.split(), *["--batch-size", "4", "--shard-seconds", "0.1", "--out", "teacher.fod"]]
    process, _ = stopped(tmp_path, *words, store="teacher.fod")
    assert process.returncode == -signal.SIGKILL
    safe = len(open_partial(tmp_path / "teacher.fod"))
    assert 0 < safe < 3 * COUNT
    result = json.loads(finished(tmp_path, *words, "--json").stdout)
    assert result["rows_before"] == safe
    assert result["data"]["pictures"].endswith("(channels, height, width)")
    with torch.no_grad():
        logits = model(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()
    check_session(tmp_path, softmax(logits))
    torch.save({"layers.2.bias": torch.zeros(3)}, tmp_path / "part.pt")
    error = finished(tmp_path, *line.replace("w.safetensors", "part.pt").split(), "--out", "a.fod", code=3).stderr
    assert "Missing key(s) in state_dict" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", ["a.pt", "a.pt2", "a.keras", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no model"], ids=["empty", "text"])
def test_a_file_that_is_no_model_of_torch_is_named(shell, name, content):
    np.savez("data.npz", inputs=np.zeros((4, 2), np.float32))
    (shell.folder / name).write_bytes(content)
    line = f"generate --backend torch --model {name} --data data.npz --out a.fod"
    assert name in shell.fails(line)
    assert not (shell.folder / "a.fod").exists()
