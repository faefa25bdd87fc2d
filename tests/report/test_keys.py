"""File names and other keys of samples, wherever a page or a figure speaks of a sample."""

import json

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.report import plot_samples, write_report
from probly.data_generator.store import open_store, save
from tests.report.pages import Page

ROWS = np.float32([[0.9, 0.1], [0.5, 0.5], [1, 0]])
NAMES = ["cat/a.png", "dog/<b> & $c$.png", "a/very/long/path/of/folders/that/ends/in/dog/c.png"]


@pytest.fixture(params=["memory", "store"])
def keyed(request, tmp_path):
    found = Distributions(ROWS, [3, 5, 8], labels=[1, 0, 0], sample_keys=NAMES)
    if request.param == "memory":
        return found
    save(tmp_path / "a.fod", found)
    return open_store(tmp_path / "a.fod")


def test_a_page_names_the_samples_that_it_lists(keyed, tmp_path):
    numbers = write_report(tmp_path / "report.html", keyed)
    page = Page(tmp_path / "report.html")
    assert all(name in page.text for name in NAMES)
    most = numbers["most_uncertain"][0]
    assert (most["index"], most["key"]) == (5, NAMES[1])
    assert json.loads(json.dumps(page.numbers))["most_uncertain"] == numbers["most_uncertain"]


def test_a_comparison_names_where_the_difference_is_largest(keyed, tmp_path):
    other = Distributions(np.float32([[0.9, 0.1], [0.25, 0.75], [1, 0]]), [3, 5, 8])
    write_report(tmp_path / "report.html", keyed, other)
    text = Page(tmp_path / "report.html").text
    assert f"5, {NAMES[1]}, class 0" in text
    assert text.count(f"5, {NAMES[1]}") == 3


def test_a_figure_names_its_samples_by_the_end_of_their_keys(keyed):
    ax = plot_samples(keyed, count=3)
    titles = [child.get_title(loc="left") for child in ax.child_axes]
    assert titles == [
        "label 0, index 5\ndog/<b> & \\$c\\$.png",
        "label 1, index 3\ncat/a.png",
        "label 0, index 8\n…/that/ends/in/dog/c.png",
    ]


def test_without_keys_there_is_the_index_alone(tmp_path):
    ax = plot_samples(Distributions(ROWS), count=1)
    assert ax.child_axes[0].get_title(loc="left") == "index 1"
    write_report(tmp_path / "report.html", Distributions(ROWS), Distributions(ROWS))
    assert "0, class 0" in Page(tmp_path / "report.html").text
