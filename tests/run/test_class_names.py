"""What the columns are called: by the model, the dataset or the user, and what happens where two of them disagree."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.metrics import report
from probly.data_generator.run.class_names import dataset_class_names, known_columns
from probly.data_generator.testing import reference

ROWS = reference.softmax(reference.samples(rows=6, shape=(2,))[0])
BEST = ROWS.argmax(axis=1)


class Model:
    def __init__(self, classes):
        self.classes_ = np.array(classes)

    def predict_proba(self, batch):
        return batch


class Folder(list):
    """A dataset whose labels count its classes, as a folder of pictures has them."""

    classes = ("cat", "dog")


class ClassLabel:
    names = ("cat", "dog")


def run(model, dataset, **options):
    made = FirstOrderDataGenerator(model, backend="numpy", **options)
    return made.generate_distributions(dataset, progress=False)


def itself(batch):
    return batch


FOLDER = Folder(zip(ROWS, BEST.tolist(), strict=True))


def test_the_datasets_names_are_taken_where_nobody_else_has_any():
    assert run(itself, FOLDER).class_names == ["cat", "dog"]
    assert run(Model([0, 1]), FOLDER).class_names == ["cat", "dog"]
    assert run(itself, FOLDER, class_names=["cat", "dog"]).class_names == ["cat", "dog"]
    assert run(itself, FOLDER, label_getter=lambda sample: sample[1]).class_names is None
    narrow = Folder(zip(ROWS, BEST.tolist(), strict=True))
    narrow.classes = ("cat", "dog", "emu")  # other columns than the model's
    assert run(itself, narrow).class_names is None


@pytest.mark.parametrize("dataset", [FOLDER, SimpleNamespace(dataset=SimpleNamespace(dataset=FOLDER))])
def test_names_are_found_behind_what_wraps_a_dataset(dataset):
    assert dataset_class_names(dataset) == ["cat", "dog"]


@pytest.mark.parametrize("column", ["label", "labels"])
def test_names_are_found_in_the_features_of_a_table(column):
    assert dataset_class_names(SimpleNamespace(features={column: ClassLabel(), "image": None})) == ["cat", "dog"]
    assert dataset_class_names(SimpleNamespace(features={"image": ClassLabel()})) is None


@pytest.mark.parametrize("classes", [None, 3, "ab", [], [1, 2], np.arange(2), property])
def test_what_else_is_called_classes_is_not_taken(classes):
    assert dataset_class_names(SimpleNamespace(classes=classes)) is None


def test_two_who_disagree_are_named():
    with pytest.raises(
        ValueError, match=r"column 0 is 'dog' to the model, but class 0 is 'cat' to the dataset.*label_g"
    ):
        run(Model(["dog", "cat"]), FOLDER)
    with pytest.raises(ValueError, match="column 0 is 'dog' to the user, but class 0 is 'cat' to the dataset"):
        run(itself, FOLDER, class_names=["dog", "cat"])
    with pytest.raises(ValueError, match="column 1 is 'dog' to the model, but class 1 is 'emu' to the user"):
        run(Model(["cat", "dog"]), ROWS, class_names=["cat", "emu"])
    with pytest.raises(ValueError, match="the model names 2 classes, the dataset names 1"):
        known_columns(2, user=None, model=["cat", "dog"], classes=None, dataset=["cat"])


def test_and_the_way_out_works():
    found = run(Model(["dog", "cat"]), FOLDER, label_getter=lambda sample: None)
    assert (found.class_names, found.labels) == (["dog", "cat"], None)
    named = run(Model(["dog", "cat"]), FOLDER, label_getter=lambda sample: Folder.classes[1 - sample[1]])
    assert report(named)["metrics"]["accuracy"] == 1.0


@pytest.mark.parametrize("classes", [[1, 2], [1.0, 2.0], [False, True], [0, 1]])
def test_classes_that_are_numbers_may_be_given_names(classes):
    found = run(Model(classes), (ROWS, np.array(classes)[BEST]), class_names=["cat", "dog"])
    assert found.class_names == ["cat", "dog"]
    assert report(found)["metrics"]["accuracy"] == 1.0


def test_placeholders_are_no_names():
    found = known_columns(2, user=["a", "b"], model=["LABEL_0", "LABEL_1"], classes=None, dataset=None)
    assert found.names == ["a", "b"]


def test_names_of_another_number_of_columns_give_way_to_the_users():
    settings = {"model": ["a", "b", "c"], "classes": None, "dataset": None}
    with pytest.raises(ValueError, match="the model names 3 classes, but returns 2 columns; set class_names"):
        known_columns(2, user=None, **settings)
    assert known_columns(2, user=["no", "yes"], **settings).names == ["no", "yes"]


def test_class_names_that_are_numbers_say_what_labels_are():
    found = run(itself, (ROWS, BEST + 1), class_names=[1, 2])
    assert (found.class_names, found.classes) == (["1", "2"], [1, 2])
    assert report(found)["metrics"]["accuracy"] == 1.0


@pytest.mark.parametrize("names", [{1: "dog", 0: "cat"}, {"0": "cat", "1": "dog"}, {np.int64(0): "cat", 1: "dog"}])
def test_a_dictionary_is_read_by_its_columns(names):
    assert run(itself, ROWS, class_names=names).class_names == ["cat", "dog"]


@pytest.mark.parametrize("names", [{"cat": 0, "dog": 1}, {1: "cat", 2: "dog"}, {0: "cat", 2: "dog"}])
def test_another_dictionary_is_refused(names):
    with pytest.raises(
        TypeError, match=r"a dictionary with the columns 0 to 1 as keys.*sorted\(names, key=names.get\)"
    ):
        run(itself, ROWS, class_names=names)
    assert sorted({"dog": 1, "cat": 0}, key={"dog": 1, "cat": 0}.get) == ["cat", "dog"]


@pytest.mark.parametrize("wrap", [np.array, lambda names: dict.fromkeys(names).keys(), pd.Index, pd.Series])
def test_class_names_in_any_sequence(wrap):
    found = run(itself, (ROWS, np.array(["dog", "cat"])[BEST]), class_names=wrap(["dog", "cat"]))
    assert found.class_names == ["dog", "cat"]
    assert report(found)["metrics"]["accuracy"] == 1.0
    numbered = run(itself, (ROWS, np.array([7, 3])[BEST]), class_names=np.array([7, 3]))
    assert report(numbered)["metrics"]["accuracy"] == 1.0, "numbers of NumPy are numbers"


@pytest.mark.parametrize("classes", [[0, 1], [3, 7], [False, True]])
def test_numbers_are_not_given_each_others_names(classes):
    with pytest.raises(ValueError, match=f"column 0 is '{classes[0]}' to the model, but class 0 is '{classes[1]}' to"):
        run(Model(classes), (ROWS, np.array(classes)[BEST]), class_names=[str(one) for one in classes[::-1]])
