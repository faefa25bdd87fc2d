"""The models, samples and runs that the tests of transformers share, all made on the spot with random weights."""

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from probly.data_generator import FirstOrderDataGenerator

NAMES = {0: "bad", 1: "fair", 2: "good"}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = [
    "the", "a", "cat", "dog", "bird", "sat", "flew", "on", "over", "mat", "house", "good", "bad", "film", "and", "or",
    "not", "very", ".",
]  # fmt: skip
LONGEST = 24
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "initializer_range": 0.4, "num_labels": 3,
}  # fmt: skip
"""Weights that are large for so small a model, so that whatever goes wrong changes a row."""


def tokenizer(**settings):
    """Return a tokenizer that splits at blanks, as BERT's it brackets a text and separates a pair."""
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", pair, [("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    given = {"model_max_length": LONGEST, "model_input_names": inputs, **names, **settings}
    return PreTrainedTokenizerFast(tokenizer_object=made, **given)


def of_texts(model=BertForSequenceClassification, config=BertConfig, seed=0, **settings):
    """Return a classifier of texts with random weights."""
    torch.manual_seed(seed)
    given = {"vocab_size": len(SPECIAL) + len(WORDS), "max_position_embeddings": 40, "id2label": NAMES, **SMALL}
    return model(config(**{**given, **settings})).eval()


def of_pictures(seed=0, **settings):
    """Return a classifier of pictures with random weights."""
    torch.manual_seed(seed)
    given = {"image_size": 16, "patch_size": 8, "id2label": {0: "bird", 1: "cat", 2: "dog"}, **SMALL}
    return ViTForImageClassification(ViTConfig(**{**given, **settings})).eval()


def image_processor():
    return ViTImageProcessorPil(size={"height": 16, "width": 16})


def sentences(count=50, longest=18, seed=0):
    """Return texts of different lengths, none of which is cut."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size)) for size in random.integers(1, longest, count)]


def pictures(count=12, seed=0):
    """Return pictures of different sizes and kinds."""
    random = np.random.default_rng(seed)
    made = [
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for height, width in random.integers(8, 40, (count, 2))
    ]
    return [picture.convert(mode) for picture, mode in zip(made, ["RGB", "L", "RGBA"] * count, strict=False)]


def rows_of(model, encodings):
    """Return ``model(**encoding).logits.softmax(-1)`` of each encoding alone."""
    with torch.no_grad():
        return np.concatenate([model(**encoding).logits.softmax(-1).numpy() for encoding in encodings])


def rows_of_texts(model, preparer, texts, pairs=None):
    pairs = [None] * len(texts) if pairs is None else pairs
    return rows_of(
        model, (preparer(*both, truncation=True, return_tensors="pt") for both in zip(texts, pairs, strict=True))
    )


def rows_of_pictures(model, preparer, given):
    return rows_of(model, (preparer(picture.convert("RGB"), return_tensors="pt") for picture in given))


def run(model, dataset, *, out=None, keep=(), **settings):
    made = FirstOrderDataGenerator(model, **{"batch_size": 16, **settings})
    return made.generate_distributions(dataset, progress=False, out=out, keep=keep)


def check(found, expected):
    np.testing.assert_array_equal(found.indices, np.arange(len(expected)))
    np.testing.assert_allclose(found.probabilities, expected, rtol=0, atol=1e-6)
