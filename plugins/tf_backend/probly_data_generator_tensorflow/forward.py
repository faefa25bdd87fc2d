"""Calling the model: as one compiled graph, on one device or on a strategy's replicas."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.toolkit.calling import call_with
from probly.data_generator.toolkit.nests import count_rows, leaves, map_leaves
from probly.data_generator.toolkit.outputs import Kept, call_padded, cut_rows, pick_scores
from probly_data_generator_tensorflow.state import State, stateful_layer

NO_GRAPH = "passes: the model cannot be compiled to a graph, which alone shows whether what it draws follows a seed"


class RefusedError(ValueError):
    """What is asked of a model cannot be had of it; running it eagerly would change nothing about that."""


class Step:
    """What runs per batch.

    Args:
        function: The model: inputs of a batch to outputs, with everything stochastic off.
        module: What may have an attribute ``run_eagerly``, which is True where no graph is wanted.
        device: Where it runs, if there is no strategy.
        strategy: Splits each batch over its replicas.
        xla: Whether XLA compiles the graph, once per shape; the last batch is padded to that of the others.
    """

    seeded = False
    """Whether what is drawn must follow a seed, which only a graph shows."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        module: Any,
        device: str,
        strategy: tf.distribute.Strategy | None = None,
        *,
        xla: bool = False,
    ) -> None:
        self.function = function
        self.module = module
        self.device = device
        self.strategy = strategy
        self.xla = xla
        self.eager = False  # until it cannot be traced
        self.compiled = tf.function(
            self._run, autograph=False, reduce_retracing=True, jit_compile=True if xla else None
        )
        self._traced: set[Any] = set()
        self.kept = State()

    def __call__(self, inputs: Any, batch_size: int | None) -> Any:
        """Return the model's own outputs for a batch; of a padded one, the scores in them.

        Args:
            inputs: The inputs of a batch.
            batch_size: The rows to pad to, where graphs are compiled per shape; None if all outputs are wanted.
        """
        if self.strategy is not None:
            return self._on_replicas(self.strategy, inputs, batch_size)
        with tf.device(self.device):
            fixed = self._fixed_rows
            if fixed is not None:
                return self._in_fixed_rows(inputs, fixed, whole=batch_size is None)
            if self.xla and batch_size is not None:
                return call_padded(self._call, inputs, batch_size, _repeat_last_row)
            return self._call(inputs)

    @functools.cached_property
    def _fixed_rows(self) -> int | None:
        """The rows of every batch of a Keras model with stateful layers, which have a state for each of them."""
        if stateful_layer(self.module) is None:
            return None
        inputs = getattr(self.module, "inputs", None)
        sizes = {tensor.shape[0] for tensor in inputs} if isinstance(inputs, list | tuple) else set()
        return sizes.pop() if len(sizes) == 1 else None

    def _in_fixed_rows(self, inputs: Any, fixed: int, *, whole: bool) -> Any:
        """Call a model with stateful layers, which is built for batches of one size."""
        rows = count_rows(inputs)
        _check_fits(rows, fixed)
        if not whole:
            return call_padded(self._call, inputs, fixed, _repeat_last_row)
        outputs = self._call(map_leaves(lambda leaf: _repeat_last_row(leaf, fixed - rows), inputs))

        def cut(nest: Any) -> Any:
            return tf.nest.map_structure(lambda leaf: cut_rows(leaf, fixed, rows) if tf.is_tensor(leaf) else leaf, nest)

        return Kept(cut(outputs.outputs), cut(outputs.layers)) if isinstance(outputs, Kept) else cut(outputs)

    def _call(self, inputs: Any) -> Any:
        # Keras's way to say so, compile(run_eagerly=True), serves for any callable.
        eager = self.eager or getattr(self.module, "run_eagerly", False) is True or tf.config.functions_run_eagerly()
        # Samples that are no tensors would be compiled in as constants, once per batch.
        traceable = all(map(_is_traceable, leaves(inputs)))
        if self.seeded and not traceable:
            raise RefusedError(NO_GRAPH)
        if (eager and not self.seeded) or not traceable:
            self.kept.written = True
            return self._run(inputs)
        # A graph is made for any number of rows, before the first batch that needs it: what goes wrong while a model
        # meets symbolic tensors is then no failure of the computation.
        specs = tf.nest.map_structure(_any_rows, inputs)
        kind = tuple(tf.nest.flatten(specs))
        if kind not in self._traced:
            try:
                self._look_at(self.compiled.get_concrete_function(specs).graph)
            except RefusedError:
                raise
            except Exception as error:  # noqa: BLE001  # a model may fail in any way there
                return self._run_eagerly(inputs, error)
            self._traced.add(kind)
        return self._compute(inputs)

    def _look_at(self, graph: Any) -> None:
        self.kept.trace(graph)

    def _compute(self, inputs: Any) -> Any:
        return self.compiled(inputs)

    def _run(self, inputs: Any) -> Any:
        if self.strategy is None:
            return call_with(self.function, inputs)
        return self.strategy.run(call_with, args=(self.function, inputs))

    def _run_eagerly(self, inputs: Any, failure: Exception) -> Any:
        if self.seeded:
            raise RefusedError(NO_GRAPH) from failure
        self.kept.written = True
        outputs = self._run(inputs)  # a model that is broken, too, says so here more clearly
        self.eager = True
        reason = (str(failure).strip() or "no message").splitlines()[0]
        message = (
            f"the model cannot be compiled ({type(failure).__name__}: {reason}) and runs eagerly, which is slower; "
            "use TensorFlow operations only, or set its attribute run_eagerly to True"
        )
        warnings.warn(message, stacklevel=2)
        return outputs

    def _on_replicas(self, strategy: tf.distribute.Strategy, inputs: Any, batch_size: int | None) -> Any:
        """Split a batch over the replicas, in equal shares of equal size in all batches: nothing is traced twice."""
        rows, replicas = count_rows(inputs), strategy.num_replicas_in_sync
        share = self._fixed_rows or -(-max(rows, batch_size or 0) // replicas)
        _check_fits(rows, share * replicas)
        padded = map_leaves(lambda leaf: _repeat_last_row(leaf, share * replicas - rows), inputs)

        def part(context: Any) -> Any:
            start = context.replica_id_in_sync_group * share
            return map_leaves(lambda leaf: leaf[start : start + share], padded)

        outputs = self._call(strategy.experimental_distribute_values_from_function(part))
        shares = strategy.experimental_local_results(outputs)
        if batch_size is not None:
            shares = [pick_scores(one) for one in shares]
        return tf.nest.map_structure(lambda *parts: _join(parts, share * replicas, rows), *shares)


def _check_fits(rows: int, fixed: int) -> None:
    if rows > fixed:
        message = f"the model was built for batches of {fixed} rows, this one has {rows}; set batch_size={fixed}"
        raise ValueError(message)


def _is_traceable(leaf: Any) -> bool:
    return tf.is_tensor(leaf) or isinstance(leaf, tf.distribute.DistributedValues)


def _any_rows(tensor: Any) -> Any:
    """Return what a graph knows of a tensor, with any number of rows."""
    spec = tf.type_spec_from_value(tensor)
    return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype) if isinstance(spec, tf.TensorSpec) else spec


def _repeat_last_row(leaf: Any, times: int) -> Any:
    return tf.concat([leaf, tf.repeat(leaf[-1:], times, axis=0)], axis=0) if times else leaf


def _join(parts: tuple[Any, ...], padded: int, rows: int) -> Any:
    if not tf.is_tensor(parts[0]):
        return parts[0]
    if parts[0].shape.rank == 0:
        message = "expected a row per input from every replica, got a single number; pick the rows in the model"
        raise InvalidOutputError(message)
    return cut_rows(tf.concat(parts, axis=0), padded, rows)
