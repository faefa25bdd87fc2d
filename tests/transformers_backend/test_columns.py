"""What stands beside the inputs of a model in tokenised samples: another model's, nobody's, or a misspelt one."""

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from transformers import LayoutLMConfig, LayoutLMForSequenceClassification

from tests.transformers_backend.runs import check, of_texts, rows_of, rows_of_texts, run, sentences, tokenizer

MODEL, TOKENIZER, TEXTS = of_texts(), tokenizer(), sentences(20)
EXPECTED = rows_of_texts(MODEL, TOKENIZER, TEXTS)
LAYOUT = of_texts(LayoutLMForSequenceClassification, LayoutLMConfig)
NAMES = ["input_ids", "attention_mask", "token_type_ids", "bbox"]


def placed(**settings):
    """Return samples that say where their words stand on a page, beside what no model takes."""
    given = TOKENIZER(TEXTS, **settings)
    samples = [{name: given[name][place] for name in given} for place in range(len(TEXTS))]
    for place, sample in enumerate(samples):
        boxes = np.random.default_rng(place).integers(0, 900, (24, 4))[: len(sample["input_ids"])]
        boxes = np.sort(boxes).tolist()
        score = None if place % 2 else 0.5
        sample |= {
            "bbox": boxes,
            "text": TEXTS[place],
            "idx": 7,
            "words": [None, 3],
            "score": score,
            "parts": [[1], []],
        }
    return samples


def of_arrays(**settings):
    return [{name: np.array(sample[name]) for name in NAMES} for sample in placed(**settings)]


def rows_of_layout(names):
    return rows_of(LAYOUT, [{name: torch.tensor([sample[name]]) for name in names} for sample in placed()])


WITH_PLACES = rows_of_layout(NAMES)
FORMS = {
    "samples": placed,
    "padded samples": lambda: placed(padding="max_length", max_length=24),
    "columns": lambda: {name: [sample[name] for sample in placed()] for name in (*NAMES, "text", "idx")},
    "a dataset of Hugging Face": lambda: datasets.Dataset.from_list(placed()),
    "a loader that hands them on": lambda: DataLoader(placed(), 8, collate_fn=list),
    "samples of arrays": of_arrays,
    "padded samples of arrays": lambda: of_arrays(padding="max_length", max_length=24),
}


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("form", FORMS)
def test_inputs_that_the_first_model_does_not_take(form, batch_size):
    found = run([MODEL, LAYOUT], FORMS[form](), batch_size=batch_size).members
    np.testing.assert_allclose(found[:, 0], EXPECTED, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], WITH_PLACES, rtol=0, atol=1e-6)
    assert np.abs(rows_of_layout(NAMES[:3]) - WITH_PLACES).max() > 0.05, "the places count"


class Wrapped(torch.nn.Module):
    """A model that hands on whatever it is given by name, as PEFT's."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, **named):
        return self.model(**named).logits


def test_models_that_hand_on_what_they_are_given():
    check(run(Wrapped(LAYOUT), placed(), backend="transformers"), WITH_PLACES)


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("padding", [False, True])
def test_an_input_whose_name_is_misspelt_is_refused(padding, batch_size):
    given = TOKENIZER(TEXTS, padding=padding)
    columns = {"input_ids": given["input_ids"], "text": TEXTS, "idx": list(range(20)), "label": [1] * 20}
    wrong = {**columns, "attention_masks": given["attention_mask"]}
    for form in (dict, datasets.Dataset.from_dict, samples_of):
        with pytest.raises(ValueError, match=r"input 'attention_masks': has the shape.*similar names: attention_mask,"):
            run(MODEL, form(wrong), batch_size=batch_size)
        right = {**columns, "attention_mask": given["attention_mask"]}  # what the message says
        check(run(MODEL, form(right), batch_size=batch_size), EXPECTED)
        if not padding:  # which also says to leave it out
            check(run(MODEL, form(columns), batch_size=batch_size), EXPECTED)


def samples_of(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_list_of_models_begins_with_the_one_that_takes_an_input():
    class Lengths(torch.nn.Module):
        def forward(self, input_ids, weights):
            return torch.stack([weights.sum(1).float(), input_ids.sum(1).float()], 1).softmax(1)

    samples = [{"input_ids": [2, 5, 3], "weights": [9, 9, 9]}, {"input_ids": [2, 6, 3], "weights": [4, 4, 4]}]
    two = of_texts(num_labels=2, id2label={0: "a", 1: "b"})
    with pytest.raises(ValueError, match="put first one that takes it"):
        run([two, Lengths()], samples, backend="transformers")
    found = run([Lengths(), two], samples, backend="transformers").members
    expected = rows_of(two, [{"input_ids": torch.tensor([one["input_ids"]])} for one in samples])
    np.testing.assert_allclose(found[:, 1], expected, rtol=0, atol=1e-6)


def test_one_number_per_sample_is_no_misspelt_input():
    class One(torch.nn.Module):
        def forward(self, input_ids):
            return torch.stack([input_ids, 1 - input_ids], 1) / 10

    samples = [{"input_ids": 3.0, "idx": 0.5}, {"input_ids": 4.0, "idx": 0.25}]
    for given in (samples, {"input_ids": np.array([3.0, 4.0]), "idx": np.array([0.5, 0.25])}):
        found = run(One(), given, backend="transformers", output_mode="logits")
        np.testing.assert_allclose(found.probabilities[:, 0], 1 / (1 + np.exp([-0.5, -0.7])), rtol=0, atol=1e-6)
