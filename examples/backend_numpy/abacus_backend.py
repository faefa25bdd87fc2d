"""The backend of abacus, whose models take NumPy arrays and return them."""

from pathlib import Path
from types import SimpleNamespace

from probly.data_generator import hookimpl
from probly.data_generator.toolkit import importing, recognition


@hookimpl
def load_model(source, device):
    import abacus

    if device not in (None, "cpu"):
        raise ValueError(f"device {device!r} is not available; available: cpu")
    if isinstance(source, str | Path):
        named = importing.is_import_path(str(source))
        source = importing.import_model(str(source)) if named else abacus.load(source)
    return SimpleNamespace(run=getattr(source, "run", source), device="cpu")


@hookimpl
def forward(model, inputs):
    return model.run(inputs)


@hookimpl
def recognizes(source):
    return source.suffix == ".abacus" if isinstance(source, Path) else recognition.class_from(source, "abacus")
