"""The page: what it says, and what it does with whatever stands in a file."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probly.data_generator import Distributions
from probly.data_generator.comparison import compare
from probly.data_generator.installing import install_advice
from probly.data_generator.report import summarise, write_report
from probly.data_generator.store import open_partial
from probly_data_generator_report.figures import draw_all
from probly_data_generator_report.markup import Html, element
from probly_data_generator_report.pictures import as_picture, pictures
from tests.report.pages import Page
from tests.report.report_reference import sample_distributions, sample_rows
from tests.store import stores

ROOT = Path(__file__).parents[2]


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
    assert install_advice("probly-data-generator[report]") in done.stderr


@pytest.mark.parametrize(("name", "accuracy"), [("docs/report.md", 0.8), ("plugins/report/README.md", 0.7)])
def test_the_blocks_of_the_documentation_run(tmp_path, name, accuracy):
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Page(tmp_path / "report.html").numbers["accuracy"] > accuracy
