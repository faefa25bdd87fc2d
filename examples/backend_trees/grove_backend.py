"""The backend of grove, whose forests are made by training alone and return probabilities."""

from pathlib import Path
from types import SimpleNamespace

from probly.data_generator import hookimpl
from probly.data_generator.toolkit import digest, importing, recognition


@hookimpl
def load_model(source, device):
    import grove

    if device not in (None, "cpu"):
        raise ValueError(f"device {device!r} is not available; available: cpu")
    if isinstance(source, str | Path):
        named = importing.is_import_path(str(source))
        source = importing.import_model(str(source)) if named else grove.load(source)
    if not isinstance(source, grove.Forest):
        raise TypeError(f"expected a grove.Forest or its file, got {type(source).__name__}")
    return SimpleNamespace(forest=source, device="cpu", class_names=source.classes, output_mode="probs")


@hookimpl
def forward(model, inputs):
    return model.forest.predict_proba(inputs)


@hookimpl
def recognizes(source):
    return source.suffix == ".grove" if isinstance(source, Path) else recognition.class_from(source, "grove")


@hookimpl
def weight_digest(model):
    return digest.digest(sorted(model.forest.arrays().items()))
