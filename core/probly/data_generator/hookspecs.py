"""The plugin surface, whole: five hooks that a backend must have and four that it may have.

A backend is a module (or an object) whose functions carry ``@hookimpl`` and the names below. It may leave out
arguments that it does not need, but not rename them. It is named by an entry point of the group
``probly.data_generator.backends`` and must import its framework only inside hook bodies.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import pluggy

from probly.data_generator.toolkit.samples import Batch

PROJECT: Final = "probly_data_generator"
HOST: Final = "host"
"""The device name that stands for NumPy arrays in host memory."""

OutputMode = Literal["logits", "probs", "raw"]

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec(firstresult=True)
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> Any:
    """Return a model that the other hooks accept, ready for inference on ``device``.

    Called by the generator when it is made, so that a bad source fails early, and again at the start of every later
    run when ``source`` is a live object, because its weights may have changed in between.

    Args:
        source: A live model, a ``"module:attribute"`` string, or the path of a file that the framework can open
            without running code from it. A live model is left as it was found: mode, device and weights.
        device: A device name of the framework, or None for the best one available.
        options: What the user asks of the framework beyond that, by name; ``options.checked_options`` refuses what
            the backend does not know. Leave the argument out if there is nothing to choose: the generator then
            refuses every option.

    Returns:
        Any object with an attribute ``device`` (the resolved device name, recorded in the metadata). Recorded, too, if
        it has them: ``class_names`` (a list of str, or None) and ``options`` (a dict of those that may change the rows;
        a store goes on with the same ones only). ``input_device``, if it is there, is what ``to_device`` gets for the
        inputs in place of ``device``: a name of the backend's own, such as one that does without the copy where the
        model is known not to work in place. ``forward_context``, if it is there, is called without arguments for a
        context manager around several calls of ``to_device`` and ``forward`` in a row, from one thread and never with
        ``"raw"``: for what each of them would otherwise prepare for itself. Not where a plugin wraps one of the two.
        The command line reads ``channels``, ``"first"`` or ``"last"``: which axis of a picture the model expects its
        channels on; without it, the user has to say so.

    Raises:
        ValueError: The device is not available, or an option is not known; the message lists those that are.
    """


@hookspec(firstresult=True)
def iterate_batches(  # type: ignore[empty-body]  # a specification has no body
    dataset: Any,
    batch_size: int,
    input_getter: Callable[[Any], Any] | None,
    index_getter: Callable[[Any], Any] | None,
    batched: bool | None,
    model: Any,
    start: int,
) -> Iterator[Batch]:
    """Return an iterator over the dataset in batches that know the dataset index of each row.

    Called once per run, after ``load_model``. Arguments are checked before the iterator is returned, not at its first
    step. ``input_getter`` and ``index_getter`` get a sample when ``dataset`` is a dataset, a batch when it is a loader.
    The inputs of a batch must stay as they are until the next but one is asked for: rows are collected one batch late.

    The iterator may have an attribute ``length``, the number of rows that the dataset announces (``samples.Batches``
    has one): the generator reports a difference. ``batches.iterate_batches`` does all of this for anything that is no
    class of your framework. Of arrays it returns ``batches.ArrayBatches``, of which the generator may take several
    batches at once while they are quick; ``forward`` and ``to_device`` get one at a time all the same.

    Args:
        dataset: A dataset of samples, arrays, or a loader of batches.
        batch_size: Rows per batch, at least 1; a loader keeps its own.
        input_getter: Picks the model's input; by default the first element of a tuple, else the whole.
        index_getter: Picks the dataset index (an int, or an integer per row), where the order alone cannot tell.
        batched: True if ``dataset`` yields batches, False if it yields samples, None to tell by its type.
        model: What ``load_model`` returned, for backends that compare shapes with the model's input.
        start: A multiple of ``batch_size``; the rows before it are not needed, because a store has them already. A
            shortcut for datasets that can be entered anywhere: a backend that ignores it yields them again.

    Raises:
        AlignmentError: The index of a row cannot be known with certainty.
    """


@hookspec(firstresult=True)
def to_device(data: Any, device: str) -> Any:
    """Return the same nest (dict, list, tuple, namedtuple) with its arrays on ``device``.

    Called per batch: once for the inputs with the model's device, once for the outputs with ``HOST``. Leaves that are
    not arrays are passed on.

    Args:
        data: A nest of the framework's arrays, NumPy arrays or other objects. Never modified.
        device: A device name of the framework, or ``HOST`` for NumPy arrays (half precision upcast to float32, since
            NumPy has no bfloat16). What was returned for ``HOST`` must stay as it is: rows of several batches wait for
            each other.

    Raises:
        ValueError: The device is not available; the message lists those that are.
    """


@hookspec(firstresult=True)
def forward(model: Any, inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Return one row per input in new memory, without gradients and without a change of the model's state.

    Called per batch with inputs on the model's device. It should return before the device has finished, if the
    framework can: the generator asks for the rows one batch later. It asks for those of the first batch at once, to see
    how long they take, and again with the others.

    Args:
        model: What ``load_model`` returned.
        inputs: The inputs of one batch on the model's device, ``N`` rows.
        output_mode: ``"logits"``: the model returns logits, apply softmax. ``"probs"``: it returns probabilities.
            For both, return float32 probabilities of shape ``(N, classes)``; a single score per row, ``(N,)`` or
            ``(N, 1)``, becomes two columns. ``"raw"``: return the model's own outputs as they are.
        batch_size: The rows of a full batch of this run. A backend that compiles per shape pads up to it with
            and cuts the result back with ``outputs.cut_rows``, so that nothing compiles twice.
    """


@hookspec(firstresult=True)
def posterior_params(model: Any) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Return the variational parameters of every Bayesian layer as the framework's tensors.

    Called by ``get_posterior_distributions``.

    Args:
        model: What ``load_model`` returned.

    Returns:
        ``{layer: {"mu": array, "rho": array, ...}}``, where the standard deviation is ``softplus(rho)``; see
        ``posterior.pair_mu_rho`` for the further keys of layers with more than one Bayesian parameter.

    Raises:
        ValueError: The model has no such layer.
    """


@hookspec(firstresult=True)
def recognizes(model: Any) -> bool:  # type: ignore[empty-body]  # a specification has no body
    """Return whether a live model belongs to this backend (optional).

    Called for ``backend="auto"``. It must answer from ``type(model).__mro__`` and ``sys.modules`` and import nothing.
    """


@hookspec(firstresult=True)
def is_out_of_memory(error: BaseException) -> bool:  # type: ignore[empty-body]  # a specification has no body
    """Return whether ``error`` says that the device ran out of memory (optional).

    Called when ``forward`` or a copy fails; after True the generator halves the batch and goes on from the same row.
    """


@hookspec(firstresult=True)
def weight_digest(model: Any) -> str:  # type: ignore[empty-body]  # a specification has no body
    """Return a digest of everything that was learned, or ``""`` where it cannot be seen (optional).

    Called once per run that streams to a store, which refuses to go on with other weights. The same weights give the
    same digest in every process and on every device; ``store.fingerprint.digest`` makes one of named arrays.

    Args:
        model: What ``load_model`` returned.
    """


@hookspec(firstresult=True)
def available_devices() -> list[str]:  # type: ignore[empty-body]  # a specification has no body
    """Return the names of the devices that ``load_model`` accepts on this machine (optional).

    Called by ``check_backend``, in a process of its own, so it may import the framework and start its devices.
    """


REQUIRED: Final = ("load_model", "iterate_batches", "to_device", "forward", "posterior_params")
OPTIONAL: Final = ("recognizes", "is_out_of_memory", "weight_digest", "available_devices")
