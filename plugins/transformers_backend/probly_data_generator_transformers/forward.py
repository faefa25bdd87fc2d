"""Batches through a model of transformers: prepared, sorted by length, and brought back into their order."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from probly.data_generator.toolkit.calling import signature_of
from probly.data_generator.toolkit.outputs import Kept, pick_scores
from probly_data_generator_torch.arrays import to_target
from probly_data_generator_torch.forward import TorchModel
from probly_data_generator_transformers import attention, checks
from probly_data_generator_transformers.columns import of_model
from probly_data_generator_transformers.heads import problem_of
from probly_data_generator_transformers.inputs import kind_of, rows_of
from probly_data_generator_transformers.padding import Padding, grouped
from probly_data_generator_transformers.parts import HANDED_ON, Prepared, joined, listed, names_of, stacked
from probly_data_generator_transformers.pictures import Pictures
from probly_data_generator_transformers.texts import Texts

COST: Final = {"cpu": 128}
OTHER_COST: Final = 4096
"""How many tokens of padding take as long as one more call of the model, on the CPU and on other devices."""


class TransformersModel(TorchModel):
    """What ``load_model`` returns.

    Args:
        loaded: The model as the torch backend has it.
        preparer: What makes inputs of texts or pictures, or None.
        function: What a pipeline applies to the scores, or None.
        where: What the model was made of, for messages; a path is a saved folder's.

    Attributes:
        names: What the model calls its inputs.
        output_mode: ``"logits"`` of the classifiers of transformers, whatever their values; of other models None.
        vectors: See ``checks.refuse_layers``.
    """

    def __init__(self, loaded: TorchModel, preparer: Texts | Pictures | None, function: Any, where: str | Path) -> None:
        vars(self).update(vars(loaded))  # all that the torch backend has decided
        self.preparer = preparer
        self.pipeline_function = function
        self.where = where
        module: Any = loaded.module
        called = getattr(module, "_orig_mod", module)  # of torch.compile
        takes = signature_of(called.forward)
        made = preparer.tokenizer.model_input_names if isinstance(preparer, Texts) else ()
        inner = [signature_of(part.forward) for part in called.modules() if hasattr(part, "main_input_name")]
        self.names = names_of(takes, made, inner)
        self._caches = takes is not None and "use_cache" in takes.parameters
        self.config = getattr(called, "config", None)
        self.output_mode = "logits" if _returns_logits(called) else None
        self._main_input = getattr(called, "main_input_name", None)
        self._positions = checks.positions_of(module)
        self._switching = attention.that_switch(self.parts)
        self._padding = Padding()
        self.vectors: dict[str, set[int]] = {}
        self._refuses_two: bool | None = None  # None until it is tried

    @property
    def takes_pictures(self) -> bool:
        """Whether the model prepares pictures of Pillow itself, for the command line."""
        return isinstance(self.preparer, Pictures)

    def with_layers(self, layers: Sequence[str]) -> "TransformersModel":
        """Return the model that returns ``Kept``; see ``TorchModel.with_layers``."""
        kept: Any = super().with_layers(layers)
        kept.vectors = {}  # of another run
        return kept  # type: ignore[no-any-return]

    def rows(self, inputs: Any, indices: Any = None) -> Any:
        """Return what has to be prepared of a batch, one entry per row, or None; see ``inputs.rows_of``."""
        # Those who read for several models, and so know the indices, keep what another one may take.
        names = self.names if indices is None else self.names | HANDED_ON
        return rows_of(inputs, names, indices, arrays=self.takes_pictures)

    def outputs(self, inputs: Any, batch_size: int | None, seed: int | None = None) -> Any:
        """Return what the model makes of one batch; see ``TorchModel.outputs``.

        Raises:
            ValueError: Its head is none of classes, and no ``output_transform`` reads its outputs.
        """
        problem = None if batch_size is None else problem_of(self.config, self.pipeline_function)
        if problem is not None:
            raise ValueError(problem)
        if seed is not None and attention.are_sparse(self._switching):
            raise ValueError(attention.NO_PASSES)
        rows, whole = self.rows(inputs), batch_size is None
        given = self._as_they_are(inputs, whole=whole) if rows is None else self._prepared(rows, whole=whole)
        return super().outputs(given, batch_size, seed)

    def _evaluating(self, *, alone: bool) -> contextlib.AbstractContextManager[None]:
        return super()._evaluating(alone=alone or attention.are_sparse(self._switching))

    def _as_they_are(self, inputs: Any, *, whole: bool) -> Any:
        """Return arrays for the model, in parts where it does not take all of them in one call."""
        if isinstance(self.preparer, Texts):
            checks.refuse_numbers(inputs, self.names, str(self.where))
        named = of_model(inputs, self.names) if isinstance(inputs, Mapping) else {str(self._main_input): inputs}
        if isinstance(named.get(checks.PIXELS), torch.Tensor):
            checks.refuse_unscaled(named[checks.PIXELS], processed=self.takes_pictures)
        given = self._with_settings(named) if isinstance(inputs, Mapping) else inputs
        tokens = named.get(checks.TOKENS) if checks.TOKENS in self.names else None
        if isinstance(tokens, torch.Tensor) and tokens.ndim == 2:
            self._check_positions(tokens.shape[1], are_texts=False)
        if not self._may_divide() or tokens is None or not all(isinstance(one, torch.Tensor) for one in named.values()):
            return given
        samples = [{name: value[place] for name, value in named.items()} for place in range(len(tokens))]
        divided = self._divided(samples)
        return given if len(set(divided)) < 2 else self._of_shapes(samples, divided, whole=whole)

    def _with_settings(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        # As pipelines do: a cache of keys and values is for generating texts.
        return {**inputs, "use_cache": False} if self._caches else dict(inputs)

    def _call(self, inputs: Any, batch_size: int | None) -> Any:
        if not isinstance(inputs, Prepared):
            return self._call_once(inputs, batch_size)
        answers = [self._call_once(part, batch_size) for part in inputs.parts]
        checks.refuse_layers(answers, inputs.parts, self.vectors)
        in_order = inputs.order == list(range(len(inputs.order)))
        return answers[0] if len(answers) == 1 and in_order else joined(answers, inputs.order)

    def _call_once(self, inputs: Any, batch_size: int | None) -> Any:
        size = None if self._refuses_two else batch_size  # to which a compiled model's batches are filled up
        with attention.restored(self._switching):
            return super()._call(inputs, size)

    def _prepared(self, rows: Any, *, whole: bool) -> Prepared:
        kind = kind_of(rows)
        if kind == "tokens":
            for row in rows:
                if checks.PIXELS in row:
                    checks.refuse_unscaled(row[checks.PIXELS], processed=self.takes_pictures)
            samples = [{name: listed(value) for name, value in row.items()} for row in rows]
        elif self.preparer is None or self.preparer.kind != kind:
            raise TypeError(self._unprepared(kind))
        elif isinstance(self.preparer, Texts):
            samples = [dict(tokens.inputs) for tokens in self._tokens(rows)]
        else:
            pictures = self.preparer.prepared(rows)
            return self._of_shapes(pictures, [0] * len(pictures), whole=whole)
        checks.refuse_empty(samples, (f"row {place} of the batch" for place in range(len(samples))))
        return self._of_lengths(samples, are_texts=kind == "texts", whole=whole)

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

    def _may_divide(self) -> bool:
        return not self._knows_padding() or self._end() is not None

    def _knows_padding(self) -> bool:
        """Return whether the model's configuration says which token is padding; without one there is nothing to say."""
        of_text = getattr(self.config, "get_text_config", lambda: self.config)()
        return self.config is None or getattr(of_text, "pad_token_id", None) is not None

    def _end(self) -> int | None:
        """Return the token at whose last one BART and T5 read their scores; they want equally many in all texts."""
        end = getattr(self.config, "eos_token_id", None)
        return end if isinstance(end, int) and getattr(self.config, "is_encoder_decoder", False) else None

    def _divided(self, samples: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Return a number for each tokenised sample: the model takes only those of one number in one call."""
        if not self._knows_padding() and checks.TOKENS in samples[0] and self._takes_one(samples):
            checks.refuse_padded(samples)
            return range(len(samples))
        end = self._end()
        if end is None:
            return [0] * len(samples)
        return [int(np.sum(np.asarray(sample.get(checks.TOKENS, ())) == end)) for sample in samples]

    def _takes_one(self, samples: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether the model refuses several texts at once, as those that look for padding do without it."""
        if self._refuses_two is None:
            twice = self._placed([stacked([samples[0], samples[0]])], [[0, 1]])
            try:
                super().outputs(twice, None)
                self._refuses_two = False
            except ValueError:
                self._refuses_two = True
        return self._refuses_two

    def _goes_one_by_one(self) -> bool:
        return not self._knows_padding() and bool(self._refuses_two)

    def _of_shapes(self, samples: Sequence[Mapping[str, Any]], divided: Sequence[int], *, whole: bool) -> Prepared:
        """Return a part per shape: samples of one shape need no padding, so it cannot change a row."""
        by_shape: dict[Any, list[int]] = {}
        for place, (sample, number) in enumerate(zip(samples, divided, strict=True)):
            shape = tuple((name, tuple(np.shape(value))) for name, value in sample.items())
            by_shape.setdefault((number, shape), []).append(place)
        if whole:
            checks.refuse_parts(by_shape, one_by_one=self._goes_one_by_one())
        groups = list(by_shape.values())
        parts = [stacked([samples[place] for place in group]) for group in groups]
        return self._placed(parts, groups)

    def _of_lengths(self, samples: Sequence[Mapping[str, Any]], *, are_texts: bool, whole: bool) -> Prepared:
        """Return parts of samples of about one length, padded; or of one length where padding would change rows."""
        lengths = [len(next(iter(sample.values()))) for sample in samples]
        self._check_positions(max(lengths), are_texts=are_texts)
        texts, divided = self.preparer, self._divided(samples)
        alike = len(set(zip(lengths, divided, strict=True))) == len(set(divided))
        if alike or not isinstance(texts, Texts) or not self._can_pad(texts, samples, lengths):
            return self._of_shapes(samples, divided, whole=whole)
        if whole:
            checks.refuse_parts(set(divided), one_by_one=self._goes_one_by_one())
        groups = []
        for number in sorted(set(divided)):
            places = [place for place, other in enumerate(divided) if other == number]
            sizes = [lengths[at] for at in places]
            together = [range(len(places))] if whole or self.compiled else grouped(sizes, self._cost(sizes))
            groups += [[places[at] for at in group] for group in together]
        parts = [texts.padded([samples[place] for place in group]) for group in groups]
        return self._placed(parts, groups)

    def _cost(self, lengths: Sequence[int]) -> int:
        cost = COST.get(self.torch_device.type, OTHER_COST)
        if self.kept_layers:  # two groups tell a vector per token from as many vectors by chance
            return max(0, min(cost, sum(max(lengths) - length for length in lengths) - 1))
        return cost

    def _placed(self, parts: Sequence[Mapping[str, Any]], groups: Sequence[Sequence[int]]) -> Prepared:
        placed = [self._with_settings(self._cast(to_target(dict(part), self.device))) for part in parts]
        return Prepared(placed, [place for group in groups for place in group])

    def _cast(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs with pictures in the dtype of the weights, as a pipeline gives them."""
        module: Any = self.module
        dtype = next((weights.dtype for weights in module.parameters() if weights.is_floating_point()), None)
        floating = {name: value for name, value in part.items() if value.is_floating_point()}
        return part | {name: value.to(dtype) for name, value in floating.items() if dtype is not None}

    def _check_positions(self, longest: int, *, are_texts: bool) -> None:
        """Refuse more tokens than a table of learned positions has: a GPU would end the process for it."""
        for name, known in self._positions.items():
            if longest > known:
                folder = self.where if isinstance(self.where, Path) else None
                cut = (
                    self.preparer.cut_to(known, folder)
                    if are_texts and isinstance(self.preparer, Texts)
                    else f"tokenizer(..., truncation=True, max_length={known})"
                )
                message = (
                    f"{self.where}: a text has {longest} tokens, but the model knows {known} positions ({name}); have "
                    f"longer texts cut: {cut}"
                )
                raise ValueError(message)

    def _can_pad(self, texts: Texts, samples: Sequence[Mapping[str, Any]], lengths: Sequence[int]) -> bool:
        # Whether attention is sparse depends on the length, padding included.
        if attention.are_sparse(self._switching) or not texts.pads(samples):
            return False

        def scores(sample: Mapping[str, Any], length: int | None) -> torch.Tensor:
            answer = super(TransformersModel, self).outputs(self._placed([texts.padded([sample], length)], [[0]]), None)
            found: torch.Tensor = pick_scores(answer.outputs if isinstance(answer, Kept) else answer)
            return found

        return self._padding.is_harmless(samples, lengths, scores)


def _returns_logits(module: Any) -> bool:
    """Return whether a model is a classifier of transformers itself; a class that is derived may return anything."""
    kind = type(module)
    return kind.__module__.startswith("transformers.models.") and "Classification" in kind.__name__
