"""What changes a model of transformers: each change is refused by a store; what changes nothing is not."""

import json
import shutil

import pytest
import torch
from tokenizers import Tokenizer, normalizers
from transformers import pipeline

from probly.data_generator import StoreError
from tests.transformers_backend.runs import image_processor, of_pictures, of_texts, pictures, run, sentences, tokenizer

TEXTS, PICTURES = sentences(8), pictures(4)


def with_vocabulary(change):
    """Return a tokenizer whose own library's settings were changed."""
    words = tokenizer()
    known = json.loads(words.backend_tokenizer.to_str())
    change(known)
    words._tokenizer = Tokenizer.from_str(json.dumps(known))
    return words


def swapped(known):
    words = known["model"]["vocab"]
    words["cat"], words["dog"] = words["dog"], words["cat"]


def changed(change, **settings):
    model = of_texts(**settings)
    with torch.no_grad():
        change(model)
    return model


def normalised():
    words = tokenizer()
    words.backend_tokenizer.normalizer = normalizers.Replace("cat", "dog")
    return words


def piped(**settings):
    return pipeline("text-classification", model=of_texts(), tokenizer=tokenizer(), **settings)


CHANGES = {
    "a weight": lambda: (changed(lambda model: model.classifier.weight[0, 0].add_(0.25)), tokenizer()),
    "a buffer": lambda: (changed(lambda model: model.bert.embeddings.token_type_ids.add_(1)), tokenizer()),
    "an activation": lambda: (of_texts(hidden_act="relu"), tokenizer()),
    "a setting": lambda: (of_texts(layer_norm_eps=1e-3), tokenizer()),
    "a class name": lambda: (of_texts(id2label={0: "bad", 1: "good", 2: "fair"}), tokenizer()),
    "a vocabulary": lambda: (of_texts(), with_vocabulary(swapped)),
    "a normaliser": lambda: (of_texts(), normalised()),
    "where texts are cut": lambda: (of_texts(), tokenizer(model_max_length=20)),
    "which end is cut": lambda: (of_texts(), tokenizer(truncation_side="left")),
    "what the model gets": lambda: (of_texts(), tokenizer(model_input_names=["input_ids", "attention_mask"])),
    "how a pipeline calls it": lambda: piped(add_special_tokens=False),
    "no tokenizer": of_texts,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.fod"
    run((of_texts(), tokenizer()), TEXTS, out=path)
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(store, change):
    with pytest.raises(StoreError, match=r"model digest: the store has 'sha256:|class_names"):
        run(CHANGES[change](), TEXTS, out=store)


def called(words):
    """Return a tokenizer that was called in another way before."""
    words(TEXTS, padding="max_length", max_length=9, truncation=True)
    return words


SAME = {
    "itself": lambda folder: (of_texts(), tokenizer()),
    "saved and opened": lambda folder: folder,
    "in another place": lambda folder: shutil.copytree(folder, folder.parent / "moved", dirs_exist_ok=True),
    "a tokenizer that was used": lambda folder: (of_texts(), called(tokenizer())),
    "the mode": lambda folder: (of_texts().train(), tokenizer()),
}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_nothing_is_not(store, bert, change):
    assert run(SAME[change](bert), TEXTS, out=store) == run((of_texts(), tokenizer()), TEXTS)


def test_settings_of_an_image_processor_count(tmp_path):
    run((of_pictures(), image_processor()), PICTURES, out=tmp_path / "a.fod")
    run((of_pictures(), image_processor()), PICTURES, out=tmp_path / "a.fod")
    other = image_processor()
    other.image_mean = [0.5, 0.5, 0.4]
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run((of_pictures(), other), PICTURES, out=tmp_path / "a.fod")
    with pytest.raises(StoreError, match="dataset content"):
        run((of_pictures(), image_processor()), PICTURES[::-1], out=tmp_path / "a.fod")
