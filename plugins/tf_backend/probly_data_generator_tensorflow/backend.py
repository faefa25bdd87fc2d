"""The hooks. TensorFlow is imported inside their bodies only, so that listing backends stays free of it."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import HOST, OutputMode, hookimpl
from probly.data_generator.toolkit.nests import map_leaves
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.samples import Batch, Getter

if TYPE_CHECKING:
    from probly_data_generator_tensorflow.models import TensorFlowModel


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "TensorFlowModel":
    """Accept a Keras model, a tf.Module, a callable, or a file or folder of one of these."""
    from probly_data_generator_tensorflow.models import load

    chosen = checked_options(options, {"xla": (False, True)}, "tensorflow")
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
) -> Iterator[Batch]:
    """Iterate over a tf.data.Dataset, a Keras PyDataset, tensors or NumPy arrays."""
    from probly_data_generator_tensorflow.data import tf_batches

    return tf_batches(dataset, batch_size, input_getter, index_getter, batched, model.input_shapes, start)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Move tensors and arrays to a TensorFlow device, or to NumPy."""
    from probly_data_generator_tensorflow.tensors import feeding_device, to_numpy, to_tensor

    if device == HOST:
        return map_leaves(to_numpy, data)
    target = feeding_device(device)
    return map_leaves(lambda leaf: to_tensor(leaf, target), data)


@hookimpl
def forward(model: "TensorFlowModel", inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Run the compiled step with dropout and batch statistics off."""
    return model.step(inputs, output_mode, batch_size)


@hookimpl
def posterior_params(model: "TensorFlowModel") -> dict[str, dict[str, Any]]:
    """Return the paired ``*_mu`` and ``*_rho`` variables as copies."""
    from probly_data_generator_tensorflow.posterior import posterior_tensors

    return posterior_tensors(model.module)


@hookimpl
def weight_digest(model: "TensorFlowModel") -> str:
    """Return the digest of all variables in their order; what a plain function refers to cannot be seen."""
    from probly.data_generator.run.identity import digest

    # Keras numbers its names per process, so the order has to tell the variables apart.
    variables = list(getattr(model.module, "variables", ()))
    return digest((str(number), variable.numpy()) for number, variable in enumerate(variables)) if variables else ""


@hookimpl
def recognizes(model: Any) -> bool:
    """Claim what TensorFlow defines, and Keras models that run on TensorFlow."""
    roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in roots:
        return bool(sys.modules["keras"].config.backend() == "tensorflow")
    return bool(roots & {"tensorflow", "tf_keras"})


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    import tensorflow as tf

    return isinstance(error, tf.errors.ResourceExhaustedError | MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the logical devices of TensorFlow by their short names."""
    from probly_data_generator_tensorflow.tensors import device_names

    return device_names()
