"""Live models: whose they are, how they are given back, and heads that have no distribution."""

import copy

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertForSequenceClassification, TextClassificationPipeline, pipeline

from probly.data_generator import FirstOrderDataGenerator
from tests.transformers_backend.runs import (
    check,
    image_processor,
    of_pictures,
    of_texts,
    pictures,
    rows_of_pictures,
    rows_of_texts,
    run,
    sentences,
    tokenizer,
)

TEXTS = sentences(10)
WORDS = tokenizer()


class Own(BertForSequenceClassification):
    """A model of the user's own."""

    def forward(self, *arguments, **named):
        return super().forward(*arguments, **named).logits.softmax(-1)


class Wrapped(torch.nn.Module):
    """A model of torch around one of transformers."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids, attention_mask).logits


def test_a_backend_is_found_by_the_class():
    model = of_texts()
    for source in (model, (model, WORDS), pipeline("text-classification", model=model, tokenizer=WORDS)):
        assert FirstOrderDataGenerator(source).framework == "transformers"
    assert FirstOrderDataGenerator(of_texts(Own)).framework == "transformers"
    assert FirstOrderDataGenerator(Wrapped(model)).framework == "torch"
    assert FirstOrderDataGenerator((Wrapped(model), WORDS)).framework == "transformers"


def test_models_of_ones_own():
    """What their scores are is decided as of any model."""
    model = of_texts()
    expected = rows_of_texts(model, WORDS, TEXTS)
    found = run((of_texts(Own), WORDS), TEXTS)
    check(found, expected)
    assert found.meta["output_mode"] == "probs"
    words = tokenizer(model_input_names=["input_ids", "attention_mask"])
    check(run((Wrapped(model), words), TEXTS), rows_of_texts(model, words, TEXTS))


def test_the_torch_backend_still_takes_a_model_and_tensors():
    model = of_texts()
    encoding = dict(WORDS(TEXTS, padding=True, return_tensors="pt"))
    for backend in ("torch", "transformers", "auto"):
        check(run(model, encoding, backend=backend), rows_of_texts(model, WORDS, TEXTS))


def test_a_single_text_of_a_batch_of_small_scores_is_no_distribution():
    """That the scores are logits is known, whatever their values."""
    model = of_texts(initializer_range=1e-3)
    found = run((model, WORDS), TEXTS, batch_size=1)
    check(found, rows_of_texts(model, WORDS, TEXTS))
    assert found.meta["output_mode"] == "logits"


def test_models_and_what_prepares_their_inputs_are_given_back_as_they_were():
    model, words = of_texts().train(), tokenizer()
    before = copy.deepcopy((model.state_dict(), model.config.to_dict(), words.backend_tokenizer.to_str()))
    run((model, words), list(zip(TEXTS, range(10), strict=True)), passes=2)
    assert model.training
    assert model.config.to_dict() == before[1], "labels would set problem_type"
    assert words.backend_tokenizer.to_str() == before[2]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[0][name])


def test_a_pair_whose_weights_have_changed_is_asked_anew():
    model = of_texts()
    made = FirstOrderDataGenerator((model, WORDS))
    check(made.generate_distributions(TEXTS, progress=False), rows_of_texts(model, WORDS, TEXTS))
    with torch.no_grad():
        model.classifier.weight.mul_(-2)
    check(made.generate_distributions(TEXTS, progress=False), rows_of_texts(model, WORDS, TEXTS))


def test_a_copy_follows_the_weights_of_the_live_model_in_a_pair():
    model, processor, given = of_pictures(), image_processor(), pictures(4)
    made = FirstOrderDataGenerator((model, processor), options={"channels_last": True})
    check(made.generate_distributions(given, progress=False), rows_of_pictures(model, processor, given))
    with torch.no_grad():
        model.classifier.weight.mul_(-2)
    check(made.generate_distributions(given, progress=False), rows_of_pictures(model, processor, given))


def test_options_of_torch():
    model = of_texts()
    found = run((model, WORDS), TEXTS, options={"autocast": "bfloat16"})
    np.testing.assert_allclose(found.probabilities, rows_of_texts(model, WORDS, TEXTS), rtol=0, atol=0.05)
    assert found.meta["options"] == {"autocast": "bfloat16"}


@pytest.mark.parametrize(
    ("problem", "said"),
    [("multi_label_classification", "do not exclude each other"), ("regression", "predicts numbers")],
)
def test_heads_without_a_distribution_are_refused_with_the_way_out(problem, said):
    model = of_texts(problem_type=problem)
    with pytest.raises(ValueError, match=f"{said}.*output_transform"):
        run((model, WORDS), TEXTS)
    with pytest.raises(ValueError, match=said):
        run(model, dict(WORDS(TEXTS, padding=True, return_tensors="pt")))


def test_the_way_out_of_a_multi_label_head_works():
    model = of_texts(problem_type="multi_label_classification")
    with pytest.raises(ValueError, match="output_transform=") as caught:
        run((model, WORDS), TEXTS)
    advice = str(caught.value).partition("output_transform=")[2]
    found = run((model, WORDS), TEXTS, output_transform=eval(advice))
    with torch.no_grad():
        one = [model(**WORDS(text, return_tensors="pt")).logits[0, 0].sigmoid().item() for text in TEXTS]
    np.testing.assert_allclose(found.probabilities[:, 1], one, rtol=0, atol=1e-6)


def test_pipelines():
    model = of_texts()
    made = pipeline("text-classification", model=model, tokenizer=WORDS, function_to_apply="sigmoid")
    with pytest.raises(ValueError, match=r"pipeline \(function_to_apply 'sigmoid'\)"):
        run(made, TEXTS)
    other = pipeline("fill-mask", model=of_texts(BertForMaskedLM), tokenizer=tokenizer(mask_token="[MASK]"))
    with pytest.raises(TypeError, match="got FillMaskPipeline"):
        run(other, TEXTS)


class Shouting(TextClassificationPipeline):
    """A pipeline with a step of its own."""

    def preprocess(self, inputs, **settings):
        return super().preprocess(inputs.upper(), **settings)


def test_pipelines_with_steps_of_their_own_are_refused():
    """They would be left out."""
    own = Shouting(model=of_texts(), tokenizer=WORDS)
    with pytest.raises(
        TypeError, match=r"Shouting: has steps of its own \(preprocess\).*model=\(pipeline.model, pipeline"
    ):
        run(own, TEXTS)
    changed = pipeline("text-classification", model=of_texts(), tokenizer=WORDS)
    changed.postprocess = lambda outputs, **settings: outputs
    with pytest.raises(TypeError, match=r"steps of its own \(postprocess\)"):
        run(changed, TEXTS)


def test_one_score_is_that_of_the_second_of_two_classes():
    model = of_texts(num_labels=1, id2label={0: "yes"})
    with torch.no_grad():
        scores = [model(**WORDS(text, return_tensors="pt")).logits.sigmoid().item() for text in TEXTS]
    found = run((model, WORDS), TEXTS)
    np.testing.assert_allclose(found.probabilities[:, 1], scores, rtol=0, atol=1e-6)
    assert found.class_names is None


def test_names_that_nobody_gave_are_none():
    assert run((of_texts(id2label=None, num_labels=3), WORDS), TEXTS).class_names is None


def test_what_is_no_model_is_refused():
    for wrong, said in ((len, "got a function"), (3, "got int"), ((of_texts(), 3), "as the second, got int")):
        with pytest.raises(TypeError, match=said):
            run(wrong, TEXTS, backend="transformers")
    with pytest.raises(TypeError, match=r"got Tokenizer; wrap it: PreTrainedTokenizerFast\(tokenizer_object="):
        run((of_texts(), WORDS.backend_tokenizer), TEXTS)
    with pytest.raises(TypeError, match="the model takes pictures"):
        run((of_pictures(), image_processor()), TEXTS)


WRONG = {
    "a text is missing": (["a cat", None], "sample 1: expected a text.*got None"),
    "a number": ([("a cat", 1), (3, 1)], "sample 1: expected a text.*got 3"),
    "several texts of unknown meaning": (
        [{"premise": "a", "hypothesis": "b", "label": 0}], "keys 'premise', 'hypothesis'.*is not guessed; set input_g"
    ),
    "another column": ({"text": ["a"], "id": [7]}, "keys 'text', 'id'.*is not guessed"),
    "two kinds": (["a cat", {"input_ids": [2, 3]}], "samples of a batch are texts and tokens"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_inputs_of_another_kind_are_refused_by_name(what):
    given, said = WRONG[what]
    with pytest.raises(TypeError, match=said):
        run((of_texts(), WORDS), given)
