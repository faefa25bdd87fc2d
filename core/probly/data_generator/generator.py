"""FirstOrderDataGenerator: from a model and a dataset to distributions."""

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from probly.data_generator import store
from probly.data_generator.discovery.choosing import choose_backend
from probly.data_generator.discovery.listing import explain_missing, find_backend
from probly.data_generator.discovery.loading import Backend, load_backend
from probly.data_generator.discovery.requirements import required_modules
from probly.data_generator.toolkit.batches import ArrayBatches
from probly.data_generator.distributions import Distributions, class_name_list, ordered_names
from probly.data_generator.errors import BrokenBackendError
from probly.data_generator.memory import keep_freed_memory
from probly.data_generator.rows import check_output_mode, unwrap
from probly.data_generator.run.progress import Callback, Tracker, check_progress, tracked
from probly.data_generator.run.provenance import run_identity, run_metadata
from probly.data_generator.run.loop import Run
from probly.data_generator.toolkit.samples import Batch, check_batch_size, split_sample
from probly.data_generator.run.sinks import MemorySink


class FirstOrderDataGenerator:
    """Generate the class distribution p(y|x) that a pretrained classifier assigns to each sample of a dataset.

    Args:
        model: A live model of any installed backend's framework, a path that the backend can open, or
            ``"module:attribute"``. A live model is left as it was found.
        device: A device name of the framework, or None for the best one available.
        batch_size: Rows per forward pass; a loader keeps its own.
        output_mode: ``"logits"``, ``"probs"``, or ``"auto"`` to decide once per run from the first batch.
        output_transform: Replaces ``output_mode``: gets the framework's raw outputs of a batch and returns
            probabilities of shape ``(rows, classes)``.
        input_getter: Picks the model's input from a sample (of a dataset) or a batch (of a loader); by default the
            first element of a tuple, else the whole.
        model_name: Recorded in the metadata.
        backend: The name of an installed backend; ``"auto"`` asks each which one recognizes the model.
        batched: Whether the dataset yields batches, where its type does not tell.
        index_getter: Picks the dataset index from a sample or a batch, where order and sampler do not tell.
        class_names: One name per column, recorded in the metadata.
        options: What only the backend knows, by name, such as ``{"autocast": "bfloat16"}``; see its README.
        wrappers: Plugins around every hook: names of installed ones (group ``probly.data_generator.wrappers``),
            modules or objects with hooks, or classes, which are called with this generator's hooks; see
            docs/writing_a_backend.md.

    Raises:
        ValueError: An argument is out of its domain; the message lists what is possible.
        BackendError: The backend is unknown, not installed, broken or ambiguous.

    Examples:
        >>> def model(inputs):
        ...     return inputs @ np.array([[1.0, -1.0], [0.0, 2.0]])
        >>> generator = FirstOrderDataGenerator(model, output_mode="logits", backend="numpy")
        >>> distributions = generator.generate_distributions(np.array([[0.0, 0.0], [1.0, 1.0]]), progress=False)
        >>> distributions[0]
        array([0.5, 0.5], dtype=float32)
    """

    backend_name: ClassVar[str] = "auto"
    """The backend of classes that fix it; ``backend=`` wins."""

    pairs: ClassVar[tuple[type, ...]] = (tuple,)
    """The types of a sample that hold an input and a label, for ``prepares_batch_inp``."""

    def __init__(
        self,
        model: Any,
        device: str | None = "cpu",
        batch_size: int = 64,
        output_mode: str = "auto",
        output_transform: Callable[[Any], Any] | None = None,
        input_getter: Callable[[Any], Any] | None = None,
        model_name: str | None = None,
        *,
        backend: str = "auto",
        batched: bool | None = None,
        index_getter: Callable[[Any], Any] | None = None,
        class_names: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
        wrappers: Sequence[Any] = (),
    ) -> None:
        self.batch_size = check_batch_size(batch_size)
        self.output_mode = check_output_mode(output_mode)
        self.output_transform = output_transform
        self.input_getter = input_getter
        self.index_getter = index_getter
        self.batched = batched
        self.model = model
        self.model_name = model_name
        self.class_names = ordered_names(class_names)
        self.device = device
        self.options = dict(options or {})
        for name, option in zip(
            ("output_transform", "input_getter", "index_getter"),
            (output_transform, input_getter, index_getter),
            strict=True,
        ):
            if option is not None and not callable(option):
                message = f"{name}: expected a function, got {option!r}"
                raise TypeError(message)
        self.framework = self.backend_name if backend == "auto" else backend
        info = choose_backend(model) if self.framework == "auto" else find_backend(self.framework)
        self.framework = info.name if self.framework == "auto" else self.framework
        self.backend = load_backend(info, wrappers)
        self._check_options()
        self._loaded = self._load_model()

    def _check_options(self) -> None:
        """Refuse options where no implementation of ``load_model`` would see them."""
        hooks = self.backend.hook.load_model.get_hookimpls()
        seen = any("options" in hook.argnames for hook in hooks if not hook.wrapper)
        if self.options and not seen:
            message = f"backend {self.backend.info.name!r} takes no options, got {', '.join(sorted(self.options))}"
            raise ValueError(message)

    def _load_model(self) -> Any:
        try:
            return self._answer("load_model", source=self.model, device=self.device, options=self.options)
        except ModuleNotFoundError as error:
            # Only what the backend requires is its own trouble; the user's model may miss a module, too.
            if (error.name or "").partition(".")[0] in required_modules(self.backend.info.distribution):
                raise explain_missing(error, self.backend.info.name) from error
            raise

    def _current_model(self) -> Any:
        """Return the loaded model, loaded afresh if it is a live object whose weights may have changed."""
        if not isinstance(self.model, str | PathLike | tuple):  # a tuple is a builder and its weight file
            loaded = self._loaded = self._load_model()
            return loaded  # another thread's run has its own
        return self._loaded

    def generate_distributions(
        self,
        dataset_or_loader: Any,
        *,
        progress: bool | Callback = True,
        out: str | PathLike[str] | None = None,
        representation: str = "float32",
        shard_megabytes: float = 64,
        shard_seconds: float = 30,
        keys: Sequence[str] | Sequence[int] | None = None,
    ) -> Distributions:
        """Run the model over a dataset or a loader and return one checked distribution per sample.

        Args:
            dataset_or_loader: Anything that the backend can iterate over; rows land under their dataset index, also
                when a loader shuffles.
            progress: Show on standard error how far the run is: a bar on a terminal or in a notebook, a line every 30
                seconds elsewhere; False for silence. A function gets a ``progress.Progress`` after every batch.
            out: The path of a store, ending in ``.fod``. Rows are written there as they come, with bounded memory, and
                the same call goes on where a killed one ended. A finished store is returned at once.
            representation: How a store keeps a row: ``"float32"``, ``"float16"`` or ``"top-<k>"``.
            shard_megabytes: The rows that a store publishes at once.
            shard_seconds: The longest time until it publishes what there is; a crash costs no more work than that.
            keys: What a store keeps beside its rows, one text or integer per sample in dataset order, such as file
                names; ``Store.sample_keys`` returns them.

        Returns:
            The rows with labels, where all samples carry one that stacks with the others (boxes and other nests do
            not), and metadata. Empty for an empty dataset. With ``out``, a ``store.Store``: the same, read from the
            disk when asked for.

        Raises:
            InvalidOutputError: The model returned something that is not one distribution per input.
            AlignmentError: The index of a row cannot be known, or a store's rows do not come in dataset order.
            StoreError: The store was begun by another run, another writer is at work on it, or the disk failed.
        """
        check_progress(progress)
        model = self._current_model()
        run = Run(self.backend, model, self.output_mode, self.output_transform)
        if keys is not None and out is None:
            message = "keys are kept by a store only; set out"
            raise ValueError(message)
        if out is not None:
            limits = (representation, shard_megabytes, shard_seconds)
            distributions, length = self._stream(dataset_or_loader, run, Path(out), limits, progress, keys)
        else:
            batches = self._batches(dataset_or_loader, model)
            length = getattr(batches, "length", None)
            sink = MemorySink(length, keyed=self.index_getter is not None)
            with tracked(length, progress, lambda: 0) as tracker:
                self._fill(sink, run, batches, tracker)
            distributions = sink.finish(self._metadata(run, sink.num_classes))
        if length is not None and len(distributions) != length:
            message = (
                f"generated {len(distributions)} distributions, but dataset length is {length}; look for drop_last, "
                "a sampler that leaves samples out, or a wrong __len__"
            )
            warnings.warn(message, stacklevel=2)
        return distributions

    def _fill(self, sink: Any, run: Run, batches: Iterator[Batch], tracker: Tracker) -> None:
        """Run the model over all batches that the sink needs."""
        keep_freed_memory()
        run.join = not tracker.every_batch and sink.may_join(batches)
        # A subclass may make something else of its batches than the rows that are cut.
        run.arrays = batches if run.join and type(batches) is ArrayBatches else None
        try:
            names: Sequence[str] | None = self._class_names(run.model)
            for batch, rows in run.rows(sink.pending(batches, tracker.skip), sink.room):
                names = class_name_list(names, rows.shape[1])  # a wrong number is known after the first batch
                sink.add(batch.indices, rows, batch.labels)
                tracker.update(len(rows))
        finally:
            if hasattr(batches, "close"):  # stops the workers of a loader at once, also on Ctrl-C
                batches.close()

    def _stream(
        self,
        dataset: Any,
        run: Run,
        path: Path,
        limits: tuple[str, float, float],
        progress: bool | Callback,
        keys: Sequence[str] | Sequence[int] | None,
    ) -> tuple[Distributions, int | None]:
        """Run the model over what a store lacks; return it, and the number of rows that the dataset announces."""
        from probly.data_generator.store import sink as streaming  # noqa: PLC0415  # only runs that stream need them
        from probly_data_generator_store.shards import key_array  # noqa: PLC0415

        sample_keys = None if keys is None else key_array(keys)
        identity = run_identity(self, dataset, run.model, self._class_names(run.model), sample_keys)
        describe = functools.partial(self._metadata, run)
        with streaming.opened(path, identity, limits, run, describe, self.batch_size, sample_keys) as sink:
            if isinstance(sink, Distributions):
                return sink, None
            batches = self._batches(dataset, run.model, sink.start)
            sink.length = getattr(batches, "length", None)
            with tracked(sink.length, progress, lambda: sink.safe_rows) as tracker:
                self._fill(sink, run, batches, tracker)
                finished = sink.finish()
            return finished, sink.length

    def _class_names(self, model: Any) -> Sequence[str] | None:
        if self.class_names is not None:
            return self.class_names
        # An output_transform may reorder or merge the model's columns, unless it says that it does not.
        kept = self.output_transform is None or getattr(self.output_transform, "keeps_columns", False)
        return getattr(model, "class_names", None) if kept else None

    def _metadata(self, run: Run, num_classes: int) -> dict[str, Any]:
        names = class_name_list(self._class_names(run.model), num_classes)
        return run_metadata(self, run, num_classes, names)

    def _batches(self, dataset: Any, model: Any, start: int = 0) -> Iterator[Batch]:
        batches: Iterator[Batch] = self._answer(
            "iterate_batches",
            dataset=dataset,
            batch_size=self.batch_size,
            input_getter=self.input_getter,
            index_getter=self.index_getter,
            batched=self.batched,
            model=model,
            start=start,
        )
        return batches

    def _answer(self, hook: str, **arguments: Any) -> Any:
        """Call a hook and refuse None, which is what pluggy returns for a hook that forgot its answer."""
        answer = self.backend.direct[hook](**arguments)
        if answer is None:
            message = f"backend {self.backend.info.name!r}: hook {hook} returned None; see its specification"
            raise BrokenBackendError(message)
        return answer

    def save_distributions(
        self,
        path: str | PathLike[str],
        distributions: Mapping[int, Any],
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Write distributions to a file, whole or not at all; see ``probly.data_generator.store.save``."""
        store.save(path, distributions, meta)

    def load_distributions(self, path: str | PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
        """Read distributions and their metadata from a file of any backend."""
        return store.load(path)

    @property
    def current_device(self) -> str:
        """The device that the model runs on: the resolved name of ``device``."""
        return str(self._loaded.device)

    def to_device(self, data: Any) -> Any:
        """Return the same nest of arrays on this generator's device."""
        return self.backend.hook.to_device(data=data, device=self._loaded.device)

    def to_probs(self, outputs: Any) -> Any:
        """Return the probabilities of a batch of model outputs, as the framework's array."""
        if self.output_transform:
            return self.output_transform(outputs)
        scores = unwrap(outputs)
        return Run(*self._identity, self.output_mode).probabilities(Batch(np.arange(len(scores)), scores))

    @functools.cached_property
    def _identity(self) -> tuple[Backend, Any]:
        """A model that returns its inputs, and its backend: the agnostic one where functions are no models."""
        try:
            return self.backend, self.backend.hook.load_model(source=_itself, device=self.device, options={})
        except TypeError:
            agnostic = load_backend(find_backend("numpy"))
            return agnostic, agnostic.hook.load_model(source=_itself, device=None, options={})

    def prepares_batch_inp(self, sample: Any) -> Any:
        """Return the model's input of a sample or a batch."""
        return split_sample(sample, self.input_getter, self.pairs)[0]

    def get_posterior_distributions(self) -> Mapping[str, Mapping[str, Any]]:
        """Return ``{layer: {"mu": ..., "rho": ...}}`` of the model's Bayesian layers as the framework's tensors."""
        posterior: Mapping[str, Mapping[str, Any]] = self._answer("posterior_params", model=self._current_model())
        return posterior


def _itself(scores: Any) -> Any:
    return scores
