"""One compiled step: the model and the softmax behind it as one graph, on one device or on a strategy's replicas."""

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import OutputMode
from probly.data_generator.rows import as_probabilities
from probly.data_generator.toolkit.nests import count_rows, leaves, map_leaves
from probly.data_generator.toolkit.outputs import cut_rows, pick_scores
from probly_data_generator_tensorflow.tensors import is_half


class TensorFlowOperations:
    """The array operations in TensorFlow."""

    def float32(self, scores: tf.Tensor) -> tf.Tensor:
        """Cast to float32."""
        return tf.cast(scores, tf.float32)

    def is_half(self, scores: tf.Tensor) -> bool:
        """Return whether a float dtype has fewer than 32 bits."""
        return is_half(scores.dtype)

    def softmax(self, scores: tf.Tensor) -> tf.Tensor:
        """Softmax over the last axis; TensorFlow subtracts the maximum."""
        return tf.nn.softmax(scores, axis=-1)

    def sigmoid(self, scores: tf.Tensor) -> tf.Tensor:
        """Elementwise logistic function."""
        return tf.sigmoid(scores)

    def two_columns(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Stack two tensors of shape (N,) to (N, 2)."""
        return tf.stack([first, second], axis=-1)

    def renormalise(self, rows: tf.Tensor, tolerance: float) -> tf.Tensor:
        """Divide each row by its sum where that is nearly 1."""
        sums = tf.reduce_sum(rows, axis=-1, keepdims=True)
        return rows / tf.where(tf.abs(sums - 1.0) <= tolerance, sums, tf.ones_like(sums))


OPERATIONS = TensorFlowOperations()


class Step:
    """What runs per batch.

    Args:
        function: The model: inputs of a batch to outputs, with everything stochastic off.
        device: Where it runs, if there is no strategy.
        strategy: Splits each batch over its replicas.
        eager: Whether to run without a graph.
        xla: Whether XLA compiles the graph, once per shape; the last batch is padded to that of the others.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        device: str,
        strategy: tf.distribute.Strategy | None = None,
        *,
        eager: bool = False,
        xla: bool = False,
    ) -> None:
        self.function = function
        self.device = device
        self.strategy = strategy
        self.eager = eager
        self.xla = xla
        self._functions: dict[OutputMode, Any] = {}
        self._traced: dict[Any, Any] = {}

    @property
    def settings(self) -> tuple[Any, ...]:
        """What two steps of the same model may differ in."""
        return self.device, self.strategy, self.eager, self.xla

    def __call__(self, inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
        """Return the rows of a batch, or the model's own outputs for ``"raw"``."""
        if self.strategy is not None:
            return self._on_replicas(self.strategy, inputs, output_mode, batch_size)
        with tf.device(self.device):
            if self.xla and output_mode != "raw" and isinstance(inputs, tf.Tensor) and inputs.shape.rank:
                return self._padded(inputs, output_mode, batch_size)
            return self._call(inputs, output_mode)

    def _padded(self, inputs: tf.Tensor, output_mode: OutputMode, batch_size: int) -> Any:
        rows = int(inputs.shape[0])
        wanted = max(rows, batch_size)
        outputs = self._call(_pad(inputs, wanted), output_mode)
        return outputs if rows == wanted else cut_rows(outputs, wanted, rows)

    def _call(self, inputs: Any, output_mode: OutputMode) -> Any:
        # Samples that are no tensors would be compiled in as constants, once per batch.
        if self.eager or tf.config.functions_run_eagerly() or not all(map(_is_traceable, leaves(inputs))):
            return self._run(inputs, output_mode)
        key = (output_mode, _kind(inputs))
        graph = self._traced.get(key)
        if graph is None:
            graph = self._trace(tf.nest.map_structure(_any_rows, inputs), self._compiled(output_mode))
            if isinstance(graph, Exception):
                return self._run_eagerly(inputs, output_mode, graph)
            self._traced[key] = graph
        # A graph of one tensor is called as it is: finding it among all others takes as long as a small model.
        return graph(inputs) if isinstance(inputs, tf.Tensor) else self._compiled(output_mode)(inputs)

    def _compiled(self, output_mode: OutputMode) -> Any:
        if output_mode not in self._functions:
            self._functions[output_mode] = self._function(output_mode)
        return self._functions[output_mode]

    def _function(self, output_mode: OutputMode) -> Any:
        # With the inputs as its only argument, its graphs can be called directly.
        def run(inputs: Any) -> Any:
            return self._run(inputs, output_mode)

        return tf.function(run, autograph=False, reduce_retracing=True, jit_compile=True if self.xla else None)

    def _trace(self, specs: Any, compiled: Any) -> Any:
        """Compile the step for these inputs; return it, or what went wrong."""
        try:
            return compiled.get_concrete_function(specs)
        except Exception as error:  # noqa: BLE001  # a model may fail in any way where it meets symbolic tensors
            return error

    def _run_eagerly(self, inputs: Any, output_mode: OutputMode, failure: Exception) -> Any:
        outputs = self._run(inputs, output_mode)  # a model that is broken, too, says so here more clearly
        self.eager = True
        reason = (str(failure).strip() or "no message").splitlines()[0]
        message = (
            f"the model cannot be compiled ({type(failure).__name__}: {reason}) and runs eagerly, which is slower; "
            "use TensorFlow operations only, or set its attribute run_eagerly to True"
        )
        warnings.warn(message, stacklevel=2)
        return outputs

    def _run(self, inputs: Any, output_mode: OutputMode) -> Any:
        if self.strategy is not None:
            return self.strategy.run(self._rows, args=(inputs, output_mode))
        return self._rows(inputs, output_mode)

    def _rows(self, inputs: Any, output_mode: OutputMode) -> Any:
        outputs = self.function(inputs)
        if output_mode == "raw":
            return outputs
        scores = tf.convert_to_tensor(pick_scores(outputs))
        if scores.shape.rank is None or None in scores.shape[1:]:
            # A single score per row could not be told from several.
            message = f"the shape of the outputs, {scores.shape}, is unknown while they are compiled"
            raise ValueError(message)
        return as_probabilities(scores, output_mode, OPERATIONS)

    def _on_replicas(
        self, strategy: tf.distribute.Strategy, inputs: Any, output_mode: OutputMode, batch_size: int
    ) -> Any:
        rows, replicas = count_rows(inputs), strategy.num_replicas_in_sync
        share = -(-max(rows, batch_size) // replicas)  # of every batch, also the last: nothing compiles twice
        padded = map_leaves(lambda leaf: _pad(leaf, share * replicas), inputs)

        def part(context: Any) -> Any:
            start = context.replica_id_in_sync_group * share
            return map_leaves(lambda leaf: leaf[start : start + share], padded)

        outputs = self._call(strategy.experimental_distribute_values_from_function(part), output_mode)
        shares = strategy.experimental_local_results(outputs)
        return tf.nest.map_structure(lambda *parts: _join(parts, share * replicas, rows), *shares)


def _is_traceable(leaf: Any) -> bool:
    return tf.is_tensor(leaf) or isinstance(leaf, tf.distribute.DistributedValues)


def _kind(inputs: Any) -> Any:
    """Return what a graph knows of its inputs."""
    if isinstance(inputs, tf.Tensor):
        return inputs.dtype, tuple(inputs.shape)[1:]
    return tuple(tf.nest.flatten(tf.nest.map_structure(_any_rows, inputs)))


def _any_rows(tensor: Any) -> Any:
    spec = tf.type_spec_from_value(tensor)
    return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype) if isinstance(spec, tf.TensorSpec) else spec


def _pad(leaf: Any, rows: int) -> Any:
    missing = rows - leaf.shape[0]
    return tf.concat([leaf, tf.repeat(leaf[-1:], missing, axis=0)], axis=0) if missing else leaf


def _join(parts: tuple[Any, ...], padded: int, rows: int) -> Any:
    if not tf.is_tensor(parts[0]):
        return parts[0]
    if parts[0].shape.rank == 0:
        message = "expected a row per input from every replica, got a single number; pick the rows in the model"
        raise InvalidOutputError(message)
    return cut_rows(tf.concat(parts, axis=0), padded, rows)
