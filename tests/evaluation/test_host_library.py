"""Distributions beside and within the library ``probly`` of PyPI, in an environment of its own with Python 3.13."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probly.data_generator import Distributions, NotInstalledError
from probly.data_generator.installing import install_advice
from probly_data_generator_evaluation import to_probly
from tests.packaging.environments import ROOT, Environment

HOST = ("probly==0.9.1", "flextype==0.3.0", "mpltern==1.0.5")
OURS = {"probly_data_generator": ROOT, "probly_data_generator_evaluation": ROOT / "plugins" / "evaluation"}
DOCUMENT = (ROOT / "docs" / "host_library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


def python_3_13():
    """Return an interpreter of Python 3.13, without which nothing here can be said to work."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*sorted(root.glob("versions/3.13*/bin/python"), reverse=True), shutil.which("python3.13")]
    for python in filter(None, found):  # pyenv puts names on the path that it then refuses to run
        done = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if done.stdout.strip() == "(3, 13)":
            return python
    pytest.fail("the host library is tested on Python 3.13, which is not here: pyenv install 3.13")


def wheels():
    """Return the wheels that make has built, or else what pip builds them from."""
    folder = os.environ.get("WHEELS")
    built = {} if folder is None else {path.name.split("-")[0]: path for path in Path(folder).absolute().glob("*.whl")}
    return [str(built.get(name, project)) for name, project in OURS.items()]


class HostEnvironment(Environment):
    """The host library and ours in one site-packages."""

    def __init__(self, folder):
        super().__init__(folder, python_3_13())
        versions = ["-c", ROOT / "constraints" / "tests.txt"]
        self.install(*versions, "--no-compile", *HOST, *wheels())  # imports compile what they need, which is far less


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return HostEnvironment(tmp_path_factory.mktemp("host"))


SETUP = """
import numpy as np
import probly.metrics as metrics
import probly.quantification as quantification
import probly.representation.credal_set as sets
from probly.representation.distribution import CategoricalDistribution, CategoricalDistributionSample
from probly.representation.distribution import create_categorical_distribution
from probly.representation.sample import create_sample
from probly.data_generator import Distributions
import probly_data_generator_evaluation as ours
from probly_data_generator_evaluation import host_library, to_probly

random = np.random.default_rng(7)

def with_members(members, indices=None):
    stored = np.asarray(members, np.float32)
    return Distributions(stored.mean(axis=1, dtype=float), indices, columns={"members": stored})

def refused(error, action):
    try:
        action()
    except error as caught:
        return str(caught)
    raise AssertionError("not refused")

members = random.dirichlet(np.ones(4), (60, 5))
members[0, 0] = [1, 0, 0, 0]
indices = np.arange(60) * 3 + 2  # none is 0, by which the library would choose
d = with_members(members, indices)
without = Distributions(d.probabilities, indices)
"""

IMPORTS = """
import importlib.metadata
from pathlib import Path
{imports}
assert probly.__version__ == importlib.metadata.version("probly") == "0.9.1"
assert Path(probly.data_generator.__file__).parents[1] == Path(probly.__file__).parent
assert set(probly.data_generator.list_backends()) == {{"numpy"}}
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import probly, probly.data_generator",
        "import probly.data_generator, probly",
        "from probly.data_generator import Distributions\nimport probly.quantification",
    ],
)
def test_both_import_in_either_order(host, imports):
    host.run(IMPORTS.format(imports=imports))


OBJECTS = """
sample, rows = to_probly(d), to_probly(without)
assert isinstance(sample, CategoricalDistributionSample) and isinstance(rows, CategoricalDistribution)
assert (sample.shape, sample.sample_axis, sample.sample_size) == ((60, 5), 1, 5)
assert rows.shape == (60,) and rows.num_classes == sample.array.num_classes == 4
for found, stored in ((sample.array.probabilities, d.members), (rows.probabilities, d.probabilities)):
    assert found.dtype == np.float64 and np.abs(found - stored).max() < 1e-7
for array in (sample.array.array, rows.array):
    assert (array.sum(axis=-1) == 1).all() and (array[..., ::-1].sum(axis=-1) == 1).all()
    assert (array[..., [2, 0, 3, 1]].cumsum(axis=-1)[..., -1] == 1).all()
assert (rows.array == without.astype64()).all() and (to_probly(d.head(7)).array.array == sample.array.array[:7]).all()
assert to_probly(d.head(0)).shape == (0, 5)

broken = with_members(members, indices)
broken.columns["members"] = members.astype(np.float32) * np.where(np.arange(60) == 4, 2, 1)[:, None, None]
said = refused(ValueError, lambda: to_probly(broken))
assert "index 14" in said, said
"""


def test_the_objects_are_the_hosts_and_their_rows_sum_to_1_exactly(host):
    host.run(SETUP + OBJECTS)


FUNCTIONS = """
def same(first, second):
    for name in ("array", "nominal", "radius", "lower_bounds", "upper_bounds", "total", "aleatoric", "epistemic"):
        if hasattr(first, name):
            same(getattr(first, name), getattr(second, name))
    if not hasattr(first, "total"):
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))

sample, rows = to_probly(d), to_probly(without)
tables = (host_library.OF_ROWS, rows), (host_library.OF_MEMBERS, sample), (host_library.OF_EITHER, sample)
called = set()
for table, theirs in tables:
    for module, names in table.items():
        for name in names:
            function = getattr(__import__(module, fromlist=[name]), name)
            same(function(d), function(theirs))
            called.add(name)
            if table is not host_library.OF_MEMBERS:
                same(function(without), function(rows))
            else:
                assert "no members" in refused(TypeError, lambda: function(without))

drawn = create_sample(d)
assert isinstance(drawn, CategoricalDistributionSample) and drawn.sample_axis == 1
same(drawn, sample)
weighted = create_sample(d, weights=[1, 2, 3, 4, 5], sample_axis=0)
assert weighted.shape == (5, 60) and weighted.weights.tolist() == [1, 2, 3, 4, 5]
np.testing.assert_array_equal(np.moveaxis(weighted.array.array, 0, 1), sample.array.array)
same(create_sample([Distributions(d.members[:, place], indices) for place in range(5)]), sample)
assert create_sample(np.zeros((3, 2))).shape == (2, 3), "what is not ours is chosen as ever"
assert "no members" in refused(TypeError, lambda: create_sample(without))
assert "place 1" in refused(ValueError, lambda: create_sample([d, Distributions(d.probabilities)]))
other = Distributions(d.probabilities[:, :2] / d.probabilities[:, :2].sum(axis=1, keepdims=True), indices)
assert "other classes" in refused(ValueError, lambda: create_sample([d, other]))

intervals = sets.create_probability_intervals(d)
np.testing.assert_array_equal(intervals.lower(), sample.array.array.min(axis=1))
np.testing.assert_array_equal(intervals.upper(), sample.array.array.max(axis=1))
assert "no members" in refused(TypeError, lambda: sets.create_probability_intervals(without))
create_ball = sets.create_distance_based_credal_set_from_center_and_radius
for balls in (create_ball(without, 0.1), create_ball(d, np.full(60, 0.1))):
    np.testing.assert_array_equal(balls.nominal.array, rows.array)
    assert balls.radius.tolist() == [0.1] * 60
print(*called, "create_sample", "create_probability_intervals", create_ball.__name__)
"""


def test_the_hosts_functions_take_ours_and_refuse_what_has_no_members(host):
    registered = set(host.run(SETUP + FUNCTIONS).split())
    table = DOCUMENT[DOCUMENT.index("## What takes") : DOCUMENT.index("Everything else")]
    first_column = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert registered == set(re.findall(r"`(\w+)`", first_column)), "the document names them"


DECOMPOSITION = """
theirs, mine = quantification.decompose(d), ours.decompose(d)
for name in ("total", "aleatoric", "epistemic"):
    np.testing.assert_allclose(getattr(theirs, name), getattr(mine, name), rtol=0, atol=1e-12, err_msg=name)
np.testing.assert_allclose(quantification.mutual_information(d), mine.epistemic, rtol=0, atol=1e-12)
wide = with_members(random.dirichlet(np.full(300, 0.01), (20, 8)))
theirs, mine = quantification.decompose(wide), ours.decompose(wide)
np.testing.assert_allclose(theirs.total, mine.total, rtol=0, atol=1e-12)
np.testing.assert_allclose(theirs.epistemic, mine.epistemic, rtol=0, atol=1e-12)
"""


def test_both_decompose_alike(host):
    host.run(SETUP + DECOMPOSITION)


COVERAGE = """
mixtures = np.einsum("nm,nmk->nk", random.dirichlet(np.ones(5), 60), to_probly(d).array.array)
elsewhere = random.dirichlet(np.ones(4), 60)
near = 0.5 * mixtures + 0.5 * elsewhere

def each(function):
    return [bool(function(with_members(members[[at]]), truth[[at]])) for at in range(60)]

def hull(one, row):
    return metrics.convex_hull_coverage(sets.create_convex_credal_set(one), create_categorical_distribution(row))

def ball(one, row):
    return metrics.coverage(sets.create_distance_based_credal_set(one), row)

for truth in (mixtures, elsewhere, near):
    intervals = sets.create_probability_intervals(d).contains(truth)
    np.testing.assert_array_equal(intervals, ours.ProbabilityIntervals(d).covers(truth))
    np.testing.assert_array_equal(each(hull), ours.ConvexHulls(d).covers(truth))
    np.testing.assert_array_equal(each(ball), ours.Balls.from_members(d).covers(truth))
    if truth is mixtures:
        assert intervals.all() and all(each(hull)) and all(each(ball))
    else:
        assert 0 < sum(each(hull)) < sum(intervals) < 60, "some of each, else nothing has been compared"

balls, of_host = ours.Balls.from_members(d), sets.create_distance_based_credal_set(d)
np.testing.assert_allclose(of_host.radius, balls.radii, rtol=0, atol=1e-12)
np.testing.assert_allclose(metrics.average_interval_width(of_host), balls.widths().mean(), rtol=0, atol=1e-9)
for made in (sets.create_probability_intervals(d), sets.create_convex_credal_set(d)):
    widths = ours.ProbabilityIntervals(d).widths()
    np.testing.assert_allclose(metrics.average_interval_width(made), widths.mean(), rtol=0, atol=1e-7)
    np.testing.assert_allclose(metrics.efficiency(made), 1 - widths.mean(), rtol=0, atol=1e-3)
"""


def test_both_cover_alike_away_from_the_bounds(host):
    host.run(SETUP + COVERAGE)


ROUNDING = """
pair = with_members([[[0.9994, 0.0006], [0.9004, 0.0996]]])
member, outside = to_probly(pair).array.array[:, 0], np.array([[0.9001, 0.0999]])
intervals, mine = sets.create_probability_intervals(pair), ours.ProbabilityIntervals(pair)
assert metrics.coverage(intervals, member) == 0 and metrics.coverage(intervals, outside) == 1, "rounded to thousandths"
assert intervals.contains(member).all() and not intervals.contains(outside).any(), "the set itself does not round"
assert mine.covers(pair.members[:, 0]).all() and not mine.covers(outside).any()
assert metrics.coverage(sets.create_convex_credal_set(pair), outside) == 1
assert not ours.ConvexHulls(pair).covers(outside).any()
np.testing.assert_allclose(metrics.efficiency(intervals), 1 - (0.999 - 0.9), rtol=0, atol=1e-12)

tenths, truth = with_members([[[0.3, 0.7], [0.5, 0.5]]]), np.array([[0.3, 0.7]])
single = tenths.members.min(axis=1), tenths.members.max(axis=1)
assert metrics.coverage(type(intervals)(*single), truth) == 0, "0.3 of float32 is more than 0.3, rounded or not"
assert metrics.coverage(sets.create_probability_intervals(tenths), truth) == 1, "ours are float64 there"
"""


def test_the_hosts_coverage_rounds_bounds_to_thousandths_and_ours_does_not(host):
    host.run(SETUP + ROUNDING)


def test_the_document_runs(host, tmp_path):
    assert len(BLOCKS) == 3
    printed = host.run("\n".join(BLOCKS), cwd=tmp_path)
    assert len(printed.splitlines()) == 5


def test_without_the_library_the_error_names_it():
    with pytest.raises(NotInstalledError, match=re.escape(install_advice("probly>=0.9.1"))):
        to_probly(Distributions([[0.25, 0.75]]))


def test_without_an_interpreter_the_tests_fail_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=r"pyenv install 3\.13"):
        python_3_13()
