"""FirstOrderDataGenerator: from a model and a dataset to distributions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from functools import partial
from os import PathLike
from typing import Any, ClassVar

from probly.data_generator.discovery.choosing import choose_backend
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import Backend, load_backend
from probly.data_generator.distributions import Distributions
from probly.data_generator.engines.contract import Job
from probly.data_generator.engines.sharing import Sharing, fill
from probly.data_generator.formats import choosing
from probly.data_generator.hookspecs import HOST
from probly.data_generator.label_values import key_array, ordered_names
from probly.data_generator.run.opening import check_heard, open_model
from probly.data_generator.run.passes import Passes
from probly.data_generator.run.progress import Callback, check_progress
from probly.data_generator.run.provenance import Loaded, Request
from probly.data_generator.run.run import Run, check_keep, score_reader
from probly.data_generator.run.sample_keys import dataset_keys
from probly.data_generator.run.scores import check_output_mode, is_half
from probly.data_generator.run.temperature import Temperature
from probly.data_generator.run.worker import Worker, admitted
from probly.data_generator.toolkit.casting import check_dtype
from probly.data_generator.toolkit.importing import is_opened
from probly.data_generator.toolkit.loaders import is_loader
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.parts import split_sample
from probly.data_generator.toolkit.places import Url, place_of
from probly.data_generator.toolkit.samples import check_batch_size

OF_THE_DATASET = ("batch_size", "batched", "input_getter", "index_getter", "label_getter", "class_names", "model_name")
"""What a generator asks about the dataset, also where the models of its list are generators of their own."""


class FirstOrderDataGenerator:
    """Generate the class distribution p(y|x) that a pretrained classifier assigns to each sample of a dataset.

    Args:
        model: A live model of any installed backend's framework, a path that the backend can open, or
            ``"module:attribute"``. A live model is left as it was found. A list of these is an ensemble, whose members
            are kept beside their mean; a FirstOrderDataGenerator in it brings its own backend, mode and options.
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
        passes: How often the model is asked about each batch, with dropout and other stochastic layers active and
            everything else in inference mode; each pass is a member.
        seed: What everything random of a run follows from: the seed of a pass over a batch depends on it, on the pass
            and on the batch's first row alone. Nobody else's random state is touched.
        augment: ``augment(inputs, seed)`` returns another view of the inputs of a batch; with it, the members are
            ``passes`` views of each sample, seen by the model without anything random in it.
        members: Whether the model's outputs have an axis of members, ``(rows, members, classes)``.
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

    def __init__(  # noqa: PLR0913  # the whole of what can be asked, each of it by name
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
        passes: int | None = None,
        seed: int = 0,
        augment: Callable[[Any, int], Any] | None = None,
        members: bool = False,
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
        if augment is not None and passes is None:
            message = "augment makes a view of each sample per pass; set passes to the number of views"
            raise ValueError(message)
        asked = Passes(1 if passes is None else passes, seed, augment)  # which checks the seed in any case
        self.passes = None if passes is None else asked
        self.members = members
        self.wrappers = list(wrappers)
        self.framework = self.backend_name if backend == "auto" else backend
        self.backend: Backend
        self._loaded: Any
        self._fresh = True  # until the first run
        self._ensemble = self._of_each(wrappers) if isinstance(model, list) else ()
        if self._ensemble:
            self.framework = self._ensemble[0].framework
            self.backend, self._loaded = self._ensemble[0].backend, self._ensemble[0].loaded_model
            self._check_heard()
        else:
            info = choose_backend(model) if self.framework == "auto" else find_backend(self.framework)
            self.framework = info.name if self.framework == "auto" else self.framework
            self.backend = load_backend(info, wrappers)
            self._check_heard()
            self._loaded = self._load_model()

    def _of_each(self, wrappers: Sequence[Any]) -> "tuple[FirstOrderDataGenerator, ...]":
        """Return a generator for each model of a list, with the arguments of this one."""
        if not self.model:
            message = "model: expected one or more models, got an empty list"
            raise ValueError(message)
        names = (*(part.name for part in fields(Request)), "device", "options")
        arguments = {name: getattr(self, name) for name in names if name not in ("framework", "passes")}
        passes = self.passes
        if passes is not None:
            arguments |= {"passes": passes.count, "seed": passes.seed, "augment": passes.augment}
        made = []
        for model in self.model:
            given = isinstance(model, FirstOrderDataGenerator)
            if isinstance(model.model if given else model, list):
                message = "model: expected a list of models, got a list in it; put all models into one list"
                raise TypeError(message)
            made.append(
                model
                if given
                else FirstOrderDataGenerator(model, backend=self.framework, wrappers=wrappers, **arguments)
            )
        unused = ("device", "output_mode", "output_transform", "input_dtype", "options", "passes", "members")
        unheard = [name for name in unused if getattr(self, name) not in (None, "auto", {}, False)]
        if unheard and all(isinstance(model, FirstOrderDataGenerator) for model in self.model):
            message = f"{', '.join(unheard)}: the generators in the list have their own; set it there, and not here"
            raise ValueError(message)
        return tuple(made)

    def _check_heard(self) -> None:
        asked = ("input_getter", "index_getter", "label_getter", "batched")
        check_heard(self.backend, self.options, {name: getattr(self, name) for name in asked})

    def _load_model(self) -> Any:
        return open_model(self.backend, self.model, self.device, self.options)

    def _current_model(self) -> Any:
        """Return the loaded model, loaded afresh where a live one may have other weights by now."""
        first, self._fresh = self._fresh, False
        if is_opened(self.model):
            return self._loaded
        if first and getattr(self._loaded, "is_current", _nothing_was_copied)():
            return self._loaded
        loaded = self._loaded = self._load_model()
        return loaded  # another thread's run has its own

    def generate_distributions(  # noqa: PLR0913  # likewise
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
        keep: Sequence[str] = (),
        workers: int | None = None,
        devices: Sequence[str] | None = None,
        share: tuple[int, int] | None = None,
        engine: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
        shard_rows: int | None = None,
        tolerance: float = 0.0,
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
            keys: What each sample is called, one text or integer per sample in dataset order, such as file names;
                they are kept beside the rows, as ``Distributions.sample_keys``. By default those that the dataset has:
                its ``sample_keys``, or the files of an ``ImageFolder``.
            representation: The name of ``encoding`` in version 0.1.
            probe: Compute one batch again, the first that a store has rows of, before it is continued or returned, and
                compare: it notices another model or another preprocessing where nothing else can. False to do without.
            keep: What is kept beside the rows, in ``Distributions.columns``: ``"logits"``, those before the softmax,
                and ``"features:<layer>"``, what a hidden layer of that name returned.
            workers: Let so many processes fill the store, with a model each; see docs/cluster.md for this and all
                below.
            devices: Those of the workers, in turn, such as ``["cuda:0", "cuda:1"]``.
            share: ``(i, n)``: this process is the i-th, from 0, of n that share the store and know nothing of each
                other. It computes its share, then what is still missing of the others', and returns the whole store.
            engine: What starts the workers: ``"processes"`` on this machine, ``"ray"`` on a cluster, or another that
                is installed.
            engine_options: What only the engine knows, by name.
            shard_rows: The rows of a shard of a shared store, a multiple of the batch size; by default what suits the
                length of the run, at most ``shard_megabytes``.
            tolerance: How far the rows of a worker's first batch may be from those that a shared store was begun with.
                0 wants the same bits; more admits other processors, and the store records it.

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
            WorkerError: Workers die.
        """
        check_progress(progress)
        kept = check_keep(keep)
        shared = Sharing.of(workers, devices, share, engine, engine_options, shard_rows, tolerance)
        named = self._keys(dataset_or_loader, out) if keys is None else key_array(keys)
        if out is None:
            if shared is not None:
                message = "rows of several workers are kept by a store only; set out"
                raise ValueError(message)
            return self._run(dataset_or_loader, progress, kept).into_memory(named)
        options = {
            "encoding": representation or encoding,
            "shard_megabytes": shard_megabytes,
            "shard_seconds": shard_seconds,
            "shard_rows": shard_rows,
            "keys": named,
        }
        if shared is None and (isinstance(place_of(out), Url) or choosing.is_shared(out)):
            shared = Sharing()  # several may have begun it, or may come; in an object store, nobody could keep them out
        if shared is None:
            run = self._run(dataset_or_loader, progress, kept)
            return run.to_file(out, choosing.streaming(out), options, probe=probe)
        job = Job(
            type(self), self.arguments(), self.device, dataset_or_loader, str(out), options, kept,
            shared.tolerance if probe else None,
        )  # fmt: skip
        return fill(shared, job, self.worker, progress)

    def _keys(self, dataset: Any, out: str | PathLike[str] | None) -> Any:
        """Return what the dataset calls its samples; not where the user's function says which index a row has."""
        known = self.index_getter is None and (not self.batched or is_loader(dataset))
        found = dataset_keys(dataset) if known else None
        # A store of an earlier version was begun without: its rows are the same, and so it goes on.
        return None if found is None or (out is not None and choosing.lacks_keys(out)) else found

    def worker(
        self, dataset: Any, out: str, options: dict[str, Any], keep: Sequence[str], tolerance: float | None
    ) -> AbstractContextManager[Worker]:
        """Give a worker of a shared run that was admitted, within a block; see ``run.worker``.

        Called by engines, through ``engines.contract.Job``.
        """
        run = self._run(dataset, False, keep)  # noqa: FBT003  # progress is shown by the driver
        return admitted(run, place_of(out), choosing.sharing(out), options, tolerance)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make this generator again, without ``device``."""
        asked = {part.name: getattr(self, part.name) for part in fields(Request) if part.name != "framework"}
        passes = self.passes
        drawn = {} if passes is None else {"seed": passes.seed, "augment": passes.augment}
        return {
            **asked, "model": self.model, "backend": self.framework, "options": self.options,
            "wrappers": self.wrappers, "passes": passes and passes.count, **drawn,
        }  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        """Send what makes it again: the model as it is now, or its path."""
        return partial(type(self), device=self.device, **self.arguments()), ()

    def _run(self, dataset: Any, progress: bool | Callback, keep: Sequence[str]) -> Run:
        loaded = [one.loaded_now() for one in self._ensemble] or [self.loaded_now()]
        if self._ensemble:  # each model is asked as its generator wants, and the dataset as this one does
            own = {name: getattr(self, name) for name in OF_THE_DATASET}
            loaded[0] = replace(loaded[0], request=replace(loaded[0].request, **own))
        plural = bool(self._ensemble) or any(one.has_members for one in loaded)
        return Run(loaded, dataset, progress, keep, plural)

    def loaded_now(self) -> Loaded:
        """Return the loaded model, as it is now if it is a live one, with what is asked of it."""
        return self._asked(self._current_model())

    def _asked(self, model: Any) -> Loaded:
        request = Request(**{part.name: getattr(self, part.name) for part in fields(Request)})
        return Loaded(request, self.backend, self.model, model)

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
        """Return the probabilities of a batch of model outputs, as the framework's array on this generator's device.

        Those with an axis of members keep it. Of a list of models, the outputs are those of the first.
        """
        if self._ensemble:
            return self._ensemble[0].to_probs(outputs)
        if self.output_transform and not isinstance(self.output_transform, Temperature):
            return self.output_transform(outputs)
        found = pick_scores(outputs)
        hosted = self.backend.hook.to_device(data=found, device=HOST)
        asked = self._asked(self._loaded)
        shape = hosted.shape if asked.returns_members and hosted.ndim == 3 else hosted.shape[:1]
        flat = hosted.reshape(-1, shape[-1]) if len(shape) == 3 else hosted
        rows = score_reader(asked).rows_of(flat, "to_probs", half=is_half(found.dtype))
        return self.to_device(rows.reshape(*shape[:2], rows.shape[-1]))

    def prepares_batch_inp(self, sample: Any) -> Any:
        """Return the model's input of a sample or a batch."""
        return split_sample(sample, self.input_getter, self.pairs, self.label_getter)[0]

    def get_posterior_distributions(self) -> Mapping[str, Mapping[str, Any]]:
        """Return ``{layer: {"mu": ..., "rho": ...}}`` of the model's Bayesian layers as the framework's tensors."""
        if self._ensemble:
            message = "a list of models has no posterior of its own; ask a generator of one of them"
            raise ValueError(message)
        posterior: Mapping[str, Mapping[str, Any]] = self.backend.answer(
            "posterior_params", model=self._current_model()
        )
        return posterior


def _nothing_was_copied() -> bool:
    return True
