"""The numbers of a report against their definitions, and what the page does with whatever stands in a file."""

import json
import re
import subprocess
import sys
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probly.data_generator import Distributions
from probly.data_generator.comparison import compare
from probly.data_generator.metrics import report as metrics_report
from probly.data_generator.report import summarise, write_report
from probly.data_generator.report import summary as summary_module
from probly.data_generator.store import fod, open_partial, open_store
from probly_data_generator_report.figures import draw_all
from probly_data_generator_report.markup import Html, element
from probly_data_generator_report.numbers import largest_confusions, numbers
from probly_data_generator_report.pictures import as_picture, pictures
from probly_data_generator_report.scores import Histogram, Reliability, bin_numbers, entropies
from tests.store import stores
from tests.report.report_reference import expected_means, expected_scores, sample_distributions, sample_rows

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, the text, and the JSON."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self.json, self._script = [], "", "", None
        self.feed(path.read_text(encoding="utf-8"))
        self.numbers = json.loads(self.json)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs).get("type") if tag == "script" else None

    def handle_data(self, data):
        if self._script == "application/json":
            self.json += data
        else:
            self.text += data

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


# The numbers


@pytest.mark.parametrize("form", ["memory", "float32", "float16", "top-4"])
def test_the_numbers_are_those_of_their_definitions(form, tmp_path, monkeypatch):
    monkeypatch.setattr(summary_module, "NUMBERS_AT_ONCE", 150)  # many blocks, which end anywhere in a shard
    monkeypatch.setattr(fod, "ROWS_AT_ONCE", 40)
    distributions = sample_distributions(0, 501, 7)
    if form != "memory":
        fod.write(tmp_path / "a.fod", distributions, {}, form, megabytes=0.001)
        distributions = open_store(tmp_path / "a.fod")
        assert len(list((tmp_path / "a.fod" / "shards").iterdir())) > 3
    rows, labels = np.asarray(distributions), distributions.labels
    summary = summarise(distributions, bins=10)
    expected = expected_scores(rows, labels, bins=10)
    assert summary.scores.keys() == expected.keys()
    for name, value in summary.scores.items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-6, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(summary.mass.means, expected_means(rows, labels), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(summary.mass.counts, np.bincount(labels, minlength=7))
    np.testing.assert_array_equal(summary.predicted, np.bincount(rows.argmax(axis=1), minlength=7))


def test_the_scores_are_those_that_generate_reports():
    distributions = sample_distributions(1, 200, 5)
    found, known = summarise(distributions).scores, metrics_report(distributions)
    for name, value in known["metrics"].items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(found["mean_confidence"], known["confidence"]["mean"], rtol=1e-6)
    np.testing.assert_allclose(summarise(distributions).confidence.std, known["confidence"]["std"], rtol=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 12), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_any_rows_give_finite_numbers_that_agree_with_their_definitions(seed, rows, classes, bins):
    values, labels = sample_rows(seed, rows, classes)
    summary = summarise(Distributions(values), labels, bins=bins)
    expected = expected_scores(values, labels, bins)
    for name, value in summary.scores.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert summary.entropy.counts.sum() == summary.confidence.counts.sum() == summary.reliability.counts.sum() == rows
    found = json.loads(json.dumps(numbers(summary), allow_nan=False))
    assert found["samples"] == rows
    assert [one["index"] for one in found["most_uncertain"]] == [one.dataset_index for one in summary.uncertain]


@given(st.lists(st.floats(0, 1), max_size=50), st.integers(1, 30))
def test_every_value_is_in_one_bin_that_is_open_below_and_closed_above(values, bins):
    array, edges = np.array(values), np.linspace(0, 1, bins + 1)
    found = bin_numbers(array, edges)
    for value, number in zip(values, found.tolist(), strict=True):
        assert edges[number] < value <= edges[number + 1] or (value == number == 0)


def test_calibration_on_rows_of_which_everything_is_known():
    bins = Reliability.empty(4)
    bins.add(np.array([0.5, 0.5, 0.75, 1.0, 0.5001]), np.array([True, False, True, True, False]))
    assert bins.counts.tolist() == [0, 2, 2, 1]
    assert bins.accuracy.tolist() == [0, 0.5, 0.5, 1]
    np.testing.assert_allclose(bins.confidence, [0, 0.5, (0.75 + 0.5001) / 2, 1])
    np.testing.assert_allclose(bins.expected_calibration_error, 2 / 5 * abs(0.5 - (0.75 + 0.5001) / 2))


def test_entropy_knows_its_extremes():
    assert entropies(np.eye(4, dtype=np.float32)).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(entropies(np.full((1, 8), 0.125, np.float32)), [np.log(8)], rtol=1e-6)


def test_a_histogram_of_nothing_has_no_nan():
    empty = Histogram.empty(1.0, 5)
    assert (empty.mean, empty.std, empty.total) == (0, 0, 0)


@pytest.mark.parametrize("at_once", [6, 1 << 20])
def test_the_most_uncertain_samples_come_first_and_of_equal_ones_the_earliest(at_once, monkeypatch):
    monkeypatch.setattr(summary_module, "NUMBERS_AT_ONCE", at_once)
    rows = {30: [0.5, 0.5], 10: [0.5, 0.5], 20: [1.0, 0.0], 40: [0.75, 0.25], 5: [0.75, 0.25]}
    summary = summarise(rows, [0, 1, 1, 0, 1], samples=3)  # in the order of the indices: 5, 10, 20, 30, 40
    assert [sample.dataset_index for sample in summary.uncertain] == [10, 30, 5]
    assert [sample.dataset_index for sample in summary.unexpected] == [20, 40, 10]
    assert [sample.label for sample in summary.unexpected] == [1, 1, 1]
    np.testing.assert_array_equal(summary.uncertain[2].row, np.float32([0.75, 0.25]))


def test_the_largest_confusions_are_those_of_the_means():
    rows, labels = sample_rows(3, 300, 6)
    means = expected_means(rows, labels)
    np.fill_diagonal(means, 0)
    found = largest_confusions(summarise(Distributions(rows), labels), count=5)
    np.testing.assert_allclose([pair[2] for pair in found], np.sort(means.ravel())[::-1][:5], rtol=1e-6)
    for source, target, value, count in found:
        np.testing.assert_allclose(means[int(source), int(target)], value, rtol=1e-6)
        assert count == (labels == int(source)).sum()


def test_above_1024_classes_neighbours_are_counted_together():
    rows, labels = sample_rows(4, 60, 2500, sharpness=0.01)
    summary = summarise(Distributions(rows), labels)
    assert summary.mass.width == 3
    assert summary.group_names()[0] == "0-2"
    assert summary.group_names()[-1] == "2499-2499"
    wide = np.zeros((60, 834 * 3))
    wide[:, :2500] = rows
    grouped = wide.reshape(60, 834, 3).sum(axis=2)
    for group in np.unique(labels // 3):
        np.testing.assert_allclose(summary.mass.means[group], grouped[labels // 3 == group].mean(axis=0), atol=1e-7)


# Labels


def test_labels_are_found_by_the_names_of_classes():
    meta = {"class_names": ["ape", "bee", "cow"]}
    rows, labels = sample_rows(5, 40, 3)
    named = Distributions(rows, labels=np.array(meta["class_names"])[labels], meta=meta)
    assert summarise(named).scores == summarise(Distributions(rows, labels=labels)).scores
    assert summarise(Distributions(rows), np.eye(3, dtype=int)[labels]).scores == summarise(named).scores


@pytest.mark.parametrize("labels", [["a", "x"], [-1, 1], [0, 2], [0.5, 1.0]])
def test_stored_labels_that_are_no_classes_are_named_on_the_page_and_given_ones_are_refused(labels, tmp_path):
    rows, meta = [[0.5, 0.5], [1, 0]], {"class_names": ["a", "b"]}
    found = write_report(tmp_path / "a.html", Distributions(rows, labels=labels, meta=meta))
    assert found["accuracy"] is found["reliability"] is None
    assert "labels: expected class indices" in found["labels"]
    page = Page(tmp_path / "a.html")
    assert found["labels"] in page.text
    assert "reliability" not in page.ids()
    before = (tmp_path / "a.html").read_bytes()
    with pytest.raises(ValueError, match="labels: expected class indices"):
        write_report(tmp_path / "a.html", Distributions(rows, meta=meta), labels=labels)
    assert (tmp_path / "a.html").read_bytes() == before, "the old page stays"


def test_another_number_of_labels_than_rows_is_refused():
    with pytest.raises(ValueError, match=r"labels: expected 2, one per row, got the shape \(3,\)"):
        summarise({0: [0.5, 0.5], 1: [1, 0]}, [0, 1, 1])
    with pytest.raises(ValueError, match="bins, samples"):
        summarise({0: [0.5, 0.5]}, bins=0)


# The page


@pytest.mark.parametrize(
    ("distributions", "drawn"),
    [
        (Distributions(np.zeros((0, 0))), 0),
        (Distributions(np.zeros((0, 3))), 0),
        (Distributions([[1.0], [1.0]], labels=[0, 0]), 6),
        (Distributions([[0.5, 0.5]], [7]), 5),
        (Distributions([[0.5, 0.25, 0.25]], [7], labels=[2]), 7),
        (sample_distributions(6, 5, 1500), 6),
    ],
    ids=["nothing", "no rows", "one class", "one row", "three classes", "many classes"],
)
def test_small_and_large_sets_all_give_a_page(distributions, drawn, tmp_path):
    found = write_report(tmp_path / "a.html", distributions)
    page = Page(tmp_path / "a.html")
    assert page.numbers == json.loads(json.dumps(found))
    assert sum(tag == "svg" for tag, _ in page.elements) == drawn
    assert "nan" not in re.sub(r"<style.*?</style>", "", page.text, flags=re.DOTALL).lower().split()
    assert len(page.ids()) == len(set(page.ids())), "ids are unique in the page, or clips and labels would mix"
    assert f"{len(distributions):,} samples" in page.text


def test_the_page_says_what_was_run(tmp_path):
    store = stores.run(tmp_path / "teacher.fod", model_name="mlp")
    write_report(tmp_path / "a.html", store)
    page = Page(tmp_path / "a.html")
    for text in ("teacher.fod", "mlp", store.meta["timestamp"], store.spec.id, "identity.dataset.content", "float32"):
        assert text in page.text
    assert str(tmp_path) not in page.text, "a page that is passed on names no folders of its author"
    assert page.numbers["provenance"]["backend"] == "numpy"


def test_the_page_says_that_a_store_is_incomplete_or_keeps_only_the_largest(tmp_path):
    stores.run(tmp_path / "a.fod", representation="top-2")
    (tmp_path / "a.fod" / "manifest.json").unlink()
    next((tmp_path / "a.fod" / "shards").iterdir()).unlink()
    store = open_partial(tmp_path / "a.fod")
    write_report(tmp_path / "a.html", store)
    text = Page(tmp_path / "a.html").text
    assert f"The store is incomplete: the report covers the {len(store)} of 43 rows" in text
    assert "The store keeps the 2 largest probabilities of each row" in text


HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(1)">'


def test_text_from_files_is_only_ever_text(tmp_path):
    meta = {
        "class_names": [HOSTILE, "$x^{"],
        "model_name": HOSTILE,
        "nested": {HOSTILE: HOSTILE},
        "control": "\x00\ud800",
    }
    hostile = Distributions([[0.5, 0.5], [1, 0]], labels=[HOSTILE, "$x^{"], meta=meta)
    path = tmp_path / "a.html"
    write_report(path, hostile, hostile, title=HOSTILE, figures=tmp_path / "figures")
    page = Page(path)
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [
        {"type": "application/json", "id": "numbers"}
    ]
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 5, "it is there, as text"
    assert page.numbers["class_balance"]["classes"] == [HOSTILE, "$x^{"]
    assert not set("<>&") & set(page.json), "nothing can end the element that holds the numbers"
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


@given(st.text(), st.text())
def test_elements_escape_everything_that_is_not_html(text, value):
    found = element("p", text, Html("<br>"), title=value)
    parser = HTMLParser()
    seen = []
    parser.handle_starttag = lambda tag, attributes: seen.append((tag, attributes))
    parser.feed(found)
    assert [tag for tag, _ in seen] == ["p", "br"]
    assert [name for name, _ in seen[0][1]] == ["title"]


def test_the_same_distributions_give_the_same_page(tmp_path):
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, sample_distributions(7, 50, 3, model_name="m"))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_figures_folder_has_every_figure_twice_and_every_number(tmp_path):
    distributions = sample_distributions(8, 50, 3)
    found = write_report(tmp_path / "a.html", distributions, figures=tmp_path / "new" / "figures")
    names = {figure.name for figure in draw_all(summarise(distributions), None, None, None)}
    assert names > {"entropy", "confidence", "reliability", "mean_distribution", "confusion", "samples", "simplex"}
    files = {path.name for path in (tmp_path / "new" / "figures").iterdir()}
    assert files == {f"{name}.{form}" for name in names for form in ("png", "svg")} | {"report.json"}
    assert json.loads((tmp_path / "new" / "figures" / "report.json").read_text()) == json.loads(json.dumps(found))


def test_two_sets_are_compared(tmp_path):
    first, second = sample_distributions(9, 60, 4, model_name="one"), sample_distributions(10, 70, 4, model_name="two")
    found = write_report(tmp_path / "a.html", first, second)
    assert found["comparison"] == compare(first, second)
    assert found["other"]["accuracy"] == summarise(second).scores["accuracy"]
    page = Page(tmp_path / "a.html")
    assert "60 rows have the same dataset index" in page.text
    assert "comparison" in page.ids()
    with pytest.raises(ValueError, match="expected as many classes in both"):
        write_report(tmp_path / "a.html", first, sample_distributions(9, 60, 3))


# Pictures


def test_inputs_of_many_forms_are_pictures():
    grey = np.arange(42, dtype=np.uint8).reshape(6, 7) * 6
    np.testing.assert_array_equal(as_picture(grey), grey)
    np.testing.assert_array_equal(as_picture(grey[:, :, None]), grey)
    np.testing.assert_array_equal(as_picture(grey[None] / np.float32(255)), grey)
    colour = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(as_picture(np.moveaxis(colour, 2, 0)), colour)
    stretched = as_picture(np.array([[-2.0, 0.0, 2.0]]))
    assert stretched.tolist() == [[0, 128, 255]]
    assert as_picture(np.zeros((4, 4))).max() == 0
    for other in ("text", 3.0, [[1], [2, 3]], np.zeros(64), np.zeros((2, 2, 2, 2)), np.full((2, 2), np.nan), None):
        assert as_picture(other) is None


def test_pictures_come_by_dataset_index_from_every_form_of_dataset():
    images = np.arange(5 * 4).reshape(5, 2, 2).astype(np.uint8)
    labels = np.arange(5)
    samples = [(image, label) for image, label in zip(images, labels, strict=True)]
    mappings = [{"label": label, "image": image} for image, label in samples]
    for dataset, getter in (
        (images, None),
        ((images, labels), None),
        (samples, None),
        (mappings, None),
        (mappings, lambda sample: sample["image"]),
    ):
        found = pictures(dataset, [3, 1], getter)
        assert list(found) == [3, 1]
        np.testing.assert_array_equal(found[3], images[3])


def test_the_listed_samples_show_their_own_pictures(tmp_path):
    from PIL import Image

    rows, labels = sample_rows(11, 30, 4)
    images = np.zeros((30, 6, 6), np.uint8)
    images[:, 0, 0] = np.arange(30)
    found = write_report(tmp_path / "a.html", Distributions(rows, labels=labels), inputs=images, samples=4)
    shown = [attributes for tag, attributes in Page(tmp_path / "a.html").elements if tag == "img"]
    listed = [one["index"] for one in [*found["most_uncertain"], *found["least_expected"]]]
    assert len(shown) == len(listed) == 8
    for attributes, index in zip(shown, listed, strict=True):
        import base64
        import io

        picture = Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2])))
        assert np.asarray(picture)[0, 0] == index
        assert str(index) in attributes["alt"]


def test_inputs_that_are_no_pictures_are_named(tmp_path):
    write_report(tmp_path / "a.html", {0: [0.5, 0.5]}, inputs=np.zeros((1, 64)))
    assert "The inputs that were given are no pictures." in Page(tmp_path / "a.html").text


# Cost


def peak_bytes(path):
    store = open_store(path)
    tracemalloc.start()
    summarise(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    values, labels = np.tile(sample_rows(12, 1000, 100)[0], (80, 1)), np.arange(80_000) % 100
    peaks = []
    for rows in (20_000, 80_000):
        path = tmp_path / f"{rows}.fod"
        fod.write(path, Distributions(values[:rows], labels=labels[:rows]), {}, "float16", megabytes=1)
        peaks.append(peak_bytes(path))
    indices_and_labels = 60_000 * 8 * 6
    assert peaks[1] < peaks[0] + indices_and_labels, peaks
    assert peaks[1] < 40 * 2**20 < 2 * values.nbytes, peaks


def test_importing_the_report_imports_no_matplotlib():
    code = (
        "import sys, probly.data_generator.report as report\n"
        "repr(report.summarise({0: [0.5, 0.5]}).scores)\n"
        "report.Summary, print([name for name in ('matplotlib', 'PIL', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_matplotlib_the_error_says_what_to_install(tmp_path):
    code = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'matplotlib': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from probly.data_generator.report import write_report\n"
        f"write_report({str(tmp_path / 'a.html')!r}, {{0: [0.5, 0.5]}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'pip install "probly-data-generator[report]"' in done.stderr


# The documentation


def test_the_blocks_of_the_documentation_run(tmp_path):
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Page(tmp_path / "report.html").numbers["accuracy"] > 0.8
