"""One run of a loaded model over a dataset: into memory, or to a file that it begins or continues."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.distributions import Distributions
from probly.data_generator.run.class_names import Columns, dataset_class_names, known_columns
from probly.data_generator.run.device import Device
from probly.data_generator.run.identity import fails_itself, not_seen, remember_model, run_identity, warn_not_seen
from probly.data_generator.run.loop import enter_at, run_batches
from probly.data_generator.run.probe import Probe, closing
from probly.data_generator.run.progress import Callback, tracked
from probly.data_generator.run.provenance import Request, run_metadata
from probly.data_generator.run.scores import ScoreReader
from probly.data_generator.run.sinks import MemorySink, Sink
from probly.data_generator.run.temperature import Temperature
from probly.data_generator.toolkit.samples import Batch


@dataclass(frozen=True)
class Run:
    """A model, a dataset, and how the one is asked about the other.

    Attributes:
        request: What the user asked for.
        backend: The hooks.
        source: The model as the user gave it.
        model: What ``load_model`` made of it.
        dataset: A dataset or a loader.
        progress: What shows how far it is; see ``run.progress.tracked``.
    """

    request: Request
    backend: Backend
    source: Any
    model: Any
    dataset: Any
    progress: bool | Callback

    def into_memory(self) -> Distributions:
        """Return the rows of all samples."""
        return self._fill(MemorySink(keyed=self.request.index_getter is not None))

    def to_file(
        self, out: str | PathLike[str], open_sink: Any, options: dict[str, Any], *, probe: bool
    ) -> Distributions:
        """Write the rows of all samples to a file as they come, less those that it has.

        Args:
            out: Its path.
            open_sink: Opens the file; see ``formats.contract``.
            options: How the format is to keep the rows, and the keys of the samples.
            probe: Whether rows that are there already are compared with what the model computes now.
        """
        names = self._of_columns("class_names") if self.request.class_names is None else self.request.class_names
        identity = run_identity(
            self.request, self.backend, self.source, self.model, self.dataset, names, options.get("keys")
        )
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
            remember_model(self.backend, self.source, self.model, identity["model"]["digest"])

    def _fill(self, sink: Sink, unseen: list[str] | None = None, where: Any = None) -> Distributions:
        """Compute what a sink lacks and return all of its rows; ``where`` names a file that is to be probed first."""
        start = sink.first_needed // self.request.batch_size * self.request.batch_size
        reader = self.reader(sink.decided)
        begun = False

        def begin(classes: int, mode: str) -> None:
            nonlocal begun
            columns = self._columns(classes)  # a wrong number of names is known after the first batch
            meta = run_metadata(self.request, self.backend, self.model, classes, mode, columns.names, unseen)
            known = {} if columns.classes is None else {"classes": columns.classes}
            sink.begin(classes, {**meta, **known}, mode, length)
            begun = True

        batches = self._batches(start)
        length: int | None = getattr(batches, "length", None)
        with tracked(length, self.progress, lambda: sink.safe_rows) as tracker:
            with closing(batches):  # stops the workers of a loader at once, also on Ctrl-C
                checked = batches if where is None else self._probe(sink, sink.decided, where).check(batches)
                device = self._device(reader)
                entered = enter_at(start, self.request.batch_size, checked, device, tracker)
                run_batches(entered, device, reader, sink, begin, tracker)
            if not begun:
                begin(0, reader.mode)
            distributions = sink.finish()
        if length is not None and len(distributions) != length:
            message = (
                f"generated {len(distributions)} distributions, but dataset length is {length}; look for drop_last, "
                "drop_remainder, repeat, a sampler that leaves samples out, or a wrong __len__"
            )
            warnings.warn(message, stacklevel=4)  # whoever called generate_distributions
        return distributions

    def reader(self, decided: Any = None) -> ScoreReader:
        """Return what makes rows of scores; ``decided`` is what an earlier run took them for."""
        mode, transform = self.request.output_mode, self.request.output_transform
        temperature = None
        if isinstance(transform, Temperature):  # applied where rows are made
            mode, temperature = transform.output_mode, transform.temperature
        elif transform is not None:
            return ScoreReader("probs", transformed=True)
        names = getattr(self.model, "class_names", None)
        one_class = names is not None and len(names) == 1
        reader = ScoreReader(mode, temperature, known=getattr(self.model, "output_mode", None), one_class=one_class)
        if decided in ("logits", "probs") and reader.mode == "auto":
            reader.mode, reader.decided = decided, True
        return reader

    def _device(self, reader: ScoreReader) -> Device:
        transform = self.request.output_transform if reader.transformed else None
        return Device(self.backend, self.model, transform, input_dtype=self.request.input_dtype)

    def _probe(self, stream: Sink | Distributions, decided: Any, where: Any) -> Probe:
        reader = self.reader(decided)  # one of its own: a reader remembers the first batch of its run
        return Probe(where, stream, self._device(reader), reader, self.request.batch_size, self.dataset, self._batches)

    def _batches(self, start: int) -> Iterator[Batch]:
        batches: Iterator[Batch] = self.backend.answer(
            "iterate_batches",
            dataset=self.dataset,
            batch_size=self.request.batch_size,
            input_getter=self.request.input_getter,
            index_getter=self.request.index_getter,
            batched=self.request.batched,
            model=self.model,
            start=start,
            stop=None,
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
        """Return what the model says of its columns, unless an output_transform may have reordered or merged them."""
        transform = self.request.output_transform
        kept = transform is None or isinstance(transform, Temperature)
        return getattr(self.model, what, None) if kept else None
