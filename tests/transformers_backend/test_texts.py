"""Texts, pairs of texts and tokenised samples in every form: the rows are those of the model on each text alone."""

import json

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import processors
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, DistilBertConfig, DistilBertForSequenceClassification, pipeline

from probly_data_generator_transformers.texts import Texts
from tests.transformers_backend.runs import (
    LONGEST,
    check,
    of_texts,
    rows_of_texts,
    run,
    sentences,
    tokenizer,
)

MODEL, TOKENIZER, TEXTS = of_texts(), tokenizer(), sentences(30)
OTHERS = TEXTS[1:] + TEXTS[:1]
SHORT, SHORTER = ([" ".join(text.split()[:9]) for text in texts] for texts in (TEXTS, OTHERS))
EXPECTED = rows_of_texts(MODEL, TOKENIZER, TEXTS)
OF_PAIRS = rows_of_texts(MODEL, TOKENIZER, SHORT, SHORTER)
LABELS = np.arange(len(TEXTS)) % 3


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("source", ["folder", "pair", "pipeline"])
def test_rows_are_those_of_each_text_alone(bert, source, batch_size):
    model = {"folder": bert, "pair": (MODEL, TOKENIZER)}
    model["pipeline"] = pipeline("text-classification", model=MODEL, tokenizer=TOKENIZER)
    found = run(model[source], TEXTS, batch_size=batch_size)
    check(found, EXPECTED)
    assert found.class_names == ["bad", "fair", "good"]
    assert found.meta["backend"] == "transformers"
    assert np.ptp(EXPECTED, axis=0).min() > 0.2, "rows that differ"


def rows_of_hugging_face():
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "fair", "good"])}
    return datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS}, features=datasets.Features(features))


FORMS = {
    "a list": lambda: TEXTS,
    "a list and labels": lambda: (TEXTS, LABELS),
    "an array": lambda: np.array(TEXTS),
    "an array of texts of any width": lambda: np.array(TEXTS, np.dtypes.StringDType()),
    "a column of them": lambda: {"sentence": np.array(TEXTS, np.dtypes.StringDType())},
    "samples": lambda: list(zip(TEXTS, LABELS, strict=True)),
    "mappings": lambda: [{"sentence": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)],
    "columns": lambda: {"sentence": TEXTS, "label": LABELS},
    "a generator": lambda: iter(TEXTS),
    "a series": lambda: pd.Series(TEXTS, index=range(100, 130)),
    "a frame": lambda: (pd.DataFrame({"text": TEXTS}), LABELS),
    "a dataset of Hugging Face": rows_of_hugging_face,
    "a loader": lambda: DataLoader(list(zip(TEXTS, LABELS, strict=True)), batch_size=8),
    "a loader of mappings": lambda: DataLoader(rows_of_hugging_face(), batch_size=8),
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_come_in_any_form(form):
    found = run((MODEL, TOKENIZER), FORMS[form]())
    check(found, EXPECTED)
    assert found.labels is None or found.labels.tolist() == LABELS.tolist()


BOTH = list(zip(SHORT, SHORTER, strict=True))
PAIRS = {
    "tuples with labels": lambda: list(zip(BOTH, LABELS, strict=True)),
    "lists": lambda: [list(both) for both in BOTH],
    "mappings": lambda: [{"text": text, "text_pair": other, "label": 0} for text, other in BOTH],
    "columns": lambda: {"text": SHORT, "text_pair": SHORTER},
    "an array": lambda: np.array(BOTH, object),
}


@pytest.mark.parametrize("form", PAIRS)
def test_pairs_of_texts(form):
    check(run((MODEL, TOKENIZER), PAIRS[form]()), OF_PAIRS)


def test_pairs_in_loaders():
    samples = list(zip(BOTH, LABELS, strict=True))
    for batch_size in (8, 7):  # of which the second leaves two for the last batch
        for collate in (None, list):
            check(run((MODEL, TOKENIZER), DataLoader(samples, batch_size, collate_fn=collate)), OF_PAIRS)
    with pytest.raises(TypeError, match="may be its pairs, or the first and the second"):
        run((MODEL, TOKENIZER), DataLoader(samples, batch_size=2))


def test_tokens_that_a_loader_turns_around_are_refused():
    """As many samples as tokens would look like a batch."""
    samples = [dict(TOKENIZER(text, padding="max_length", max_length=10, truncation=True)) for text in TEXTS]
    for batch_size in (10, 3):
        with pytest.raises(TypeError, match="turns lists of tokens around"):
            run((MODEL, TOKENIZER), DataLoader(samples, batch_size=batch_size))


def test_pairs_that_a_getter_picks():
    samples = [{"premise": text, "hypothesis": other, "idx": 7, "label": 1} for text, other in BOTH]
    found = run((MODEL, TOKENIZER), samples, input_getter=lambda sample: (sample["premise"], sample["hypothesis"]))
    check(found, OF_PAIRS)
    assert found.labels.tolist() == [1] * len(BOTH)


def tokenised(**settings):
    return TOKENIZER(TEXTS, truncation=True, **settings)


TOKENISED = {
    "samples": lambda: [dict(TOKENIZER(text)) for text in TEXTS],
    "samples with a label that is none": lambda: [{**TOKENIZER(text), "labels": -1} for text in TEXTS],
    "columns": tokenised,
    "padded": lambda: tokenised(padding=True, return_tensors="pt"),
    "a loader that pads": lambda: DataLoader(
        [dict(TOKENIZER(text)) for text in TEXTS], batch_size=8, collate_fn=DataCollatorWithPadding(TOKENIZER)
    ),
    "a dataset of Hugging Face": lambda: datasets.Dataset.from_dict(dict(tokenised())),
    "a dataset with its texts": lambda: beside_texts(padding=False),
    "a padded dataset with its texts": lambda: beside_texts(padding=True),
    "a dataset of tensors": lambda: beside_texts(padding=True).with_format("torch"),
    "columns with their texts": lambda: beside_texts()[:],
}


def beside_texts(**settings):
    """Return what ``map`` makes: the tokens beside all that was there."""
    given = datasets.Dataset.from_dict({"text": TEXTS, "idx": range(30), "label": LABELS})
    return given.map(lambda rows: TOKENIZER(rows["text"], **settings), batched=True)


@pytest.mark.parametrize("form", TOKENISED)
def test_samples_that_are_tokenised_already(form):
    check(run((MODEL, TOKENIZER), TOKENISED[form]()), EXPECTED)


@pytest.mark.parametrize("form", TOKENISED)
def test_a_model_alone_takes_tokenised_samples(form):
    """Those of different lengths go through it with others of their own length."""
    found = run(MODEL, TOKENISED[form]())
    check(found, EXPECTED)
    assert found.class_names == ["bad", "fair", "good"]


def test_other_models_tokenise_for_themselves():
    """The first model of a list makes the batches, whose texts the others must see as they are."""
    other, words = of_texts(seed=1), tokenizer()
    words.backend_tokenizer.normalizer = None
    words.model_input_names = ["input_ids", "attention_mask"]
    found = run([(MODEL, TOKENIZER), (other, words)], TEXTS)
    np.testing.assert_allclose(found.members[:, 0], EXPECTED, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.members[:, 1], rows_of_texts(other, words, TEXTS), rtol=0, atol=1e-6)


def test_models_take_what_they_know_of_tokenised_samples():
    """The first makes the batches, and knows no types of tokens, by which the second tells the texts of a pair."""
    settings = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "pad_token_id": 0}
    first = of_texts(DistilBertForSequenceClassification, DistilBertConfig, **settings)
    samples = [{**TOKENIZER(*both), "premise": both[0], "idx": 7} for both in BOTH]
    found = run([first, MODEL], samples).members
    words = tokenizer(model_input_names=["input_ids", "attention_mask"])
    np.testing.assert_allclose(found[:, 0], rows_of_texts(first, words, SHORT, SHORTER), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], OF_PAIRS, rtol=0, atol=1e-6)


def test_passes_views_layers_and_transforms():
    model = (MODEL, TOKENIZER)
    first, again = (run(model, TEXTS, passes=3, seed=5).members for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first[0, :, 0])) == 3
    views = run(model, TEXTS, passes=1, augment=lambda texts, seed: [f"{text} ." for text in texts]).members
    longer = rows_of_texts(MODEL, TOKENIZER, [f"{text} ." for text in TEXTS])
    np.testing.assert_allclose(views[:, 0], longer, rtol=0, atol=1e-6)
    found = run(model, TEXTS, keep=["logits", "features:bert.pooler"])
    with torch.no_grad():
        pooled = [MODEL.bert(**TOKENIZER(text, return_tensors="pt")).pooler_output[0].numpy() for text in TEXTS]
    np.testing.assert_allclose(found.columns["features:bert.pooler"], pooled, rtol=0, atol=1e-5)
    check(run(model, TEXTS, output_transform=lambda outputs: outputs.logits.softmax(-1)), EXPECTED)


def test_texts_that_are_cut_are_counted(bert):
    texts = [*TEXTS, "good " * 100, "bad " * LONGEST, "bad " * (LONGEST - 2)]
    with pytest.warns(UserWarning, match=rf"2 of 33 texts were longer than {LONGEST} tokens .* sample 30;") as seen:
        found = run(bert, texts, batch_size=8, passes=None)
    assert len(seen) == 1
    check(found, rows_of_texts(MODEL, TOKENIZER, texts))
    with pytest.warns(UserWarning, match="2 of 33") as seen:  # not once per pass
        run(bert, texts, batch_size=8, passes=2)
    assert len(seen) == 1


def test_every_member_says_that_it_cuts():
    with pytest.warns(UserWarning, match="texts that are longer") as seen:
        run([(MODEL, tokenizer(model_max_length=30)), (of_texts(seed=1), tokenizer())], ["good " * 27])
    assert [str(one.message) for one in seen] == [
        "BertForSequenceClassification: texts that are longer than 24 tokens are cut to these"
    ]


def test_a_pipeline_cuts_as_it_was_told():
    made = pipeline("text-classification", model=MODEL, tokenizer=TOKENIZER, truncation=True, max_length=6)
    with pytest.warns(UserWarning, match="longer than 6 tokens"):
        found = run(made, TEXTS)
    encodings = [TOKENIZER(text, truncation=True, max_length=6, return_tensors="pt") for text in TEXTS]
    with torch.no_grad():
        check(found, np.concatenate([MODEL(**one).logits.softmax(-1).numpy() for one in encodings]))


def test_more_tokens_than_positions_are_refused():
    """Nothing is cut where the tokenizer does not say so."""
    free = tokenizer(model_max_length=None)
    with pytest.raises(ValueError, match=r"a text has 52 tokens, .* knows 40 positions.*model_max_length = 40"):
        run((MODEL, free), ["good " * 50])
    free.model_max_length = 40  # what the message says
    with pytest.warns(UserWarning, match="1 of 1 texts were longer than 40 tokens"):
        run((MODEL, free), ["good " * 50])


def test_the_way_out_of_a_folder_whose_texts_are_too_long(tmp_path):
    for part in (MODEL, tokenizer(model_max_length=None)):
        part.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    with pytest.raises(ValueError, match=f'have longer texts cut: "model_max_length": 40 in {file}'):
        run(tmp_path, ["good " * 50])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 40}))  # what the message says
    with pytest.warns(UserWarning, match="1 of 1 texts were longer than 40 tokens"):
        run(tmp_path, ["good " * 50])
    samples = [dict(tokenizer(model_max_length=None)("good " * 50))]
    with pytest.raises(ValueError, match=r"cut: tokenizer\(..., truncation=True, max_length=40\)"):
        run(tmp_path, samples)


def test_batches_of_one_are_refused_with_the_way_out():
    for texts in (TEXTS, TEXTS[:1] * 4):  # of which the second would stack
        for sample in (lambda tokens: tokens, lambda tokens: {**tokens, "label": 1}, lambda tokens: (dict(tokens), 1)):
            tensors = [sample(TOKENIZER(text, return_tensors="pt")) for text in texts]
            with pytest.raises(ValueError, match=r"sample 0: .* a batch of one.*; leave out return_tensors$"):
                run((MODEL, TOKENIZER), tensors)
            found = run((MODEL, TOKENIZER), [sample(TOKENIZER(text)) for text in texts])  # what the message says
            check(found, rows_of_texts(MODEL, TOKENIZER, texts))


def test_a_text_without_tokens_is_refused_by_its_place():
    words = tokenizer()
    words.backend_tokenizer.post_processor = processors.TemplateProcessing("$A", "$A $B", [])
    with pytest.raises(ValueError, match="sample 5: the text has no tokens"):
        run((MODEL, words), [*TEXTS[:5], "", *TEXTS], batch_size=4)
    with pytest.raises(ValueError, match="row 1 of the batch: the text has no tokens"):
        run(MODEL, [{"input_ids": [2, 3]}, {"input_ids": []}])


@pytest.mark.parametrize("given", [np.arange(5), {"text": np.arange(5)}, [{"text": 1}, {"text": 2}]])
def test_numbers_are_no_texts(given):
    with pytest.raises(TypeError, match="expected texts, got numbers"):
        run((MODEL, TOKENIZER), given)


def test_texts_that_come_again_later():
    """Tokens of the last batches are remembered, and those before them forgotten."""
    texts = [TEXTS[0], *TEXTS[1:6], TEXTS[1], TEXTS[6], TEXTS[2], *TEXTS[:8], TEXTS[0]]
    check(run((MODEL, TOKENIZER), texts, batch_size=2), rows_of_texts(MODEL, TOKENIZER, texts))
    check(run((MODEL, TOKENIZER), texts, batch_size=1), rows_of_texts(MODEL, TOKENIZER, texts))
    prepared = Texts(TOKENIZER)
    for batch in (["a"], ["cat"], ["dog"], ["bird"], ["a", "mat"]):  # the oldest of which is still known
        assert [tokens.inputs["input_ids"] for tokens in prepared.encoded(batch)] == TOKENIZER(batch)["input_ids"]
