"""One run of loaded models over a dataset: into memory, or to a file that it begins or continues."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions
from probly.data_generator.run.class_names import Columns, dataset_class_names, known_columns, same_names
from probly.data_generator.run.device import Device
from probly.data_generator.run.identity import fails_itself, not_seen, remember_models, run_identity, warn_not_seen
from probly.data_generator.run.loop import FEATURES, enter_at, run_batches
from probly.data_generator.run.members import LOGITS, MEMBERS, Asked, Models
from probly.data_generator.run.probe import Probe, closing
from probly.data_generator.run.progress import Callback, Tracker, tracked
from probly.data_generator.run.provenance import Loaded, Request, run_metadata
from probly.data_generator.run.scores import ScoreReader
from probly.data_generator.run.sinks import MemorySink, Sink
from probly.data_generator.run.temperature import Temperature
from probly.data_generator.toolkit.samples import Batch
from probly.data_generator.toolkit.tables import refuse_rows_as_tables


@dataclass(frozen=True)
class Run:
    """Models, a dataset, and how the ones are asked about the other.

    Attributes:
        loaded: The models; the backend of the first makes the batches.
        dataset: A dataset or a loader.
        progress: What shows how far it is; see ``run.progress.tracked``.
        keep: What is kept beside the rows.
        plural: Whether members were asked for, in one way or another.
    """

    loaded: Sequence[Loaded]
    dataset: Any
    progress: bool | Callback
    keep: Sequence[str] = ()
    plural: bool = False

    @property
    def request(self) -> Request:
        """What was asked of the first model, and of the dataset."""
        return self.loaded[0].request

    def into_memory(self, keys: Any = None) -> Distributions:
        """Return the rows of all samples, with their keys where there are some."""
        return self._fill(MemorySink(keyed=self.request.index_getter is not None, sample_keys=keys))

    def to_file(
        self, out: str | PathLike[str], open_sink: Any, options: dict[str, Any], *, probe: bool
    ) -> Distributions:
        """Write the rows of all samples to a file as they come, less those that it has.

        Args:
            out: Its path.
            open_sink: Opens the file; see ``formats.contract``.
            options: How the format is to keep the rows, and the keys of the samples.
            probe: Whether rows that are there already are compared with what the models compute now.
        """
        identity = self.identity(options.get("keys"))
        unseen = not_seen(identity)
        late = [part for part in unseen if fails_itself(part, identity)]
        warn_not_seen(out, [part for part in unseen if part not in late], probe=probe)
        try:
            with open_sink(Path(out), identity, options) as stream:
                if not isinstance(stream, Distributions):
                    distributions = self._fill(stream, unseen, where=out if probe else None)
                    warn_not_seen(out, late, probe=probe)
                    return distributions
                if probe:  # all rows are there
                    self._probe(stream, stream.meta.get("output_mode"), out).check_alone()
                return stream
        finally:
            remember_models(self.loaded, identity)

    def identity(self, keys: Any, *, batch_size: bool = False) -> dict[str, Any]:
        """Return what every run on the same file must have in common; see ``run.identity``."""
        names = self._of_columns("class_names") if self.request.class_names is None else self.request.class_names
        return run_identity(self.loaded, self.dataset, names, keys, self.keep, batch_size=batch_size)

    def _fill(self, sink: Sink, unseen: list[str] | None = None, where: Any = None) -> Distributions:
        """Compute what a sink lacks and return all of its rows; ``where`` names a file that is to be probed first."""
        batch_size = self.request.batch_size
        start = sink.first_needed // batch_size * batch_size
        models = self.models(sink.decided)
        batches = self.batches(start)
        length: int | None = getattr(batches, "length", None)
        with tracked(length, self.progress, lambda: sink.safe_rows) as tracker:
            with closing(batches):  # stops the workers of a loader at once, also on Ctrl-C
                checked = batches if where is None else self._probe(sink, sink.decided, where).check(batches)
                entered = enter_at(start, batch_size, checked, models, tracker)
                self.compute(entered, models, sink, tracker, length, unseen)
            distributions = sink.finish()
        if length is not None and len(distributions) != length:
            message = (
                f"generated {len(distributions)} distributions, but dataset length is {length}; look for drop_last, "
                "drop_remainder, repeat, a sampler that leaves samples out, or a wrong __len__"
            )
            warnings.warn(message, stacklevel=4)  # whoever called generate_distributions
        return distributions

    def compute(
        self,
        batches: Iterable[Batch],
        models: Models,
        sink: Sink,
        tracker: Tracker,
        length: int | None,
        unseen: list[str] | None = None,
    ) -> None:
        """Give a sink the rows of some batches, and say before the first of them what they are.

        Args:
            batches: What is computed.
            models: Asked about each of them.
            sink: Takes the rows.
            tracker: Counts them.
            length: The number of rows that the dataset announces, or None.
            unseen: What nothing tells from others; see ``run.identity``.
        """
        begun = False

        def begin(classes: int, mode: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
            nonlocal begun
            columns = self._columns(classes)  # a wrong number of names is known after the first batch
            members = shapes[MEMBERS][0] if MEMBERS in shapes else None
            meta = run_metadata(self.loaded, classes, mode, columns.names, unseen, members)
            known = {} if columns.classes is None else {"classes": columns.classes}
            sink.begin(classes, {**meta, **known}, mode, length, shapes)
            begun = True

        run_batches(batches, models, sink, begin, tracker, self.keep)
        if not begun:
            begin(0, models.mode, {})

    def models(self, decided: str | None = None) -> Models:
        """Return the models, ready to be asked; ``decided`` is what an earlier run took their scores for."""
        modes = (decided or "").split(",")
        modes = modes if len(modes) == len(self.loaded) else modes[:1] * len(self.loaded)
        asked = [
            Asked(self._device(one), score_reader(one, mode)) for one, mode in zip(self.loaded, modes, strict=True)
        ]
        return Models(asked, plural=self.plural)

    def _device(self, loaded: Loaded) -> Device:
        request, backend, model = loaded.request, loaded.backend, loaded.model
        layers = [name.removeprefix(FEATURES) for name in self.keep if name.startswith(FEATURES)]
        if layers:
            if not backend.has("keep_layers"):
                message = (
                    f"keep: backend {backend.info.name!r} has no access to hidden layers; keep={LOGITS!r} works with "
                    "every backend"
                )
                raise ValueError(message)
            model = backend.answer("keep_layers", model=model, layers=layers)
        passes = request.passes
        if passes is not None and passes.augment is None and not backend.has("stochastic_forward"):
            message = (
                f"passes: backend {backend.info.name!r} cannot activate stochastic layers (it lacks the hook "
                "stochastic_forward); let the model return its members, shape (rows, members, classes), and set "
                "members=True"
            )
            raise ValueError(message)
        return Device(
            backend,
            model,
            None if isinstance(request.output_transform, Temperature) else request.output_transform,
            input_dtype=request.input_dtype,
            passes=passes,
            members=loaded.returns_members,
            batches_from=None if backend.info.name == self.loaded[0].backend.info.name else self.loaded[0].backend,
        )

    def _probe(self, stream: Sink | Distributions, decided: Any, where: Any) -> Probe:
        models = self.models(decided)  # of its own: they remember the first batch of their run
        return Probe(where, stream, models, self.request.batch_size, self.dataset, self.batches)

    def batches(self, start: int, stop: int | None = None) -> Iterator[Batch]:
        """Return the batches of some rows of the dataset; those before them may come, too."""
        refuse_rows_as_tables(self.dataset)
        batches: Iterator[Batch] = self.loaded[0].backend.answer(
            "iterate_batches",
            dataset=self.dataset,
            batch_size=self.request.batch_size,
            input_getter=self.request.input_getter,
            index_getter=self.request.index_getter,
            batched=self.request.batched,
            model=self.loaded[0].model,
            start=start,
            stop=stop,
            label_getter=self.request.label_getter,
        )
        return batches

    def _columns(self, classes: int) -> Columns:
        """Return what the columns are called, by all who say so."""
        request = self.request
        return known_columns(
            classes,
            user=request.class_names,
            model=self._of_columns("class_names"),
            classes=self._of_columns("classes"),
            dataset=dataset_class_names(self.dataset) if request.label_getter is None else None,
        )

    def _of_columns(self, what: str) -> Any:
        """Return what the models say of their columns, unless an output_transform may have reordered or merged them."""
        kept = [one for one in self.loaded if isinstance(one.request.output_transform, Temperature | None)]
        return same_names(what, [getattr(one.model, what, None) for one in kept])


def score_reader(loaded: Loaded, decided: str | None = None) -> ScoreReader:
    """Return what makes rows of a model's scores; ``decided`` is what an earlier run took them for."""
    mode, transform = loaded.request.output_mode, loaded.request.output_transform
    temperature = None
    if isinstance(transform, Temperature):  # applied where rows are made
        mode, temperature = transform.output_mode, transform.temperature
    elif transform is not None:
        return ScoreReader("probs", transformed=True)
    names = getattr(loaded.model, "class_names", None)
    known, one_class = getattr(loaded.model, "output_mode", None), names is not None and len(names) == 1
    made = ScoreReader(mode, temperature, known=known, one_class=one_class)
    if decided in ("logits", "probs") and made.mode == "auto":
        made.mode, made.decided = decided, True
    return made


def check_keep(keep: Sequence[str]) -> tuple[str, ...]:
    """Return what is to be kept beside the rows.

    Raises:
        ValueError: One of them is not known, or there twice.
        TypeError: They are no list.

    Examples:
        >>> check_keep(["logits", "features:encoder"])
        ('logits', 'features:encoder')
    """
    expected = f'keep: expected a list of {LOGITS!r} and "{FEATURES}<layer>"'
    if isinstance(keep, str) or not isinstance(keep, Sequence):
        message = f"{expected}, got {keep!r}"
        raise TypeError(message)
    for name in keep:
        known = name == LOGITS or (isinstance(name, str) and name.startswith(FEATURES) and name != FEATURES)
        if not known or list(keep).count(name) > 1:
            message = f"{expected}, each once, got {name!r}"
            raise ValueError(message)
    return tuple(keep)
