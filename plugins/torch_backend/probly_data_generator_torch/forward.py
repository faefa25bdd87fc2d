"""Batches through a model, without gradients and in evaluation mode."""

import contextlib
import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from probly.data_generator.toolkit.nests import map_leaves
from probly.data_generator.toolkit.outputs import call_padded
from probly_data_generator_torch.calling import call
from probly_data_generator_torch.classes import class_names
from probly_data_generator_torch.dtypes import dtype_note
from probly_data_generator_torch.exported import Sizes, call_in_sizes, repeat_last
from probly_data_generator_torch.layers import call_with_layers, find_layers
from probly_data_generator_torch.modes import evaluating
from probly_data_generator_torch.stochastic import drawing, refuse_without_stochastic_layers


class TorchModel:
    """What ``load_model`` returns.

    Args:
        function: What is called with the inputs of a batch.
        device: Where its weights are.
        module: The Module behind it, if one is seen: its training mode is switched and restored around each batch.
        sizes: The numbers of rows that it takes, for an exported program; its mode cannot be switched.
        channels_last: Whether images have their channels last in memory, as the weights of a copy have.
        live_state: Returns the weights of the live model that ``module`` is a copy of; None: it is no copy.

    Attributes:
        options: The options that may change a row, as the user set them.
        compiled: Whether another number of rows would compile ``function`` again.
        autocast: The dtype that the model's own operations choose, or None.
        num_workers: The processes that fetch the samples of a dataset that is no loader.
        channels: The order of a picture's axes, for the command line.
        kept_layers: The layers whose outputs are returned beside the model's, by name.
        parts: The modules in ``module``, which take longer to list than a small model's batch.
    """

    def __init__(
        self,
        function: Any,
        device: torch.device,
        module: torch.nn.Module | None = None,
        sizes: Sizes | None = None,
        *,
        channels_last: bool = False,
        live_state: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.function = function
        self.torch_device = device
        self.device = str(device)
        self.module = module
        self.sizes = sizes
        self.channels_last = channels_last
        self.live_state = live_state
        self.options: dict[str, Any] = {}
        self.compiled = False
        self.autocast: torch.dtype | None = None
        self.num_workers = 0
        self.kept_layers: dict[str, torch.nn.Module] = {}
        self.is_keras = any(kind.__module__.partition(".")[0] == "keras" for kind in type(function).__mro__)
        self.channels = "last" if self.is_keras else "first"
        self.parts = [] if module is None else list(module.modules())

    @property
    def class_names(self) -> list[str] | None:
        """The name of each column, where the model's configuration has it."""
        return class_names(self.module)

    @property
    def image_config(self) -> Any:
        """What a model of timm says of its pictures, for the command line; None for any other."""
        found = (getattr(self.module, name, None) for name in ("pretrained_cfg", "default_cfg"))
        configs = [one for one in found if isinstance(one, Mapping) and "crop_pct" in one]
        return {"pretrained_cfg": dict(configs[0])} if configs else None

    def is_current(self) -> bool:
        """Return whether a copy still has the weights of the live model."""
        if self.live_state is None or self.module is None:
            return True
        copied, live = self.module.state_dict(), self.live_state()
        return copied.keys() == live.keys() and all(_same(copied[name], live[name]) for name in live)

    def with_layers(self, layers: Sequence[str]) -> "TorchModel":
        """Return the model that returns ``Kept``; see the hook ``keep_layers``.

        Raises:
            ValueError: There is no such layer, or none can be seen.
        """
        if self.module is None or self.sizes is not None:
            what = "an exported program" if self.sizes is not None else type(self.function).__name__
            message = f"keep: the layers of {what} cannot be seen; pass the torch.nn.Module itself"
            raise ValueError(message)
        kept = copy.copy(self)
        kept.kept_layers = find_layers(self.module, layers)
        return kept

    def outputs(self, inputs: Any, batch_size: int | None, seed: int | None = None) -> Any:
        """Return what the model makes of one batch; see the hooks ``forward`` and, with a seed, ``stochastic_forward``.

        ``no_grad`` and not ``inference_mode``: a module may keep a tensor, and one of inference mode could never take
        part in training again.
        """
        try:
            with torch.no_grad(), self._evaluating(alone=seed is not None), self._drawing(seed), self._casting():
                return self._call(inputs, batch_size)
        except Exception as error:
            note = dtype_note(error, inputs, self.module)
            if note is not None:
                error.add_note(note)
            raise

    def _evaluating(self, *, alone: bool) -> contextlib.AbstractContextManager[None]:
        if self.module is None or self.sizes is not None:
            return contextlib.nullcontext()
        # Hooks and dropout would reach into the batches of another thread.
        return evaluating(self.module, self.parts, alone=alone or bool(self.kept_layers))

    def _drawing(self, seed: int | None) -> contextlib.AbstractContextManager[None]:
        if seed is None:
            return contextlib.nullcontext()
        refuse_without_stochastic_layers(self.function, exported=self.sizes is not None, is_keras=self.is_keras)
        return drawing(self.parts, self.torch_device, seed)

    def _casting(self) -> contextlib.AbstractContextManager[Any]:
        # One that is "disabled" would switch off the one that the user has entered.
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.torch_device.type, self.autocast)

    def _call(self, inputs: Any, batch_size: int | None) -> Any:
        if self.is_keras:
            return self.function(inputs, training=False)
        if self.channels_last:
            inputs = map_leaves(_with_channels_last, inputs)
        function = functools.partial(call, self.function)
        if self.kept_layers:
            function = functools.partial(call_with_layers, function, layers=self.kept_layers)
        if self.sizes is not None:
            return call_in_sizes(function, inputs, self.sizes, whole=batch_size is None)
        if self.compiled and batch_size is not None:
            return call_padded(function, inputs, batch_size, repeat_last)
        return function(inputs)


def _same(copied: Any, live: Any) -> bool:
    if not isinstance(copied, torch.Tensor) or not isinstance(live, torch.Tensor):
        return False  # the state of a module's own kind: it is copied again
    return copied.dtype == live.dtype and torch.equal(copied, live.to(copied.device))


def _with_channels_last(leaf: Any) -> Any:
    images = isinstance(leaf, torch.Tensor) and leaf.ndim == 4
    return leaf.contiguous(memory_format=torch.channels_last) if images else leaf
