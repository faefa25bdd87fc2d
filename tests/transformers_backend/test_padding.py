"""Padding is for speed alone: where it would change a row, texts go through the model with others of their length."""

import numpy as np
import pytest
import torch
from transformers import (
    BertForSequenceClassification,
    FNetConfig,
    FNetForSequenceClassification,
    FunnelConfig,
    FunnelForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    ResNetConfig,
    ResNetForImageClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from probly_data_generator_transformers.forward import grouped
from tests.transformers_backend.runs import (
    check,
    image_processor,
    of_texts,
    pictures,
    rows_of_pictures,
    rows_of_texts,
    run,
    sentences,
    tokenizer,
)

TEXTS = sentences(24)
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40}


class Seen:
    """Notes the shape of what a model is called with."""

    def __init__(self, model):
        self.shapes = []
        model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module, arguments, named):
        self.shapes.append(tuple(named["input_ids"].shape))

    def of_the_last(self, rows):
        """Return the shapes of the last calls, which are of so many rows; those before find out about padding."""
        first, seen = len(self.shapes), 0
        while seen < rows:
            first -= 1
            seen += self.shapes[first][0]
        return self.shapes[first:]


def lengths_of(words):
    return [len(words(text)["input_ids"]) for text in TEXTS]


HARMFUL = {
    "no mask": lambda: (of_texts(FNetForSequenceClassification, FNetConfig, type_vocab_size=2), tokenizer()),
    "positions counted from the left": lambda: (of_texts(), tokenizer(padding_side="left")),
    "another token for padding": lambda: (
        of_texts(GPT2ForSequenceClassification, GPT2Config, pad_token_id=1, **GPT), tokenizer()
    ),
    "no token for padding": lambda: (of_texts(), tokenizer(pad_token=None)),
}  # fmt: skip


@pytest.mark.parametrize("why", HARMFUL)
def test_where_padding_changes_rows_none_is_padded(why):
    model, words = HARMFUL[why]()
    if why == "no mask":
        words.model_input_names = ["input_ids", "token_type_ids"]
    expected = rows_of_texts(model, words, TEXTS)
    seen = Seen(model)
    for batch_size in (5, 24):
        check(run((model, words), TEXTS, batch_size=batch_size), expected)
    sizes = lengths_of(words)
    calls = seen.shapes[-len(set(sizes)) :]  # those of the second run
    assert sorted(length for _, length in calls) == sorted(set(sizes))
    assert sum(rows for rows, _ in calls) == len(TEXTS)


def test_that_padding_would_have_changed_these_rows():
    """The control of the test above."""
    words = tokenizer(padding_side="left")
    padded = words(TEXTS, padding=True, return_tensors="pt")
    model = of_texts()
    with torch.no_grad():
        together = model(**padded).logits.softmax(-1).numpy()
    assert np.abs(together - rows_of_texts(model, words, TEXTS)).max() > 1e-3


@pytest.mark.parametrize("sizes", [(8, 12, 7, 11), (8, 16, 12, 13)])
def test_padding_that_harms_some_lengths_only(sizes):
    """Pooling takes every other token: of even lengths the first ones seem harmless."""
    torch.manual_seed(0)
    shape = {"block_sizes": [1, 1, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32}
    config = FunnelConfig(vocab_size=24, num_labels=3, initializer_range=0.4, **shape)
    model, words = FunnelForSequenceClassification(config).eval(), tokenizer()
    texts = [" ".join(["cat", "dog", "the", "a", "mat"][place % 5] for place in range(size - 2)) for size in sizes]
    check(run((model, words), texts, batch_size=2), rows_of_texts(model, words, texts))


HARMLESS = {
    "a mask": lambda: (of_texts(), tokenizer()),
    "positions after the padding": lambda: (
        of_texts(RobertaForSequenceClassification, RobertaConfig, pad_token_id=0), tokenizer()
    ),
    "the last token that is no padding": lambda: (
        of_texts(GPT2ForSequenceClassification, GPT2Config, pad_token_id=0, **GPT), tokenizer()
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARMLESS)
def test_elsewhere_texts_of_similar_length_go_together(kind, monkeypatch):
    model, words = HARMLESS[kind]()
    expected = rows_of_texts(model, words, TEXTS)
    seen = Seen(model)
    monkeypatch.setattr("probly_data_generator_transformers.forward.COST", {"cpu": 10**6})
    check(run((model, words), TEXTS, batch_size=24), expected)
    assert seen.shapes[-1] == (24, max(lengths_of(words))), "another call would cost more than the padding"
    monkeypatch.setattr("probly_data_generator_transformers.forward.COST", {"cpu": 20})
    seen.shapes.clear()
    check(run((model, words), TEXTS, batch_size=24), expected)
    calls = seen.of_the_last(24)
    assert 1 < len(calls) < len(set(lengths_of(words)))
    assert sum(rows for rows, _ in calls) == len(TEXTS)
    assert sum(rows * length for rows, length in calls) < 24 * max(lengths_of(words)), "less is padded"


def test_groups_are_of_similar_lengths_and_hold_every_place_once():
    lengths = np.random.default_rng(0).integers(1, 500, 200).tolist()
    for cost in (0, 100, 10**9):
        groups = grouped(lengths, cost)
        assert sorted(place for group in groups for place in group) == list(range(200))
        padding = [sum(max(lengths[at] for at in group) - lengths[place] for place in group) for group in groups]
        assert max(padding) <= cost
    assert len(grouped(lengths, 10**9)) == 1


def test_a_transform_reads_whole_batches_or_none():
    def transform(outputs):
        return outputs.logits.softmax(-1)

    model, words = HARMFUL["positions counted from the left"]()
    with pytest.raises(ValueError, match="set batch_size=1"):
        run((model, words), TEXTS, output_transform=transform)
    check(run((model, words), TEXTS, output_transform=transform, batch_size=1), rows_of_texts(model, words, TEXTS))


def test_layers_with_a_vector_per_token_are_refused():
    model, transform = (of_texts(), tokenizer()), {"output_transform": lambda outputs: outputs.logits.softmax(-1)}
    # The second reads all texts in one part, the third each alone.
    for settings in ({}, transform, {"batch_size": 1}):
        with pytest.raises(ValueError, match=r"returns a vector for each of \d+ tokens.*such as a pooler"):
            run(model, TEXTS, keep=["features:bert.encoder.layer.0"], **settings)


class Folding(BertForSequenceClassification):
    """A model with a layer of four vectors per text."""

    def __init__(self, config):
        super().__init__(config)
        self.fold = torch.nn.Unflatten(1, (4, 4))

    def forward(self, **named):
        pooled = self.bert(**named).pooler_output
        return self.classifier(self.fold(pooled).flatten(1))


@pytest.mark.parametrize("texts", [["a cat", "the dog"], ["a cat", "cat", "dog", "the dog"], TEXTS])
def test_layers_with_as_many_vectors_as_tokens_by_chance_are_kept(texts):
    """Texts of two words have four tokens; those with one are padded to as many."""
    model, words = of_texts(Folding), tokenizer()
    with torch.no_grad():
        pooled = [model.bert(**words(text, return_tensors="pt")).pooler_output.view(4, 4).numpy() for text in texts]
    for batch_size in (1, 2, 24):
        found = run((model, words), texts, keep=["features:fold"], batch_size=batch_size)
        np.testing.assert_allclose(found.columns["features:fold"], pooled, rtol=0, atol=1e-5)


def test_pictures_of_several_shapes_go_through_in_parts():
    torch.manual_seed(0)
    settings = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic", "num_labels": 3}
    model, processor = ResNetForImageClassification(ResNetConfig(**settings)).eval(), image_processor()
    processor.do_resize = False
    given = [picture.resize((16 + 8 * (place % 3), 16)) for place, picture in enumerate(pictures(8))]
    check(run((model, processor), given), rows_of_pictures(model, processor, given))


def test_half_precision_is_padded_too():
    model, words = of_texts().bfloat16(), tokenizer()
    seen = Seen(model)
    found = run((model, words), TEXTS, batch_size=24)
    np.testing.assert_allclose(found.probabilities, rows_of_texts(of_texts(), words, TEXTS), rtol=0, atol=0.05)
    assert len(seen.of_the_last(24)) < len(set(lengths_of(words)))
