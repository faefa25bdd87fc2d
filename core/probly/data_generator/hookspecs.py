"""The contract of a backend, whole: two hooks that it must have, three that the core can answer, eight optional.

A backend is a module (or an object) whose functions carry ``@hookimpl`` and the names below. It may leave out
arguments that it does not need, but not rename them. It is named by an entry point of the group
``probly.data_generator.backends`` and must import its framework only inside hook bodies.

    dataset -> iterate_batches -> to_device -> forward -> to_device(..., HOST) -> rows, checked -> memory or a file

The core makes rows of what a model returned: a backend has no softmax to get wrong. Every hook is called per batch or
per run, never per sample. A ``ValueError`` of a hook is bad input: its message reaches the user as it is.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import pluggy

from probly.data_generator.toolkit.samples import Batch

PROJECT: Final = "probly_data_generator"
HOST: Final = "host"
"""The device name that stands for NumPy arrays in host memory."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

REQUIRED: Final = ("load_model", "forward")
DEFAULTED: Final = ("iterate_batches", "to_device", "posterior_params")
"""Hooks that the core answers where a backend does not: with NumPy in and out, and no Bayesian layers."""
OPTIONAL: Final = (
    "recognizes",
    "is_out_of_memory",
    "stochastic_forward",
    "keep_layers",
    "weight_digest",
    "data_digest",
    "available_devices",
    "choices",
)


@hookspec(firstresult=True)
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> Any:
    """Return a model that the other hooks accept, ready for inference on ``device``.

    Called once per generator, when it is made, so that a bad source fails early; and once more for every later run of a
    live model, because its weights may have changed in between (for the first run only if ``is_current`` says so).

    Args:
        source: A live model, a ``"module:attribute"`` string (``toolkit.importing.import_model`` resolves it), or the
            path of a file. One that runs code when it is opened, as pickles and stored programs do, is refused with
            ``toolkit.trust.untrusted`` unless ``options["trust"]`` is set. A live model is left as it was found: mode,
            device and weights; it needs no trust.
        device: A device name of the framework. None: a live model stays where its weights are, anything else goes to
            the best device there is.
        options: What the user asks of the framework beyond that, by name; ``toolkit.options.checked_options`` refuses
            what the backend does not know, ``toolkit.trust.TRUST_OPTION`` among it where files may run code. Leave the
            argument out if there is nothing to choose: then the generator refuses every option.

    Returns:
        Any object with an attribute ``device`` (the resolved device name, recorded in the metadata). Recorded, too, if
        it has them: ``class_names`` (a list of str, or None), ``classes`` (what the labels of each column are, where
        they are the model's own values, such as 3 and 7, and not positions) and ``options`` (a dict of those that may
        change the rows; a store is continued with the same ones only). ``output_mode``, ``"logits"`` or ``"probs"``,
        says what its scores are where that is known whatever their values; the user is then refused the other one.
        ``is_current``, a function without arguments, says before the first run whether the live model still has the
        weights that were copied from it; without it, none were copied. The command line reads ``channels``, ``"first"``
        or ``"last"``: which axis of a picture the model expects its channels on; ``image_config``, a mapping in which
        its library says what else is done to pictures; ``takes_pictures``, whether the model does that itself, with
        Pillow images; and ``feature_names``, a list of str or None: the columns that the model knows by name, in its
        order. It then gets a table as a data frame of these.

    Raises:
        ValueError: The device is not available (the message says "available:" and lists those that are), an option is
            not known, or a file would run code and is not trusted.
    """


@hookspec(firstresult=True)
def forward(model: Any, inputs: Any, batch_size: int | None) -> Any:
    """Return the model's own outputs for one batch, on the device, without gradients and its state left as found.

    Called exactly once per batch with inputs on the model's device. It should return before the device has finished, if
    the framework can: the core asks for the numbers one batch later. Nothing is done to the outputs here: the core
    picks the scores (the array itself, its ``.logits`` or its ``"logits"``), copies them and makes rows of them.

    Args:
        model: What ``load_model`` returned.
        inputs: The inputs of one batch on the model's device, ``N`` rows.
        batch_size: The rows of a full batch of this run. A backend that compiles per shape pads up to it and cuts the
            outputs back (``toolkit.outputs``), so that nothing compiles twice. None: the outputs must not be
            cut, because an ``output_transform`` reads all of them.
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
    stop: int | None,
    label_getter: Callable[[Any], Any] | None,
) -> Iterator[Batch]:
    """Return an iterator over the dataset in batches that know the dataset index of each row.

    Called once per run, after ``load_model``. Arguments are checked before the iterator is returned, not at its first
    step. The getters get a sample when ``dataset`` is a dataset, a batch when it is a loader.
    The inputs of a batch must stay as they are until the next but one is asked for: rows are collected one batch late.

    The iterator may have an attribute ``length``, the number of rows that the dataset announces
    (``toolkit.samples.Batches`` has one): the generator reports a difference. The core's own answer is
    ``toolkit.batches.iterate_batches``, which does all of this for arrays, sequences, iterables and loaders.

    Args:
        dataset: A dataset of samples, arrays, or a loader of batches.
        batch_size: Rows per batch, at least 1; a loader keeps its own.
        input_getter: Picks the model's input; by default the first element of a pair, else the whole. Without it, a
            tuple of more than two parts is refused, since nothing says which of them are inputs.
        index_getter: Picks the dataset index (an int, or an integer per row), where the order alone cannot tell.
        batched: True if ``dataset`` yields batches, False if it yields samples, None to tell by its type.
        model: What ``load_model`` returned, for backends that compare shapes with the model's input.
        start: A multiple of ``batch_size``: the rows before it are not needed. A dataset that cannot be entered there
            may yield them again.
        stop: The first row that is not needed any more, or None. Nobody yields rows from there on: the last batch ends
            before it, and workers never read past it.
        label_getter: Picks the label; by default the second element of a pair, or ``"label"`` or ``"labels"`` of a
            mapping. A backend that leaves the argument out is not asked for runs with one.

    Raises:
        AlignmentError: The index of a row cannot be known with certainty.
    """


@hookspec(firstresult=True)
def to_device(data: Any, device: str) -> Any:
    """Return the same nest (dict, list, tuple, namedtuple) with its arrays on ``device``.

    Called per batch: for the inputs and for the scores with the model's device, for the scores with ``HOST`` one batch
    later. What can be written to is copied, also where it is on the device already: a model that works in place must
    not change the caller's data, and one that uses the memory of its answers again must not change rows that wait.
    Leaves that are not arrays are passed on. The core's own answer is NumPy arrays for every device.

    Args:
        data: A nest of the framework's arrays, NumPy arrays or other objects. Never modified.
        device: A device name of the framework, or ``HOST`` for NumPy arrays (half precision upcast to float32, since
            NumPy has no bfloat16).

    Raises:
        ValueError: The device is not available; the message lists those that are.
    """


@hookspec(firstresult=True)
def posterior_params(model: Any) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Return the variational parameters of every Bayesian layer as the framework's tensors.

    Called by ``get_posterior_distributions``. The core's own answer is that there are none.

    Args:
        model: What ``load_model`` returned.

    Returns:
        ``{layer: {"mu": array, "rho": array, ...}}``, where the standard deviation is ``softplus(rho)``; see
        ``toolkit.posterior.pair_mu_rho`` for the further keys of layers with more than one Bayesian parameter.

    Raises:
        ValueError: The model has no such layer.
    """


@hookspec(firstresult=True)
def recognizes(source: Any) -> Any:
    """Return whether a live model, or the file of a path, belongs to this backend (optional).

    Called for ``backend="auto"``. It must answer from ``type(source).__mro__``, ``sys.modules`` and a path's suffix,
    where other things have it, too, also from the first bytes of the file, and import nothing.

    Args:
        source: A live model, or a ``pathlib.Path``.

    Returns:
        False, or True; or, for a live model, the class of ``type(source).__mro__`` by which it was recognized
        (``toolkit.recognition.class_from`` finds it). Where several backends recognize a model, the one of the most
        specific class gets it.
    """


@hookspec(firstresult=True)
def is_out_of_memory(error: BaseException) -> bool:  # type: ignore[empty-body]  # a specification has no body
    """Return whether ``error`` says that the device ran out of memory (optional).

    Called when ``forward`` or a copy fails; after True the batch is halved, and the run continues from the same row.
    """


@hookspec(firstresult=True)
def stochastic_forward(model: Any, inputs: Any, batch_size: int | None, seed: int) -> Any:
    """Return the model's outputs for one batch with dropout and other stochastic layers active (optional).

    Called in place of ``forward``, once per batch and pass, where the user asks for ``passes``. Everything that is not
    random stays in inference mode: batch normalisation uses its running statistics and does not change them. The
    outputs depend on the model, the inputs and the seed alone; the caller's random state and the model's are left as
    they were found.

    Args:
        model: See ``forward``.
        inputs: See ``forward``.
        batch_size: See ``forward``.
        seed: From 0 to 2^31 - 1, another one for each batch and pass.

    Raises:
        ValueError: The model has nothing stochastic that the framework can activate, such as one in a frozen graph.
    """


@hookspec(firstresult=True)
def keep_layers(model: Any, layers: Sequence[str]) -> Any:
    """Return a model whose outputs come with those of some of its layers (optional).

    Called once per run with ``keep=("features:<layer>", ...)``.

    Args:
        model: What ``load_model`` returned.
        layers: The names of the layers, as the framework has them.

    Returns:
        A model for ``forward`` and ``stochastic_forward``, which then return ``toolkit.outputs.Kept``.

    Raises:
        ValueError: There is no such layer; the message lists those that there are.
    """


@hookspec(firstresult=True)
def weight_digest(model: Any) -> str:  # type: ignore[empty-body]  # a specification has no body
    """Return a digest of everything that the model computes with; ``""`` where it cannot be seen (optional).

    Called before and after a run that streams to a file, which refuses to be continued with another model. The same
    model has the same digest in every process and on every device. ``toolkit.digest.digest_state`` makes one of any
    object, and ``toolkit.digest.digest`` of named arrays; a text that begins with ``"not seen"`` says that nothing that
    was learned was seen: the run then warns that only the probe guards the store.

    Args:
        model: What ``load_model`` returned.
    """


@hookspec(firstresult=True)
def data_digest(dataset: Any) -> Any:
    """Return a digest of a dataset of the framework's own classes, or None for any other dataset (optional).

    Called once per run that streams to a file. Arrays, tables, sequences and loaders are read by the core.

    Args:
        dataset: The dataset, or that of a loader.
    """


@hookspec(firstresult=True)
def available_devices() -> list[str]:  # type: ignore[empty-body]  # a specification has no body
    """Return the names of the devices that ``load_model`` accepts on this machine (optional).

    Called by ``check_backend``, in a process of its own, so it may import the framework and start its devices.
    """


@hookspec(firstresult=True)
def choices() -> Mapping[str, Collection[Any]]:  # type: ignore[empty-body]  # a specification has no body
    """Return what users can choose from, by name, without importing the framework (optional).

    Called by ``first-order generate --help-options`` and by shells that complete a line, where nobody waits for a
    framework.

    Returns:
        ``"device"``: the names that the framework has for devices, whether there is one here or not; and each option
        that ``load_model`` knows with its allowed values, the default first, empty where they depend on the model.
    """
