"""Arrays to TensorFlow's devices and back to NumPy."""

from typing import Any

import numpy as np
import tensorflow as tf

from probly.data_generator.toolkit.nests import Samples
from probly_data_generator_tensorflow.devices import short_name


def to_numpy(leaf: Any) -> Any:
    """Return a tensor or another library's array as a NumPy array, half precision as float32; other leaves as is."""
    if isinstance(leaf, tf.Tensor | tf.Variable):
        tensor = tf.convert_to_tensor(leaf)
        return (tf.cast(tensor, tf.float32) if _is_half(tensor.dtype) else tensor).numpy()
    array = _as_array(leaf)
    if array is None:
        return leaf
    return array.astype(np.float32) if _is_half(tf.as_dtype(array.dtype)) else array


def to_tensor(leaf: Any, device: str) -> Any:
    """Return a tensor or an array of numbers or text as a tensor on a device; other leaves as they are.

    Args:
        leaf: A tensor, which nobody can write to and is passed on where it is on the device already; a variable or an
            array, which is copied, also if TensorFlow has no such dtype; or anything else.
        device: A short name, as ``devices.resolve_device`` returns it.
    """
    if isinstance(leaf, tf.Tensor) and _is_on(leaf, device):
        return leaf
    if not isinstance(leaf, tf.Tensor | tf.Variable):
        array = _as_array(leaf)
        if array is None:
            return leaf.copy() if isinstance(leaf, np.ndarray) else leaf
        leaf = array
    # Accelerators hold no text.
    is_text = tf.as_dtype(leaf.dtype) == tf.string
    with tf.device("CPU:0" if is_text else device):
        # tf.constant copies the memory of an array also where it could be shared.
        return tf.constant(leaf) if isinstance(leaf, np.ndarray) else tf.identity(leaf)


def with_texts(nest: Any) -> Any:
    """Return a nest with tensors in place of lists of texts.

    Examples:
        >>> with_texts({"text": Samples(["a", "b"])})["text"].numpy().tolist()
        [b'a', b'b']
    """
    if isinstance(nest, Samples):
        texts = bool(nest) and all(isinstance(one, str | bytes) for one in nest)
        if not texts:
            return nest
        with tf.device("CPU:0"):  # accelerators hold no text
            return tf.constant(list(nest))
    if type(nest) is dict:
        return {name: with_texts(part) for name, part in nest.items()}
    return type(nest)(map(with_texts, nest)) if type(nest) in (list, tuple) else nest


def _is_half(dtype: tf.DType) -> bool:
    return bool(dtype.is_floating) and dtype.size < 4


def _is_on(tensor: tf.Tensor, device: str) -> bool:
    # The device of a tensor is its full name, and symbolic ones have none.
    return bool(getattr(tensor, "device", None)) and short_name(tensor.device) == device


def _as_array(leaf: Any) -> Any:
    """Return the NumPy array of numbers or text behind a leaf, or None where there is none."""
    if not hasattr(leaf, "__array__"):
        return None
    array = np.asarray(leaf)
    try:
        tf.as_dtype(array.dtype)
    except TypeError:  # dates and records
        return None
    return None if array.dtype == object else array
