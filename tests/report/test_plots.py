"""What the plots draw is what was counted, on any axes, and nothing global remembers it."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from probly.data_generator import Distributions, report
from probly_data_generator_report import class_plots, simplex
from probly_data_generator_report.style import short_names
from probly_data_generator_report.svg import inline_svg, render
from tests.report.report_reference import expected_means, sample_distributions, sample_rows

PLOTS = [
    report.plot_class_balance,
    report.plot_confidence,
    report.plot_confusion,
    report.plot_entropy,
    report.plot_mean_distribution,
    report.plot_reliability,
    report.plot_samples,
    report.plot_simplex,
]
THREE = sample_distributions(0, 90, 3)


def svg_text(ax):
    root = ET.fromstring(render(ax, "svg"))
    return " ".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("text"))


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_draws_on_the_axes_it_is_given_or_on_its_own(plot):
    ax = Figure().add_subplot()
    assert plot(THREE, ax=ax) is ax
    assert ax.has_data() or ax.child_axes
    own = plot(report.summarise(THREE))
    assert own.figure is not ax.figure
    assert render(own, "png").startswith(b"\x89PNG")
    assert own.figure._repr_png_().startswith(b"\x89PNG")
    assert svg_text(own)


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_leaves_matplotlib_as_it_was(plot):
    before = dict(mpl.rcParams)
    plot(THREE)
    assert dict(mpl.rcParams) == before


def test_no_plot_opens_a_window_or_tells_pyplot(tmp_path):
    code = (
        "import sys\n"
        "from probly.data_generator import Distributions, report\n"
        "rows = [[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]\n"
        "rows = Distributions(rows, columns={'members': [[row, row] for row in rows]})\n"
        "for name in report.__all__:\n"
        "    if name.startswith('plot_'):\n"
        "        getattr(report, name)(report.summarise(rows, [0, 1])).figure.savefig(name + '.png')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "False", done.stderr
    assert len(list(tmp_path.iterdir())) == len(PLOTS) + 1  # and plot_members, which wants members


def test_the_histograms_show_the_counts():
    summary = report.summarise(THREE)
    for plot, histogram in ((report.plot_entropy, summary.entropy), (report.plot_confidence, summary.confidence)):
        (steps,) = plot(summary).patches
        np.testing.assert_array_equal(steps.get_data().values, histogram.counts)
        np.testing.assert_array_equal(steps.get_data().edges, histogram.edges)


def test_two_sets_share_a_histogram():
    second = sample_distributions(1, 50, 3, model_name="other")
    ax = report.plot_entropy(THREE, other=second)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["distributions", "other"]
    np.testing.assert_array_equal(ax.patches[1].get_data().values, report.summarise(second).entropy.counts)
    same = report.plot_confidence(THREE, other=THREE)
    assert [text.get_text() for text in same.get_legend().get_texts()] == ["distributions (1)", "distributions (2)"]


def test_the_reliability_diagram_shows_accuracy_confidence_and_counts():
    bins = report.summarise(THREE, bins=8).reliability
    ax = report.plot_reliability(THREE, bins=8)
    used = bins.counts > 0
    bars = [patch for patch in ax.patches if patch.get_width() == pytest.approx(1 / 8)]
    np.testing.assert_allclose([bar.get_height() for bar in bars], bins.accuracy[used])
    lines = ax.collections[0].get_segments()
    np.testing.assert_allclose([segment[0][1] for segment in lines], bins.confidence[used])
    (steps,) = ax.child_axes[0].patches
    np.testing.assert_array_equal(steps.get_data().values, bins.counts)
    with pytest.raises(ValueError, match="needs labels"):
        report.plot_reliability({0: [0.5, 0.5]})


def test_the_confusion_shows_the_mean_rows_and_marks_classes_without_samples():
    rows, labels = sample_rows(2, 80, 5)
    chosen = labels != 3
    ax = report.plot_confusion(Distributions(rows[chosen]), labels[chosen])
    shown = ax.images[0].get_array()
    assert shown.mask[3].all()
    assert not shown.mask[[0, 1, 2, 4]].any()
    expected = np.clip(expected_means(rows[chosen], labels[chosen]), class_plots.SMALLEST_MASS, 1)
    np.testing.assert_allclose(shown[[0, 1, 2, 4]], expected[[0, 1, 2, 4]], rtol=1e-5)


@pytest.mark.parametrize("classes", [150, 1200])
def test_the_confusion_of_many_classes_loses_no_mass(classes):
    rows, labels = sample_rows(3, 400, classes, sharpness=0.01)
    cells, width = class_plots.confusion_cells(report.summarise(Distributions(rows), labels).mass)
    assert len(cells) <= class_plots.CELLS_AT_MOST < len(cells) * width
    np.testing.assert_allclose(cells.sum(axis=1).compressed(), 1, atol=1e-5)
    ax = report.plot_confusion(Distributions(rows), labels)
    assert "class number" in ax.get_xlabel()


def test_the_bars_of_a_class_add_up_to_its_mean_row():
    ax = report.plot_mean_distribution(THREE)
    means = expected_means(THREE.probabilities, THREE.labels)
    for place in range(3):
        bars = [bar for bar in ax.patches if abs(bar.get_y() + bar.get_height() / 2 - place) < 0.1]
        np.testing.assert_allclose(bars[0].get_width(), means[place, place], rtol=1e-5)
        np.testing.assert_allclose(sum(bar.get_width() for bar in bars), 1, rtol=1e-5)


def test_of_many_classes_those_with_the_least_mass_of_their_own_are_shown():
    rows, labels = sample_rows(4, 2000, 40)
    summary = report.summarise(Distributions(rows), labels)
    shown = class_plots.least_own_mass(summary.mass, 20)
    own = np.diag(summary.mass.means)
    assert len(shown) == 20
    assert own[shown].max() <= np.delete(own, shown).min()
    labels_shown = [text.get_text() for text in report.plot_mean_distribution(summary).get_yticklabels()]
    assert labels_shown == [str(number) for number in shown]


def test_the_balance_shows_mean_probabilities_and_shares():
    ax = report.plot_class_balance(THREE)
    np.testing.assert_allclose(
        [bar.get_width() for bar in ax.patches], THREE.probabilities.mean(axis=0, dtype=float), rtol=1e-6
    )
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.bincount(THREE.labels, minlength=3) / len(THREE))


def test_the_simplex_shows_points_at_their_places_and_refuses_other_numbers_of_classes():
    corners = Distributions(np.eye(3), labels=[0, 1, 2])
    ax = report.plot_simplex(corners)
    points = np.concatenate([collection.get_offsets() for collection in ax.collections])
    np.testing.assert_allclose(points, [[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]], atol=1e-12)
    with pytest.raises(ValueError, match="3 classes, got 2"):
        report.plot_simplex({0: [0.5, 0.5]})


def inside(triangle, point):
    """Return whether a point lies in a triangle, by its barycentric coordinates."""
    edges = np.column_stack([triangle[0] - triangle[2], triangle[1] - triangle[2]])
    first, second = np.linalg.solve(edges, point - triangle[2])
    return min(first, second, 1 - first - second) > -1e-6


@given(st.integers(0, 10**6), st.sampled_from([0.05, 1.0, 20.0]))
@settings(max_examples=40, deadline=None)
def test_every_row_is_counted_in_the_triangle_it_lies_in(seed, sharpness):
    rows, _ = sample_rows(seed, 5, 3, sharpness)
    for row in [*rows, *np.eye(3, dtype=np.float32), np.float32([1 / 3, 1 / 3, 1 / 3]), np.float32([0.5, 0.5, 0])]:
        counts = simplex.TriangleCounts()
        counts.add(row[None], np.zeros(1, np.int64))
        polygons, numbers = counts.polygons()
        assert numbers.tolist() == [1]
        assert inside(polygons[0], simplex.positions(row.astype(float)))


def test_above_a_thousand_rows_the_simplex_counts_all_of_them():
    rows, _ = sample_rows(5, 1500, 3)
    (cells,) = report.plot_simplex(Distributions(rows)).collections
    assert cells.get_array().sum() == 1500


def test_samples_are_the_most_uncertain_with_their_pictures_and_labels_marked():
    rows, labels = sample_rows(6, 30, 12)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8)).astype(np.uint8)
    distributions = Distributions(rows, np.arange(100, 130), labels=labels)
    lookup = dict(zip(range(100, 130), images, strict=True))

    class Dataset:
        def __getitem__(self, index):
            return lookup[index], 0

    ax = report.plot_samples(distributions, Dataset(), count=3)
    chosen = report.summarise(distributions, samples=3).uncertain
    assert len(ax.child_axes) == 6
    for sample, bars, picture in zip(chosen, ax.child_axes[::2], ax.child_axes[1::2], strict=True):
        np.testing.assert_array_equal(picture.images[0].get_array(), lookup[sample.dataset_index])
        assert picture.get_title(loc="left") == f"label {sample.label}, index {sample.dataset_index}"
        names = [text.get_text() for text in bars.get_xticklabels()]
        assert str(sample.label) in names
        for name, bar in zip(names, bars.patches, strict=True):
            np.testing.assert_allclose(bar.get_height(), sample.row[int(name)])


def test_names_are_drawn_as_they_are():
    meta = {"class_names": ["$x^{", "a & <b>", "日本"]}
    rows, labels = sample_rows(7, 20, 3)
    text = svg_text(report.plot_confusion(Distributions(rows, labels=labels, meta=meta)))
    for name in meta["class_names"]:
        assert name in text


@given(st.lists(st.text(max_size=30), max_size=30, unique=True))
def test_names_that_must_be_cut_stay_different(names):
    short = short_names(names, 12)
    cut = [shown for shown, name in zip(short, names, strict=True) if len(name) > 12]
    assert len(set(cut)) == len(cut)
    assert all(len(shown.replace(r"\$", "$")) <= 12 for shown in short)


def test_a_figure_of_the_page_takes_its_colours_from_the_page():
    text = inline_svg(report.plot_entropy(THREE), "entropy", "Entropy & <more>")
    root = ET.fromstring(text)
    assert "var(--first)" in text
    assert "var(--ink)" in text
    assert "#0072b2" not in text
    assert root.attrib["role"] == "img"
    (title,) = (node for node in root.iter("title"))
    assert title.text == "Entropy & <more>"
    assert title.attrib["id"] == root.attrib["aria-labelledby"]
    ids = {node.attrib["id"] for node in root.iter() if "id" in node.attrib}
    assert all(name.startswith("entropy-") for name in ids)
    used = {node.attrib["href"][1:] for node in root.iter("use")}
    assert used <= ids
