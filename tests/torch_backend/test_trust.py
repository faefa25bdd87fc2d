"""Crafted files: none runs code unless the user trusts it, and each would."""

import argparse
import contextlib
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly.data_generator.formats.choosing import load
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.torch_backend.support import TENSORS, build, check, mlp, run

TRUSTED = {"trust": True}
HOW = r"so it was not opened; if you trust .* options=\{'trust': True\}, or --trust-model on the command line"


class Bomb:
    """An object whose pickle writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def rewritten(source, target, change):
    """Copy a zip file; ``change`` gets each name and content and returns another content, or None to keep it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            new.writestr(name, old.read(name) if content is None else content)


def program(folder):
    """Write a harmless exported program."""
    rows = torch.export.Dim("rows", min=2, max=1024)
    exported = torch.export.export(mlp().eval(), (TENSORS[0][:16],), dynamic_shapes=({0: rows},))
    torch.export.save(exported, folder / "good.pt2")
    return folder / "good.pt2"


def with_expression(folder, canary):
    def change(name, content):
        code = f"__import__('pathlib').Path({str(canary)!r}).touch() or Symbol("
        return content.replace(b"Symbol(", code.encode()) if name.endswith("models/model.json") else None

    rewritten(program(folder), folder / "bad.pt2", change)
    return folder / "bad.pt2"


def with_pickled_weights(folder, canary):
    def change(name, content):
        if name.endswith("model_weights_config.json"):
            found = json.loads(content)
            for one in found["config"].values():
                one["use_pickle"] = True
            return json.dumps(found)
        return bomb_file(folder, canary) if "/weights/weight_" in name else None

    rewritten(program(folder), folder / "bad.pt2", change)
    return folder / "bad.pt2"


def with_pickled_inputs(folder, canary):
    def change(name, content):
        return bomb_file(folder, canary) if "sample_inputs" in name else None

    rewritten(program(folder), folder / "bad.PT2", change)
    return folder / "bad.PT2"


def bomb_file(folder, canary):
    torch.save(Bomb(canary), folder / "bomb")
    return (folder / "bomb").read_bytes()


def script(folder, canary, name="bad.pt"):
    class Writes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.path = str(canary)

        @torch.jit.export
        def __getstate__(self):
            return self.path, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]):
            self.path = state[0]
            self.training = state[1]
            torch.save(torch.zeros(1), state[0])

        def forward(self, inputs):
            return inputs

    torch.jit.script(Writes()).save(str(folder / name))
    return folder / name


def torchscript(folder, canary):
    return script(folder, canary, "bad.ts")


def pickled(folder, canary):
    torch.save({"weights": Bomb(canary)}, folder / "bad.pth")
    return folder / "bad.pth"


def pickled_as_before(folder, canary):
    torch.save(Bomb(canary), folder / "bad.pt", _use_new_zipfile_serialization=False)
    return folder / "bad.pt"


CRAFTED = [
    (with_expression, "evaluating expressions"),
    (with_pickled_weights, "unpickling objects"),
    (with_pickled_inputs, "exported program"),
    (script, "TorchScript file is opened by running code"),
    (torchscript, "TorchScript file is opened by running code"),
    (pickled, "unpickling runs any code"),
    (pickled_as_before, "unpickling runs any code"),
]


@pytest.mark.filterwarnings("ignore")  # torch's own advice
@pytest.mark.parametrize(("craft", "says"), CRAFTED, ids=[craft.__name__ for craft, _ in CRAFTED])
def test_crafted_files_run_no_code_unless_they_are_trusted(tmp_path, craft, says):
    canary = tmp_path / "canary"
    path = craft(tmp_path, canary)
    canary.unlink(missing_ok=True)
    for source in (path, str(path)):
        with pytest.raises(ValueError, match=rf"{path.name}: .*{says}.*{HOW}"):
            FirstOrderDataGenerator(source)
    if path.suffix.lower() != ".pt2":  # no file of weights
        with pytest.raises(ValueError, match=rf"{path.name}: .*{says}.*{HOW}"):
            FirstOrderDataGenerator((build, path))
    assert not canary.exists()
    # It would have: what is refused here is no harmless file.
    with contextlib.suppress(Exception):  # they are no good models
        FirstOrderDataGenerator(path, options=TRUSTED)
    assert canary.exists()


def test_a_program_under_the_name_of_weights_runs_no_code(tmp_path):
    """Its content is nothing that the reader of tensors knows."""
    for craft in (with_expression, with_pickled_inputs):
        path = craft(tmp_path, tmp_path / "canary").rename(tmp_path / "weights.pt")
        for source in (path, (build, path)):
            with pytest.raises(ValueError, match=r"weights\.pt"):
                FirstOrderDataGenerator(source)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["rows.pt", "rows.pth"])
def test_crafted_files_of_distributions_run_no_code(tmp_path, name):
    torch.save({"distributions": Bomb(tmp_path / "canary")}, tmp_path / name)
    with pytest.raises(StoreError, match=name):
        load(tmp_path / name)
    assert not (tmp_path / "canary").exists()


def test_safetensors_hold_no_code(tmp_path):
    save_file(mlp().state_dict(), tmp_path / "weights.safetensors")
    check(run(TENSORS, (build, tmp_path / "weights.safetensors")))
    (tmp_path / "bad.safetensors").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    with pytest.raises(ValueError, match=r"bad\.safetensors: is no file that torch can open"):
        FirstOrderDataGenerator((build, tmp_path / "bad.safetensors"))
    assert not (tmp_path / "canary").exists()


def test_what_is_no_file_of_torch_is_not_said_to_be_dangerous(tmp_path):
    for content in (b"", b"garbage"):
        (tmp_path / "a.pt").write_bytes(content)
        for options in ({}, TRUSTED):
            with pytest.raises(ValueError, match=r"a\.pt: is no file that torch can open, or is damaged") as caught:
                FirstOrderDataGenerator(tmp_path / "a.pt", options=options)
            assert "trust" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*TorchScript archive:UserWarning")
def test_trusted_files_give_their_rows(tmp_path):
    torch.jit.script(mlp()).save(str(tmp_path / "script.pt"))
    torch.save(mlp(), tmp_path / "whole.pt")
    torch.save({"state_dict": mlp().state_dict(), "args": argparse.Namespace(lr=1)}, tmp_path / "checkpoint.pt")
    for source in (program(tmp_path), tmp_path / "script.pt", tmp_path / "whole.pt"):
        distributions = run(TENSORS, source, options=TRUSTED)
        check(distributions)
        assert "options" not in distributions.meta
    for name in ("checkpoint.pt", "whole.pt", "script.pt"):
        check(run(TENSORS, (build, tmp_path / name), options=TRUSTED))


def test_live_models_need_no_trust_and_it_changes_nothing(tmp_path):
    for live in (mlp(), torch.export.load(program(tmp_path)), mlp().eval().forward):
        check(run(TENSORS, live, output_mode="logits"))
        check(run(TENSORS, live, output_mode="logits", options=TRUSTED))


def test_a_store_is_continued_with_and_without_trust(tmp_path):
    torch.save(mlp().state_dict(), tmp_path / "weights.pt")
    first = run(TENSORS, (build, tmp_path / "weights.pt"), out=tmp_path / "a.fod")
    assert run(TENSORS, (build, tmp_path / "weights.pt"), out=tmp_path / "a.fod", options=TRUSTED) == first


def test_the_command_line_says_how_to_trust(shell):
    program(shell.folder)
    np.savez("data.npz", inputs=TENSORS[0].numpy(), labels=TENSORS[1].numpy())
    line = "generate --model good.pt2 --data data.npz --out a.fod"
    assert "good.pt2: an exported program" in shell.fails(line)
    assert "--trust-model" in shell.err
    assert not Path("a.fod").exists()
    assert "options" not in shell.json(f"{line} --trust-model")["meta"]
