"""`first-order` with a torch model: weights in a file, and a run that is killed."""

import signal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from probly.data_generator.store import open_partial, open_store
from tests.command_line.commands import stopped
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.command_line.sessions import CLASSES, COUNT, folder_of_pictures, softmax

TORCH = """
import time
from pathlib import Path

import torch


class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(400, 3))

    def forward(self, inputs):
        if not Path("hurry").exists():
            time.sleep(0.3)
        return self.layers(inputs)
"""


def test_torch_weights_and_a_run_that_is_killed(shell):
    folder = shell.folder
    pixels = folder_of_pictures(folder / "pets")
    (folder / "net.py").write_text(TORCH)
    names = {}
    exec(TORCH, names)
    model = names["Slow"]()
    save_file(model.state_dict(), folder / "w.safetensors")
    line = "generate --backend torch --model net:Slow --weights w.safetensors --data pets --batch-size 4 --device cpu"
    killed = f"{line} --shard-seconds 0.1 --out teacher.fod"
    process, _ = stopped(folder, *killed.split(), store="teacher.fod")
    assert process.returncode == -signal.SIGKILL
    safe = len(open_partial(folder / "teacher.fod"))
    assert 0 < safe < 3 * COUNT
    (folder / "hurry").touch()
    result = shell.json(killed)
    assert result["rows_before"] == safe
    assert result["data"]["pictures"].endswith("(channels, height, width)")
    with torch.no_grad():
        logits = model(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()
    store = open_store(folder / "teacher.fod")
    np.testing.assert_allclose(np.asarray(store), softmax(logits), rtol=0, atol=1e-6)
    assert store.class_names == list(CLASSES)
    assert store.labels.tolist() == np.repeat(range(3), COUNT).tolist()
    assert store.sample_keys[COUNT] == "cat/000.png"
    shell.run("convert teacher.fod teacher.pt")
    shell.run("diff teacher.fod teacher.pt")
    torch.save({"layers.2.bias": torch.zeros(3)}, folder / "part.pt")
    error = shell.fails(f"{line.replace('w.safetensors', 'part.pt')} --out a.fod", code=3)
    assert "Missing key(s) in state_dict" in error


@pytest.mark.parametrize("name", ["a.pt", "a.pt2", "a.keras", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no model"], ids=["empty", "text"])
def test_a_file_that_is_no_model_of_torch_is_named(shell, name, content):
    np.savez("data.npz", inputs=np.zeros((4, 2), np.float32))
    (shell.folder / name).write_bytes(content)
    line = f"generate --backend torch --model {name} --data data.npz --out a.fod"
    assert name in shell.fails(line)
    assert not (shell.folder / "a.fod").exists()
