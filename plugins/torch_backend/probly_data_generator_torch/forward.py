"""Batches through a model: to probabilities, without gradients."""

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from probly.data_generator.hookspecs import OutputMode
from probly.data_generator.rows import rows_of_scores
from probly.data_generator.toolkit.nests import map_leaves
from probly.data_generator.toolkit.outputs import pick_scores
from probly_data_generator_torch import tensors
from probly_data_generator_torch.exported import Sizes, call_in_sizes
from probly_data_generator_torch.modes import evaluating
from probly_data_generator_torch.purity import SHARED, spares_inputs
from probly_data_generator_torch.transfers import send


class TorchOperations:
    """The array operations in torch."""

    def float32(self, scores: torch.Tensor) -> torch.Tensor:
        """Cast to float32."""
        return scores if scores.dtype is torch.float32 else scores.float()

    def is_half(self, scores: torch.Tensor) -> bool:
        """Return whether a float dtype has fewer than 32 bits."""
        return tensors.is_half(scores)

    def softmax(self, scores: torch.Tensor) -> torch.Tensor:
        """Softmax over the last axis; torch subtracts the maximum."""
        return scores.softmax(-1)

    def sigmoid(self, scores: torch.Tensor) -> torch.Tensor:
        """Elementwise logistic function."""
        return scores.sigmoid()

    def two_columns(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Stack two tensors of shape (N,) to (N, 2)."""
        return torch.stack([first, second], dim=-1)

    def renormalise(self, rows: torch.Tensor, tolerance: float) -> torch.Tensor:
        """Divide each row by its sum where that is nearly 1, without asking the device."""
        sums = rows.sum(-1, keepdim=True)
        return rows / sums.where((sums - 1.0).abs() <= tolerance, sums.new_ones(()))


OPERATIONS = TorchOperations()


class TorchModel:
    """What ``load_model`` returns.

    Args:
        function: What is called with the inputs of a batch.
        device: Where its weights are.
        module: The Module behind it, if one is seen: its training mode is switched and restored around each batch.
        sizes: The numbers of rows that it takes, for an exported program; its mode cannot be switched.
        channels_last: Whether images have their channels last in memory, as the weights of a copy have.

    Attributes:
        options: The options that may change a row, as the user set them.
        compiled: Whether another number of rows would compile ``function`` again.
        autocast: The dtype that the model's own operations choose, or None.
        num_workers: The processes that fetch the samples of a dataset that is no loader.
    """

    def __init__(
        self,
        function: Any,
        device: torch.device,
        module: torch.nn.Module | None = None,
        sizes: Sizes | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        self.function = function
        self.torch_device = device
        self.device = str(device)
        self.module = module
        self.sizes = sizes
        self.channels_last = channels_last
        self.options: dict[str, Any] = {}
        self.compiled = False
        self.autocast: torch.dtype | None = None
        self.num_workers = 0
        self._simple = module is not None and function is module and spares_inputs(module)
        # Copies protect the caller's data from a model that works in place.
        self.input_device = SHARED if self._simple and device.type == "cpu" else self.device
        self._parts = [] if module is None else list(module.modules())
        self._prepared_thread: int | None = None
        self.is_keras = any(kind.__module__.partition(".")[0] == "keras" for kind in type(function).__mro__)
        self.channels = "last" if self.is_keras else "first"
        """The order of a picture's axes, for the command line."""

    def _evaluating(self, *, long: bool = False) -> contextlib.AbstractContextManager[None]:
        """Switch off dropout and batch statistics, and leave every submodule in the mode it was found in."""
        if self.module is None or self.sizes is not None:
            return contextlib.nullcontext()
        return evaluating(self.module, self._parts, long=long)

    def _without_gradients(self, *, raw: bool) -> contextlib.AbstractContextManager[Any]:
        """Record nothing for gradients.

        torch's own layers keep no tensors. Others may, and one from inference_mode, which costs less, could never take
        part in training again; nor could raw outputs, for which an output_transform may have learned parameters.
        """
        return torch.inference_mode() if self._simple and not raw and not self.compiled else torch.no_grad()

    def forward_context(self) -> contextlib.AbstractContextManager[None]:
        """Prepare once what each batch needs, for several in a row; see the hook ``load_model``.

        Only for torch's own layers: what others do to their modes in one batch must not reach the next.
        """
        return self._prepared() if self._simple else contextlib.nullcontext()

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        with self._without_gradients(raw=False), self._evaluating(long=True):
            self._prepared_thread = threading.get_ident()
            try:
                yield
            finally:
                self._prepared_thread = None

    def infer(self, inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
        """Return the float32 probabilities of a batch on the model's device, or its raw outputs."""
        raw = output_mode == "raw"
        # What another thread has prepared holds there alone.
        if self._prepared_thread == threading.get_ident() and not raw:
            return _rows(self._outputs(inputs, batch_size, raw=False), output_mode)
        with self._without_gradients(raw=raw), self._evaluating():
            outputs = self._outputs(inputs, batch_size, raw=raw)
            return outputs if raw else _rows(outputs, output_mode)

    def _outputs(self, inputs: Any, full_batch: int, *, raw: bool) -> Any:
        if self.autocast is None:
            return self._call(inputs, full_batch, raw=raw)
        with torch.autocast(self.torch_device.type, self.autocast):
            return self._call(inputs, full_batch, raw=raw)

    def _call(self, inputs: Any, full_batch: int, *, raw: bool) -> Any:
        """Call the model: mappings as keyword arguments, lists and tuples as positional ones."""
        if self.is_keras:
            return self.function(inputs, training=False)
        if self.channels_last:
            inputs = map_leaves(_with_channels_last, inputs)
        sizes = self.sizes
        if self.compiled and not raw:  # raw outputs may be more than one row per input, which cannot be cut back
            sizes = Sizes(full_batch, None)
        if sizes is None:
            return _call(self.function, inputs)
        return call_in_sizes(functools.partial(_call, self.function), inputs, sizes, raw=raw)


def _rows(outputs: Any, output_mode: Any) -> torch.Tensor:
    scores = outputs if type(outputs) is torch.Tensor else pick_scores(outputs)
    rows = rows_of_scores(scores, output_mode, OPERATIONS)
    # Rows are collected one batch late, when the model may have written the next ones to the same memory.
    return send(rows.clone() if rows is scores else rows)


def _with_channels_last(leaf: Any) -> Any:
    images = isinstance(leaf, torch.Tensor) and leaf.ndim == 4
    return leaf.contiguous(memory_format=torch.channels_last) if images else leaf


def _call(function: Any, inputs: Any) -> Any:
    if isinstance(inputs, torch.Tensor):
        return function(inputs)
    if isinstance(inputs, Mapping):
        return function(**inputs)
    return function(*inputs) if isinstance(inputs, list | tuple) else function(inputs)
