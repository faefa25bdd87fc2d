"""FirstOrderDataGenerator: from a model and a dataset to distributions."""

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from probly.data_generator.discovery.choosing import choose_backend
from probly.data_generator.discovery.listing import explain_missing, find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.discovery.requirements import required_modules
from probly.data_generator.distributions import Distributions, ordered_names
from probly.data_generator.errors import BrokenBackendError
from probly.data_generator.formats import choosing
from probly.data_generator.formats.shared import key_array
from probly.data_generator.hookspecs import HOST
from probly.data_generator.run.class_names import Columns, dataset_class_names, known_columns
from probly.data_generator.run.device import Device
from probly.data_generator.run.identity import fails_itself, not_seen, remember_model, run_identity, warn_not_seen
from probly.data_generator.run.loop import enter_at, run_batches
from probly.data_generator.run.probe import Probe
from probly.data_generator.run.progress import Callback, check_progress, tracked
from probly.data_generator.run.provenance import RunRecord, run_metadata
from probly.data_generator.run.scores import ScoreReader, check_output_mode, is_half
from probly.data_generator.run.sinks import MemorySink, Sink
from probly.data_generator.temperature import Temperature
from probly.data_generator.toolkit.casting import check_dtype
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.parts import split_sample
from probly.data_generator.toolkit.samples import Batch, check_batch_size
from probly.data_generator.toolkit.trust import TRUST, needless


class FirstOrderDataGenerator:
    """Generate the class distribution p(y|x) that a pretrained classifier assigns to each sample of a dataset.

    Args:
        model: A live model of any installed backend's framework, a path that the backend can open, or
            ``"module:attribute"``. A live model is left as it was found.
        device: A device name of the framework. None: a live model stays where its weights are, anything else goes to
            the best device there is.
        batch_size: Rows per forward pass; a loader keeps its own.
        output_mode: ``"logits"``, ``"probs"``, or ``"auto"`` to decide once per run from the first batch.
        output_transform: Replaces ``output_mode``: gets the framework's raw outputs of a batch and returns
            probabilities of shape ``(rows, classes)``.
        input_getter: Picks the model's input from a sample (of a dataset) or a batch (of a loader); by default the
            first element of a pair, else the whole.
        model_name: Recorded in the metadata.
        backend: The name of an installed backend; ``"auto"`` asks each which one recognizes the model.
        batched: Whether the dataset yields batches, where its type does not tell.
        index_getter: Picks the dataset index from a sample or a batch, where order and sampler do not tell.
        label_getter: Picks the label from a sample or a batch; by default the second element of a pair, or ``"label"``
            or ``"labels"`` of a mapping.
        input_dtype: The name of a dtype that inputs are cast to, such as ``"float32"``; recorded with the options.
        class_names: One name per column, recorded in the metadata.
        options: What only the backend knows, by name, such as ``{"autocast": "bfloat16"}``; see its README. Files that
            run code when they are opened want ``{"trust": True}``.
        wrappers: Plugins around every hook: names of installed ones (group ``probly.data_generator.wrappers``),
            modules or objects with hooks, or classes, which are called with this generator's hooks; see
            docs/writing_a_backend.md.

    Raises:
        ValueError: An argument is out of its domain; the message lists what is possible.
        BackendError: The backend is unknown, not installed, broken or ambiguous.

    Examples:
        >>> import numpy as np
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
        device: str | None = None,
        batch_size: int = 64,
        output_mode: str = "auto",
        output_transform: Callable[[Any], Any] | None = None,
        input_getter: Callable[[Any], Any] | None = None,
        model_name: str | None = None,
        *,
        backend: str = "auto",
        batched: bool | None = None,
        index_getter: Callable[[Any], Any] | None = None,
        label_getter: Callable[[Any], Any] | None = None,
        input_dtype: str | None = None,
        class_names: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
        wrappers: Sequence[Any] = (),
    ) -> None:
        self.batch_size = check_batch_size(batch_size)
        self.output_mode = check_output_mode(output_mode)
        self.output_transform = output_transform
        self.input_getter = input_getter
        self.index_getter = index_getter
        self.label_getter = label_getter
        self.input_dtype = check_dtype(input_dtype)
        self.batched = batched
        self.model = model
        self.model_name = model_name
        self.class_names = ordered_names(class_names)
        self.device = device
        self.options = dict(options or {})
        for name, option in zip(
            ("output_transform", "input_getter", "index_getter", "label_getter"),
            (output_transform, input_getter, index_getter, label_getter),
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
        self._check_label_getter()
        self._loaded = self._load_model()
        self._fresh = True

    def _check_options(self) -> None:
        """Refuse options where no implementation of ``load_model`` would see them."""
        hooks = self.backend.hook.load_model.get_hookimpls()
        seen = any("options" in hook.argnames for hook in hooks if not hook.wrapper)
        if TRUST in self.options and not seen:
            raise needless(self.backend.info.name)
        if self.options and not seen:
            message = f"backend {self.backend.info.name!r} takes no options, got {', '.join(sorted(self.options))}"
            raise ValueError(message)

    def _check_label_getter(self) -> None:
        """Refuse a label_getter that the backend's own hook would not see."""
        hooks = self.backend.hook.iterate_batches.get_hookimpls()
        seen = any("label_getter" in hook.argnames for hook in hooks if not hook.wrapper)
        if self.label_getter is not None and not seen:
            message = (
                f"backend {self.backend.info.name!r} takes no label_getter: its hook iterate_batches leaves the "
                "argument out; let the samples be pairs (input, label)"
            )
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
        """Return the loaded model, loaded afresh where a live one may have other weights by now."""
        first, self._fresh = self._fresh, False
        if isinstance(self.model, str | PathLike | tuple):  # a tuple is a builder and its weight file
            return self._loaded
        if first and getattr(self._loaded, "is_current", _nothing_was_copied)():
            return self._loaded
        loaded = self._loaded = self._load_model()
        return loaded  # another thread's run has its own

    def _answer(self, hook: str, **arguments: Any) -> Any:
        """Call a hook and refuse None, which is what pluggy returns for a hook that forgot its answer."""
        answer = getattr(self.backend.hook, hook)(**arguments)
        if answer is None:
            message = f"backend {self.backend.info.name!r}: hook {hook} returned None; see its specification"
            raise BrokenBackendError(message)
        return answer

    def generate_distributions(
        self,
        dataset_or_loader: Any,
        *,
        progress: bool | Callback = True,
        out: str | PathLike[str] | None = None,
        encoding: str = "float32",
        shard_megabytes: float = 64,
        shard_seconds: float = 30,
        keys: Sequence[str] | Sequence[int] | None = None,
        representation: str | None = None,
        probe: bool = True,
    ) -> Distributions:
        """Run the model over a dataset or a loader and return one checked distribution per sample.

        Args:
            dataset_or_loader: Anything that the backend can iterate over; rows land under their dataset index, also
                when a loader shuffles.
            progress: Show on standard error how far the run is: a bar on a terminal or in a notebook, a line every 30
                seconds elsewhere; False for silence. A function gets a ``run.progress.Progress`` after every batch.
            out: The path of a store, ending in ``.fod``, or of another format that can be streamed to. Rows are written
                there as they come, with bounded memory, and the same call continues where a killed one ended. A
                finished store is returned at once.
            encoding: How a store keeps a row: ``"float32"``, ``"float16"`` or ``"top-<k>"``.
            shard_megabytes: The rows that a store publishes at once.
            shard_seconds: The longest time until it publishes what there is; a crash costs no more work than that.
            keys: What a store keeps beside its rows, one text or integer per sample in dataset order, such as file
                names; ``Store.sample_keys`` returns them.
            representation: The name of ``encoding`` in version 0.1.
            probe: Compute one batch again, the first that a store has rows of, before it is continued or returned, and
                compare: it notices another model or another preprocessing where nothing else can. False to do without.

        Returns:
            The rows with labels, where all samples carry one that stacks with the others (boxes and other nests do
            not), and metadata. Empty for an empty dataset. With ``out``, a ``store.Store``: the same, read from the
            disk when asked for.

        Raises:
            InvalidOutputError: The model returned something that is not one distribution per input.
            AlignmentError: The index of a row cannot be known, or a store's rows do not come in dataset order.
            StoreError: The store was begun by another run, or its rows are no longer what the model computes; another
                writer is at work on it, or the disk failed.
            NotInstalledError: ``out`` names a format whose distribution is not installed.
        """
        check_progress(progress)
        if out is None and keys is not None:
            message = "keys are kept by a store only; set out"
            raise ValueError(message)
        model = self._current_model()
        record = self._record(model)
        if out is None:
            sink = MemorySink(keyed=self.index_getter is not None)
            distributions, length = self._run(dataset_or_loader, model, record, sink, progress)
        else:
            sample_keys = None if keys is None else key_array(keys)
            options = {
                "encoding": representation or encoding,
                "shard_megabytes": shard_megabytes,
                "shard_seconds": shard_seconds,
                "keys": sample_keys,
            }
            open_sink = choosing.streaming(Path(out))
            identity = run_identity(record, self.backend, self.model, model, dataset_or_loader, sample_keys)
            unseen = not_seen(identity)
            record = replace(record, not_seen=unseen)
            late = [part for part in unseen if fails_itself(part, identity)]
            warn_not_seen(out, [part for part in unseen if part not in late], probe=probe)
            try:
                with open_sink(Path(out), identity, options) as stream:
                    if isinstance(stream, Distributions):  # complete
                        if probe:
                            decided = stream.meta.get("output_mode")
                            self._probe(dataset_or_loader, model, stream, decided, out).check_alone()
                        return stream
                    where = out if probe else None
                    distributions, length = self._run(dataset_or_loader, model, record, stream, progress, where)
                warn_not_seen(out, late, probe=probe)
            finally:
                remember_model(self.backend, self.model, model, identity["model"]["digest"])
        if length is not None and len(distributions) != length:
            message = (
                f"generated {len(distributions)} distributions, but dataset length is {length}; look for drop_last, "
                "drop_remainder, repeat, a sampler that leaves samples out, or a wrong __len__"
            )
            warnings.warn(message, stacklevel=2)
        return distributions

    def _probe(self, dataset: Any, model: Any, stream: Sink | Distributions, decided: Any, where: Any) -> Probe:
        reader = self._reader(model, decided)  # one of its own: a reader remembers the first batch of its run
        device = Device(self.backend, model, self._transform(reader), input_dtype=self.input_dtype)
        begin_at = functools.partial(self._batches, dataset, model)
        return Probe(where, stream, device, reader, self.batch_size, dataset, begin_at)

    def _run(
        self, dataset: Any, model: Any, record: RunRecord, sink: Sink, progress: bool | Callback, where: Any = None
    ) -> tuple[Distributions, int | None]:
        """Run the model over what a sink lacks; return all rows, and the number that the dataset announces.

        ``where`` is the path of a store that is to be probed first.
        """
        start = sink.first_needed // self.batch_size * self.batch_size
        batches = self._batches(dataset, model, start)
        length: int | None = getattr(batches, "length", None)
        reader = self._reader(model, sink.decided)
        begun = False

        def begin(classes: int, mode: str) -> None:
            nonlocal begun
            columns = self._columns(model, dataset, classes)  # a wrong number is known after the first batch
            known = {} if columns.classes is None else {"classes": columns.classes}
            sink.begin(classes, {**run_metadata(record, classes, mode, columns.names), **known}, mode, length)
            begun = True

        with tracked(length, progress, lambda: sink.safe_rows) as tracker:
            try:
                checked = batches
                if where is not None:
                    checked = self._probe(dataset, model, sink, sink.decided, where).check(batches)
                device = Device(self.backend, model, self._transform(reader), input_dtype=self.input_dtype)
                entered = enter_at(start, self.batch_size, checked, device, tracker)
                run_batches(entered, device, reader, sink, begin, tracker)
            finally:
                if hasattr(batches, "close"):  # stops the workers of a loader at once, also on Ctrl-C
                    batches.close()
            if not begun:
                begin(0, reader.mode)
            return sink.finish(), length

    def _batches(self, dataset: Any, model: Any, start: int) -> Iterator[Batch]:
        batches: Iterator[Batch] = self._answer(
            "iterate_batches",
            dataset=dataset,
            batch_size=self.batch_size,
            input_getter=self.input_getter,
            index_getter=self.index_getter,
            batched=self.batched,
            model=model,
            start=start,
            stop=None,
            label_getter=self.label_getter,
        )
        return batches

    def _transform(self, reader: ScoreReader) -> Callable[[Any], Any] | None:
        return None if reader.temperature is not None else self.output_transform

    def _reader(self, model: Any, decided: Any = None) -> ScoreReader:
        """Return what makes rows of scores; ``decided`` is what an earlier run on a store took them for."""
        reader = self._new_reader(model)
        if decided in ("logits", "probs") and reader.mode == "auto":
            reader.mode, reader.decided = decided, True
        return reader

    def _new_reader(self, model: Any) -> ScoreReader:
        transform = self.output_transform
        if transform is not None and not isinstance(transform, Temperature):
            return ScoreReader("probs", transformed=True)
        names = getattr(model, "class_names", None)
        known, one_class = getattr(model, "output_mode", None), names is not None and len(names) == 1
        if isinstance(transform, Temperature):
            return ScoreReader(transform.output_mode, transform.temperature, known=known, one_class=one_class)
        return ScoreReader(self.output_mode, known=known, one_class=one_class)

    def _record(self, model: Any) -> RunRecord:
        info = self.backend.info
        return RunRecord(
            self.framework,
            info.name,
            info.distribution,
            str(model.device),
            self.model_name,
            # Who vouches for a file changes no row of it.
            self._recorded_options(model),
            self.output_mode,
            self.output_transform,
            self.input_getter,
            self._class_names(model),
            label_getter=self.label_getter,
        )

    def _recorded_options(self, model: Any) -> dict[str, Any]:
        chosen = {name: value for name, value in (getattr(model, "options", None) or {}).items() if name != TRUST}
        return chosen if self.input_dtype is None else {**chosen, "input_dtype": self.input_dtype}

    def _class_names(self, model: Any) -> Sequence[str] | None:
        return self._of_columns(model, "class_names") if self.class_names is None else self.class_names

    def _of_columns(self, model: Any, what: str) -> Any:
        # An output_transform may reorder or merge the model's columns; a temperature does not.
        kept = self.output_transform is None or isinstance(self.output_transform, Temperature)
        return getattr(model, what, None) if kept else None

    def _columns(self, model: Any, dataset: Any, classes: int) -> Columns:
        """Return what the columns are called, by all who say so."""
        return known_columns(
            classes,
            user=self.class_names,
            model=self._of_columns(model, "class_names"),
            classes=self._of_columns(model, "classes"),
            dataset=dataset_class_names(dataset) if self.label_getter is None else None,
        )

    def save_distributions(
        self,
        path: str | PathLike[str],
        distributions: Mapping[int, Any],
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Write distributions to a file, whole or not at all; see ``formats.choosing.save``."""
        choosing.save(path, distributions, meta)

    def load_distributions(self, path: str | PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
        """Read distributions and their metadata from a file of any backend."""
        return choosing.load(path)

    @property
    def loaded_model(self) -> Any:
        """What ``load_model`` returned, with its ``device`` and, where it has them, ``class_names`` and ``options``."""
        return self._loaded

    @property
    def current_device(self) -> str:
        """The device that the model runs on: the resolved name of ``device``."""
        return str(self._loaded.device)

    def to_device(self, data: Any) -> Any:
        """Return the same nest of arrays on this generator's device."""
        return self.backend.hook.to_device(data=data, device=self._loaded.device)

    def to_probs(self, outputs: Any) -> Any:
        """Return the probabilities of a batch of model outputs, as the framework's array on this generator's device."""
        if self.output_transform and not isinstance(self.output_transform, Temperature):
            return self.output_transform(outputs)
        found = pick_scores(outputs)
        hosted = self.backend.hook.to_device(data=found, device=HOST)
        return self.to_device(self._reader(self._loaded).rows_of(hosted, "to_probs", half=is_half(found.dtype)))

    def prepares_batch_inp(self, sample: Any) -> Any:
        """Return the model's input of a sample or a batch."""
        return split_sample(sample, self.input_getter, self.pairs, self.label_getter)[0]

    def get_posterior_distributions(self) -> Mapping[str, Mapping[str, Any]]:
        """Return ``{layer: {"mu": ..., "rho": ...}}`` of the model's Bayesian layers as the framework's tensors."""
        posterior: Mapping[str, Mapping[str, Any]] = self._answer("posterior_params", model=self._current_model())
        return posterior


def _nothing_was_copied() -> bool:
    return True
