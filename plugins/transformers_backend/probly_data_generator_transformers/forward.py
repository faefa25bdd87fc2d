"""Batches through a model of transformers: prepared, sorted by length, and brought back into their order."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from probly.data_generator.toolkit.calling import signature_of
from probly.data_generator.toolkit.outputs import Kept, pick_scores
from probly_data_generator_torch.arrays import to_numpy, to_target
from probly_data_generator_torch.forward import TorchModel
from probly_data_generator_transformers.heads import problem_of
from probly_data_generator_transformers.inputs import kind_of, rows_of, without_labels
from probly_data_generator_transformers.pictures import Pictures
from probly_data_generator_transformers.texts import Texts

COST: Final = {"cpu": 128}
OTHER_COST: Final = 4096
"""How many tokens of padding take as long as one more call of the model, on the CPU and on other devices."""
POSITIONS: Final = ("position_embeddings", "embed_positions", "wpe")
"""What tables of learned positions are called."""
TOLERANCE: Final = 1e-5
HALF_TOLERANCE: Final = 0.02
"""How far scores may be apart, beside 1 and the largest, because a text was padded; the last bits always are."""


class Prepared(NamedTuple):
    """A batch in parts that a model can be called with.

    Attributes:
        parts: Tensors by the names of the model's inputs.
        order: The place in the batch of each row of all parts.
    """

    parts: list[dict[str, Any]]
    order: list[int]


class TransformersModel(TorchModel):
    """What ``load_model`` returns.

    Args:
        loaded: The model as the torch backend has it.
        preparer: What makes inputs of texts or pictures, or None.
        function: What a pipeline applies to the scores, or None.
        where: What the model was made of, for messages.

    Attributes:
        names: What the model calls its inputs.
        output_mode: ``"logits"`` of the classifiers of transformers, whatever their values; of other models None.
    """

    def __init__(self, loaded: TorchModel, preparer: Texts | Pictures | None, function: Any, where: str) -> None:
        vars(self).update(vars(loaded))  # all that the torch backend has decided
        self.preparer = preparer
        self.pipeline_function = function
        self.where = where
        module: Any = loaded.module
        called = getattr(module, "_orig_mod", module)  # of torch.compile
        takes = signature_of(called.forward)
        self.names = frozenset(() if takes is None else takes.parameters) - {"labels", "label", "args", "kwargs"}
        self.config = getattr(called, "config", None)
        self.output_mode = "logits" if _returns_logits(called) else None
        self._positions = _positions(module)
        self._padding_is_harmless: bool | None = None

    @property
    def takes_pictures(self) -> bool:
        """Whether the model prepares pictures of Pillow itself, for the command line."""
        return isinstance(self.preparer, Pictures)

    def rows(self, inputs: Any, indices: Any = None) -> Any:
        """Return what has to be prepared of a batch, one entry per row, or None; see ``inputs.rows_of``."""
        return rows_of(inputs, self.names, indices, arrays=self.takes_pictures)

    def outputs(self, inputs: Any, batch_size: int | None, seed: int | None = None) -> Any:
        """Return what the model makes of one batch; see ``TorchModel.outputs``.

        Raises:
            ValueError: Its head is none of classes, and no ``output_transform`` reads its outputs.
        """
        problem = None if batch_size is None else problem_of(self.config, self.pipeline_function)
        if problem is not None:
            raise ValueError(problem)
        rows = self.rows(inputs)
        given = self._as_they_are(inputs) if rows is None else self._prepared(rows, whole=batch_size is None)
        return super().outputs(given, batch_size, seed)

    def _as_they_are(self, inputs: Any) -> Any:
        return self._with_settings(without_labels(inputs)) if isinstance(inputs, Mapping) else inputs

    def _with_settings(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        # As pipelines do: a cache of keys and values is for generating texts.
        return {**inputs, "use_cache": False} if "use_cache" in self.names else dict(inputs)

    def _call(self, inputs: Any, batch_size: int | None) -> Any:
        if not isinstance(inputs, Prepared):
            return super()._call(inputs, batch_size)
        answers = [super(TransformersModel, self)._call(part, batch_size) for part in inputs.parts]
        for answer, part in zip(answers, inputs.parts, strict=True):
            _check_layers(answer, part)
        in_order = inputs.order == list(range(len(inputs.order)))
        return answers[0] if len(answers) == 1 and in_order else _joined(answers, inputs.order)

    def _prepared(self, rows: Any, *, whole: bool) -> Prepared:
        kind = kind_of(rows)
        if kind == "tokens":
            samples = [{name: _listed(value) for name, value in row.items()} for row in rows]
        elif self.preparer is None or self.preparer.kind != kind:
            raise TypeError(self._unprepared(kind))
        elif isinstance(self.preparer, Texts):
            samples = [dict(tokens.inputs) for tokens in self._tokens(rows)]
        else:
            return self._of_shapes(self.preparer.prepared(rows), whole=whole)
        return self._of_lengths(samples, whole=whole)

    def _tokens(self, rows: Any) -> Any:
        assert isinstance(self.preparer, Texts)
        found = self.preparer.encoded(rows)
        if not self.preparer.counted and any(tokens.cut for tokens in found):
            self.preparer.counted = True
            import warnings

            message = f"{self.where}: texts that are longer than {self.preparer.limit} tokens are cut to these"
            warnings.warn(message, stacklevel=2)
        return found

    def _unprepared(self, kind: str) -> str:
        """Say what is missing where samples are texts or pictures, and the model does not prepare them."""
        if self.preparer is not None:
            return f"{self.where}: the model takes {self.preparer.kind}, but the samples are {kind}"
        made = "tokenizer" if kind == "texts" else "image_processor"
        return (
            f"{self.where}: the samples are {kind}, but the model came without its {made.replace('_', ' ')}; pass "
            f"model=(model, {made}), save it into the model's folder ({made}.save_pretrained(folder)), or pass samples "
            "that are prepared, by the names of the model's inputs"
        )

    def _of_shapes(self, samples: Sequence[Mapping[str, Any]], *, whole: bool) -> Prepared:
        """Return a part per shape: samples of one shape need no padding, so it cannot change a row."""
        by_shape: dict[Any, list[int]] = {}
        for place, sample in enumerate(samples):
            shape = tuple((name, tuple(np.shape(value))) for name, value in sample.items())
            by_shape.setdefault(shape, []).append(place)
        if whole and len(by_shape) > 1:
            message = (
                "output_transform reads the outputs of a whole batch, but these samples have different lengths or "
                "shapes, and the model cannot be asked about them together without changing their rows; set "
                "batch_size=1"
            )
            raise ValueError(message)
        groups = list(by_shape.values())
        parts = [_stacked([samples[place] for place in group]) for group in groups]
        return self._placed(parts, groups)

    def _of_lengths(self, samples: Sequence[Mapping[str, Any]], *, whole: bool) -> Prepared:
        """Return parts of samples of about one length, padded; or of one length where padding would change rows."""
        lengths = [len(next(iter(sample.values()))) for sample in samples]
        self._check_positions(max(lengths))
        texts = self.preparer
        if len(set(lengths)) == 1 or not isinstance(texts, Texts) or not self._can_pad(texts, samples, lengths):
            return self._of_shapes(samples, whole=whole)
        cost = COST.get(self.torch_device.type, OTHER_COST)
        groups = [list(range(len(samples)))] if whole or self.compiled else grouped(lengths, cost)
        parts = [texts.padded([samples[place] for place in group]) for group in groups]
        return self._placed(parts, groups)

    def _placed(self, parts: Sequence[Mapping[str, Any]], groups: Sequence[Sequence[int]]) -> Prepared:
        placed = [self._with_settings(self._cast(to_target(dict(part), self.device))) for part in parts]
        return Prepared(placed, [place for group in groups for place in group])

    def _cast(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs with pictures in the dtype of the weights, as a pipeline gives them."""
        module: Any = self.module
        dtype = next((weights.dtype for weights in module.parameters() if weights.is_floating_point()), None)
        floating = {name: value for name, value in part.items() if value.is_floating_point()}
        return part | {name: value.to(dtype) for name, value in floating.items() if dtype is not None}

    def _check_positions(self, longest: int) -> None:
        """Refuse more tokens than a table of learned positions has: a GPU would end the process for it."""
        for name, known in self._positions.items():
            if longest > known:
                message = (
                    f"{self.where}: a text has {longest} tokens, but the model knows {known} positions ({name}); have "
                    f"longer texts cut: tokenizer.model_max_length = {known}"
                )
                raise ValueError(message)

    def _can_pad(self, texts: Texts, samples: Sequence[Mapping[str, Any]], lengths: Sequence[int]) -> bool:
        """Return whether padding changes no row, for which the first two lengths that differ are tried once.

        It does where positions are counted from the left and the tokenizer pads there, where no mask is looked at, as
        in FNet, where a convolution reaches into the padding, or where the model looks for another token's number.
        """
        if not texts.pads(samples):
            return False
        if self._padding_is_harmless is None:
            short = samples[int(np.argmin(lengths))]
            alone, padded = (self._scores(texts.padded([short], length)) for length in (None, max(lengths)))
            tolerance = TOLERANCE if alone.dtype == torch.float32 else HALF_TOLERANCE
            first, second = to_numpy(alone), to_numpy(padded)
            allowed = tolerance * (1 + np.abs(first).max())
            self._padding_is_harmless = bool(np.abs(first - second).max() <= allowed)
        return self._padding_is_harmless

    def _scores(self, batch: dict[str, Any]) -> torch.Tensor:
        answer = super().outputs(self._placed([batch], [[0]]), None)
        scores: torch.Tensor = pick_scores(answer.outputs if isinstance(answer, Kept) else answer)
        return scores


def _positions(module: torch.nn.Module) -> dict[str, int]:
    """Return how many positions a model knows, by the name of its table of them; none where it has no such table."""
    found = {}
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Embedding) and name.endswith(POSITIONS):
            # Those of RoBERTa begin after the number of the padding token, those of BART after an offset.
            before: Any = part.padding_idx + 1 if part.padding_idx is not None else getattr(part, "offset", 0)
            found[name] = part.num_embeddings - int(before)
    return found


def _returns_logits(module: Any) -> bool:
    """Return whether a model is a classifier of transformers itself; a class that is derived may return anything."""
    kind = type(module)
    return kind.__module__.startswith("transformers.models.") and "Classification" in kind.__name__


def grouped(lengths: Sequence[int], cost: int) -> list[list[int]]:
    """Return the places of lengths in groups of similar ones, the longest first.

    Args:
        lengths: The number of tokens of each text.
        cost: The tokens of padding in one group for which another call is worth its time.

    Examples:
        >>> grouped([5, 90, 6, 100], cost=20)
        [[3, 1], [2, 0]]
    """
    groups: list[list[int]] = []
    padding = cost + 1
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        padding += lengths[groups[-1][0]] - lengths[place] if groups else 0
        if padding > cost:
            groups.append([])
            padding = 0
        groups[-1].append(place)
    return groups


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else list(value)


def _stacked(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: torch.stack([torch.as_tensor(sample[name]) for sample in samples]) for name in samples[0]}


def _check_layers(answer: Any, part: Mapping[str, Any]) -> None:
    """Refuse a hidden layer with a vector per token: texts of other lengths have another number of them."""
    tokens = part["input_ids"].shape[1] if "input_ids" in part else None
    for name, layer in answer.layers.items() if isinstance(answer, Kept) else ():
        if layer.ndim > 2 and layer.shape[1] == tokens:
            message = (
                f"keep: layer {name!r} returns a vector for each of {tokens} tokens, a number that differs from text "
                "to text; name a layer that returns one vector per text, such as a pooler"
            )
            raise ValueError(message)


def _joined(answers: Sequence[Any], order: Sequence[int]) -> Any:
    """Return the scores of several parts in the order of the batch, and those of layers that are kept."""
    kept = [answer for answer in answers if isinstance(answer, Kept)]
    scores = [pick_scores(answer.outputs if isinstance(answer, Kept) else answer) for answer in answers]
    whole = _in_order(scores, order)
    if not kept:
        return whole
    layers = {name: _in_order([answer.layers[name] for answer in kept], order) for name in kept[0].layers}
    return Kept(whole, layers)


def _in_order(parts: Sequence[torch.Tensor], order: Sequence[int]) -> torch.Tensor:
    joined = torch.cat(list(parts))
    places = torch.empty(len(order), dtype=torch.int64)
    places[torch.as_tensor(order)] = torch.arange(len(order))
    return joined[places.to(joined.device)]
