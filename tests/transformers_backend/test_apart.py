"""Models that take some texts only apart from others, or that change while they read one."""

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForSequenceClassification,
    BertForTokenClassification,
    BigBirdConfig,
    BigBirdForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
)

from probly.data_generator import FirstOrderDataGenerator
from tests.transformers_backend.runs import check, of_texts, rows_of_texts, run, sentences, tokenizer

TEXTS = sentences(12)
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40}


def gpt(**settings):
    return of_texts(GPT2ForSequenceClassification, GPT2Config, **GPT, **settings)


@pytest.mark.parametrize("pad_token", [None, "[PAD]"])
def test_a_model_that_knows_no_padding_reads_one_text_at_a_time(pad_token):
    """It refuses several, also of one length, and whatever the tokenizer says."""
    model, words = gpt(), tokenizer(pad_token=pad_token, model_input_names=["input_ids", "attention_mask"])
    expected = rows_of_texts(model, words, TEXTS)
    for batch_size in (1, 5):
        check(run((model, words), TEXTS, batch_size=batch_size), expected)
        check(run(model, [dict(words(text)) for text in TEXTS], batch_size=batch_size), expected)
    same = words(["a cat sat", "the dog flew"], return_tensors="pt")
    expected = rows_of_texts(model, words, ["a cat sat", "the dog flew"])
    for encoding in (dict(same), same["input_ids"]):
        check(run(model, encoding), expected)


def test_a_transform_of_a_model_that_reads_one_text_at_a_time():
    def transform(outputs):
        return outputs.logits.softmax(-1)

    model, words = gpt(), tokenizer(model_input_names=["input_ids", "attention_mask"])
    expected = rows_of_texts(model, words, TEXTS)
    for texts in (TEXTS, ["a cat sat", "the dog flew"]):
        with pytest.raises(ValueError, match=r"takes one text at a time; set model.config.pad_token_id.*batch_size=1"):
            run((model, words), texts, output_transform=transform)
    check(run((model, words), TEXTS, output_transform=transform, batch_size=1), expected)
    model.config.pad_token_id = words.pad_token_id
    check(run((model, words), TEXTS, output_transform=transform), expected)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_padded_samples_of_a_model_that_knows_no_padding_are_refused(batch_size):
    model, words = gpt(), tokenizer()
    padded = dict(words(TEXTS, padding=True, return_tensors="pt"))
    with pytest.raises(ValueError, match=r"are padded, but .* set model.config.pad_token_id"):
        run(model, padded, batch_size=batch_size)
    expected = rows_of_texts(model, words, TEXTS)
    model.config.pad_token_id = words.pad_token_id  # what the message says
    check(run(model, padded, batch_size=batch_size), expected)


def test_texts_that_end_several_times():
    """BART reads its scores at the last end, and takes texts with equally many only."""
    torch.manual_seed(0)
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3}
    sizes = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 40}
    config = BartConfig(vocab_size=24, num_labels=3, init_std=0.4, **layers, **tokens, **sizes)
    model = BartForSequenceClassification(config).eval()
    words = tokenizer(model_input_names=["input_ids", "attention_mask"])
    texts = [*TEXTS, "the [SEP] cat", "a dog sat [SEP] and [SEP] flew", "a [SEP] mat"]
    expected = rows_of_texts(model, words, texts)
    check(run((model, words), texts), expected)
    check(run(model, dict(words(texts, padding=True, return_tensors="pt"))), expected)


def big_bird(**settings):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    blocks = {"block_size": 2, "num_random_blocks": 1, "max_position_embeddings": 64, "sep_token_id": 3}
    config = BigBirdConfig(vocab_size=24, num_labels=3, initializer_range=0.4, **sizes, **blocks, **settings)
    return BigBirdForSequenceClassification(config).eval()


def test_a_short_text_does_not_change_how_later_ones_are_read():
    words, texts = tokenizer(model_max_length=60), sentences(20, longest=40)
    expected = np.concatenate([rows_of_texts(big_bird(), words, [text]) for text in texts])
    model = big_bird()
    parts, drawn = list(model.modules()), torch.get_rng_state()
    for batch_size in (1, 4, 20):
        check(run((model, words), texts, batch_size=batch_size), expected)
    assert [id(part) for part in model.modules()] == [id(part) for part in parts], "the layers of the user"
    assert model.bert.attention_type == "block_sparse"
    assert torch.equal(torch.get_rng_state(), drawn), "the new layers are drawn at random"
    with pytest.raises(ValueError, match=r"passes: .*set_attention_type\('original_full'\)"):
        run((model, words), texts, passes=2)
    model.bert.set_attention_type("original_full")  # what the message says
    assert run((model, words), texts, passes=2).members.shape == (20, 2, 3)


def test_a_row_for_each_token_is_refused():
    model, words = of_texts(BertForTokenClassification), tokenizer()
    for given in ((model, words), TEXTS), (model, [dict(words(text)) for text in TEXTS]):
        with pytest.raises(ValueError, match=r"a row for each token; expected one row per text"):
            FirstOrderDataGenerator(given[0]).generate_distributions(given[1], progress=False)
