"""Class names of models that know them: those of Hugging Face's configurations."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from probly.data_generator import StoreError
from probly_data_generator_torch.classes import class_names
from tests.torch_backend.support import run

ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


class Classifier(torch.nn.Module):
    """A model that has its configuration with it, and returns its scores in an object."""

    def __init__(self, id2label):
        super().__init__()
        self.config = SimpleNamespace(id2label=id2label, num_labels=len(id2label))

    def forward(self, pixel_values):
        return SimpleNamespace(logits=pixel_values)


class Folder(list):
    classes = ("cat", "dog", "emu")


def classified(id2label, data=ROWS, **options):
    return run(data, Classifier(id2label), output_mode="logits", **options)


@pytest.mark.parametrize(
    "id2label",
    [{0: "cat", 1: "dog", 2: "emu"}, {"2": "emu", "0": "cat", "1": "dog"}, {2: "emu", 1: "dog", 0: "cat"}],
)
def test_names_are_in_the_order_of_the_columns(id2label):
    assert classified(id2label).class_names == ["cat", "dog", "emu"]


def test_ten_follows_nine():
    assert class_names(Classifier({str(place): f"c{place}" for place in sorted(range(12), key=str)})) == [
        f"c{place}" for place in range(12)
    ]


@pytest.mark.parametrize(
    "id2label",
    [
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, {0: "cat", 2: "emu"}, {1: "cat", 2: "dog", 3: "emu"},
        {0: "cat", 1: None, 2: "emu"}, {"cat": 0, "dog": 1, "emu": 2}, {},
    ],
)  # fmt: skip
def test_what_names_no_columns_is_left_out(id2label):
    assert classified(id2label).class_names is None
    labelled = Folder(zip(ROWS, [0, 1, 2, 0, 1, 2], strict=True))
    assert classified(id2label, labelled).class_names == ["cat", "dog", "emu"]


def test_one_score_becomes_two_columns_without_names():
    data = torch.utils.data.TensorDataset(torch.tensor(ROWS[:, :1]), torch.zeros(6))
    found = classified({0: "positive"}, data)
    assert (found.num_classes, found.class_names) == (2, None)


def test_contradictions_are_refused():
    names = {0: "dog", 1: "cat", 2: "emu"}
    labelled = Folder(zip(ROWS, [0, 1, 2, 0, 1, 2], strict=True))
    with pytest.raises(ValueError, match="column 0 is 'dog' to the model, but class 0 is 'cat' to the dataset"):
        classified(names, labelled)
    with pytest.raises(ValueError, match="column 0 is 'dog' to the model, but class 0 is 'cat' to the user"):
        classified(names, class_names=["cat", "dog", "emu"])


def test_names_of_an_earlier_head_give_way_to_the_users():
    stale = {place: f"class {place}" for place in range(10)}
    with pytest.raises(ValueError, match="the model names 10 classes, but returns 3 columns; set class_names"):
        classified(stale)
    assert classified(stale, class_names=["a", "b", "c"]).class_names == ["a", "b", "c"]


def test_other_names_are_another_model(tmp_path):
    classified({0: "cat", 1: "dog", 2: "emu"}, out=tmp_path / "a.fod")
    with pytest.raises(StoreError, match="class_names"):
        classified({0: "dog", 1: "cat", 2: "emu"}, out=tmp_path / "a.fod")


def test_wrapped_models_have_the_names_too():
    model = Classifier({0: "cat", 1: "dog", 2: "emu"})
    for wrapped in (model, model.forward, torch.compile(model, backend="eager")):
        assert run(ROWS, wrapped, output_mode="logits").class_names == ["cat", "dog", "emu"]
