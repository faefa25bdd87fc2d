"""The hooks. TensorFlow is imported inside their bodies only, so that listing backends stays free of it."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.toolkit.nests import map_leaves
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.recognition import class_from
from probly.data_generator.toolkit.samples import Batch
from probly.data_generator.toolkit.trust import TRUST_OPTION

if TYPE_CHECKING:
    from probly_data_generator_tensorflow.models import TensorFlowModel

DEVICES: Final = ("CPU:0", "GPU:0", "TPU:0")
KNOWN: Final[Mapping[str, Collection[Any]]] = {"xla": (False, True), **TRUST_OPTION}
"""The allowed values of each option, the default first."""


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "TensorFlowModel":
    """Accept a Keras model, a tf.Module, a callable, or a file or folder of one of these."""
    from probly_data_generator_tensorflow.models import load

    chosen = checked_options(options, KNOWN, "tensorflow")
    return load(source, device, **chosen)


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    model: "TensorFlowModel",
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Iterator[Batch]:
    """Iterate over a tf.data.Dataset, a Keras PyDataset, tensors or NumPy arrays."""
    from probly_data_generator_tensorflow.data import tf_batches
    from probly_data_generator_tensorflow.state import check_start, held
    from probly_data_generator_tensorflow.tables import with_columns

    shapes = model.input_shapes
    dataset = with_columns(dataset, shapes) if input_getter is None else dataset
    check_start(model.module, start)
    batches = tf_batches(dataset, batch_size, input_getter, index_getter, batched, shapes, start, stop, label_getter)
    return held(model.step.kept, model.variables, batches)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Move tensors and arrays to a TensorFlow device, or to NumPy."""
    from probly_data_generator_tensorflow.arrays import to_numpy, to_tensor, with_texts
    from probly_data_generator_tensorflow.devices import feeding_device

    if device == HOST:
        return map_leaves(to_numpy, data)
    target = feeding_device(device)
    return map_leaves(lambda leaf: to_tensor(leaf, target), with_texts(data))


@hookimpl
def forward(model: "TensorFlowModel", inputs: Any, batch_size: int | None) -> Any:
    """Run the compiled model with dropout and batch statistics off."""
    outputs = model.step(inputs, batch_size)
    # None is no answer of a hook: this says that it is none of a model, either.
    return pick_scores(outputs) if outputs is None else outputs


@hookimpl
def stochastic_forward(model: "TensorFlowModel", inputs: Any, batch_size: int | None, seed: int) -> Any:
    """Run the compiled model with dropout and all else that is random in a Keras model on, from the seed."""
    outputs = model.drawing.draw(inputs, batch_size, seed)
    return pick_scores(outputs) if outputs is None else outputs


@hookimpl
def keep_layers(model: "TensorFlowModel", layers: Sequence[str]) -> "TensorFlowModel":
    """Note down what layers of a Keras model return."""
    from probly_data_generator_tensorflow import switched

    return switched.keep_layers(model, layers)


@hookimpl
def posterior_params(model: "TensorFlowModel") -> dict[str, dict[str, Any]]:
    """Return the paired ``*_mu`` and ``*_rho`` variables as copies."""
    from probly_data_generator_tensorflow.posterior import posterior_tensors

    return posterior_tensors(model.module)


@hookimpl
def weight_digest(model: "TensorFlowModel") -> str:
    """Return the digest of everything that a model computes with: variables, settings, vocabularies, functions."""
    from probly_data_generator_tensorflow.digest import digest_of

    return digest_of(model)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim what TensorFlow defines, Keras models that run on TensorFlow, and files of either."""
    if isinstance(source, Path):
        return source.suffix in (".keras", ".h5", ".hdf5") or (source / "saved_model.pb").is_file()
    of_keras = class_from(source, "keras")
    if of_keras is not None:
        return of_keras if sys.modules["keras"].config.backend() == "tensorflow" else False
    return class_from(source, "tensorflow", "tf_keras") or False


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    import tensorflow as tf

    return isinstance(error, tf.errors.ResourceExhaustedError | MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the logical devices of TensorFlow by their short names."""
    from probly_data_generator_tensorflow.devices import device_names

    return device_names()


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the first device of each kind, and what options take."""
    return {"device": DEVICES, **KNOWN}
