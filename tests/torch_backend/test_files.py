"""Models and weights in files."""

import pytest
import torch
from safetensors.torch import save_file

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.torch_backend.support import TENSORS, build, check, framework, mlp, run

TRUSTED = {"trust": True}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Save the model in every format."""
    folder, model = tmp_path_factory.mktemp("models"), mlp().eval()
    rows = torch.export.Dim("rows", min=2, max=1024)
    dynamic = torch.export.export(model, (TENSORS[0][:16],), dynamic_shapes=({0: rows},))
    torch.export.save(dynamic, folder / "dynamic.pt2")
    torch.export.save(torch.export.export(model, (TENSORS[0][:16],)), folder / "fixed.pt2")
    torch.save(model.state_dict(), folder / "weights.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "checkpoint.pth")
    torch.save(model, folder / "pickled.pt")
    save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "garbage.pt").write_bytes(b"garbage")
    return folder


def test_exported_programs(files):
    check(run(TENSORS, files / "dynamic.pt2", options=TRUSTED))
    check(run(TENSORS, str(files / "fixed.pt2"), batch_size=16, options=TRUSTED))
    check(run(TENSORS, torch.export.load(files / "fixed.pt2")))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own advice; the files are still around
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ts", ".torchscript"])
def test_torchscript(tmp_path, suffix):
    path = tmp_path / f"script{suffix}"
    torch.jit.script(mlp()).save(str(path))
    check(run(TENSORS, path, backend="auto", options=TRUSTED))
    check(run(TENSORS, torch.jit.load(path)))


def test_a_module_saved_whole_is_opened_where_its_classes_are_declared_safe(files):
    with torch.serialization.safe_globals([torch.nn.Sequential, torch.nn.Linear, torch.nn.ReLU, torch.nn.Dropout]):
        check(run(TENSORS, files / "pickled.pt"))


@pytest.mark.parametrize("builder", [build, "tests.torch_backend.support:build", build()])
@pytest.mark.parametrize("name", ["weights.pt", "checkpoint.pth", "weights.safetensors"])
def test_weights_with_a_builder(files, builder, name):
    check(run(TENSORS, (builder, files / name)))


def test_a_live_builder_keeps_its_own_weights(files):
    live = build()
    before = {name: value.clone() for name, value in live.state_dict().items()}
    check(run(TENSORS, (live, files / "weights.pt")))
    assert all(torch.equal(before[name], value) for name, value in live.state_dict().items())


def test_files_need_no_backend_to_be_named(files):
    for source in (str(files / "fixed.pt2"), files / "dynamic.pt2", (build, files / "weights.pt")):
        distributions = run(TENSORS, source, backend="auto", options=TRUSTED)
        assert distributions.meta["backend"] == "torch"
        check(distributions)
    check(run(TENSORS, (build, str(files / "weights.safetensors")), backend="auto"))


def test_files_that_are_no_models_say_what_to_do(files):
    with pytest.raises(ValueError, match=r"it holds pickled objects.*options=\{'trust': True\}"):
        run(TENSORS, files / "pickled.pt")
    for name in ("weights.pt", "weights.safetensors"):
        with pytest.raises(ValueError, match=r"holds weights, not a model; pass model=\(builder, "):
            run(TENSORS, files / name, backend="auto")
    for missing in (files / "nope.pt2", files / "nope.pt", (build, files / "nope.pt")):
        with pytest.raises(FileNotFoundError, match=r"nope.*there is no such"):
            run(TENSORS, missing)
    with pytest.raises(ValueError, match=r"garbage\.pt"):
        run(TENSORS, files / "garbage.pt")


def test_weights_of_another_shape_are_refused(files):
    with pytest.raises(RuntimeError, match="size mismatch"):
        FirstOrderDataGenerator((framework.mlp(reference.mlp_weights(hidden=9)), files / "weights.pt"))
