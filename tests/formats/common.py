"""What every file format must do, as tests to inherit from: exact, checked, whole or not at all."""

import functools
import os
import resource
import signal
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from probly.data_generator import Distributions, StoreError
from probly.data_generator.discovery import listing
from probly.data_generator.formats.choosing import load, save

looked_up = functools.cache(listing._scan)


@pytest.fixture(autouse=True)
def installed_once(monkeypatch):
    """Look up once what is installed: the tests save and load thousands of times, and test other things."""
    monkeypatch.setattr(listing, "_scan", looked_up)


ROWS = np.float32([[0.25, 0.75, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
SMALL = Distributions(ROWS, [0, 2, 30, 400], ["cat", "dog", "dog", "é"], {"name": "Zürich", "classes": [1, 2]})


def same(found, wanted):
    """Compare everything that a file keeps."""
    labels = [None if one.labels is None else one.labels.tolist() for one in (found, wanted)]
    return found == wanted and labels[0] == labels[1] and found.meta == wanted.meta


def without(monkeypatch, library):
    """Make a library look as if it were not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LABELS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    # NumPy's text cannot end in NUL.
    "str": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
}


@st.composite
def distributions(draw):
    """Any rows, indices with gaps, labels of any kind or none, any metadata."""
    scores = draw(
        npst.arrays(
            np.float32, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(2**-20, 1, width=32)
        )
    )
    indices = draw(st.lists(st.integers(0, 2**63 - 1), min_size=len(scores), max_size=len(scores), unique=True))
    kind = draw(st.sampled_from([None, *LABELS]))
    labels = None
    if kind is not None:
        labels = np.array(draw(st.lists(LABELS[kind], min_size=len(scores), max_size=len(scores))), kind)
    meta = draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3))
    return Distributions(scores / scores.sum(axis=1, keepdims=True), indices, labels, meta)


# Each format inherits the same test, and tmp_path is one per test, not per example.
many = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], deadline=None
)

LABELS_OF_EVERY_SHAPE = [
    np.arange(24).reshape(4, 2, 3),
    np.eye(4, dtype=bool),
    np.array([["a", "bb"]] * 4),
    np.array(["a", "b", "c", "d"], dtype=object),
    np.arange(4, dtype=">i2"),
    np.float16([0.5, 1, 2, 3]),
    np.empty((4, 0)),
]


class FormatTests:
    """The tests of one format.

    Attributes:
        suffix: Its suffix.
        module: Its module.
        block: The constant of the module that says how much is written at once.
        memory: A number of rows of 20 classes, and the bytes that writing them may take; all at once would take more.
    """

    suffix: str
    module: object
    block = "NUMBERS_AT_ONCE"
    memory = (50_000, 2e6)

    @many
    @given(wanted=distributions())
    def test_round_trip_is_exact(self, tmp_path, wanted):
        save(tmp_path / f"a{self.suffix}", wanted)
        found, meta = load(tmp_path / f"a{self.suffix}")
        assert same(found, wanted)
        assert meta == wanted.meta
        if self.suffix != ".json" and wanted.labels is not None:
            assert found.labels.dtype.kind == wanted.labels.dtype.kind

    @pytest.mark.parametrize("exponent", [-149, -126, -60, -24, -1])
    def test_neighbouring_floats_stay_apart(self, tmp_path, exponent):
        smallest, path = np.float32(2.0**exponent), tmp_path / f"a{self.suffix}"
        # Written with the fewest digits that tell float32 apart and read as float64, the last one would become another.
        for value in (smallest, np.nextafter(smallest, np.float32(1)), np.float32(7.038531e-26)):
            rows = np.float32([[value, np.float32(1) - value]])
            save(path, Distributions(rows))
            np.testing.assert_array_equal(load(path)[0][0], rows[0])

    @pytest.mark.parametrize("labels", [None, [], np.empty((0, 3))])
    def test_no_rows_at_all(self, tmp_path, labels):
        save(tmp_path / f"a{self.suffix}", Distributions([], labels=labels, meta={"a": 1}))
        found, meta = load(tmp_path / f"a{self.suffix}")
        assert len(found) == 0
        assert meta == {"a": 1}
        assert (found.labels is None) == (labels is None)

    @pytest.mark.parametrize("labels", LABELS_OF_EVERY_SHAPE, ids=lambda labels: f"{labels.dtype} {labels.shape}")
    def test_labels_of_every_shape(self, tmp_path, labels):
        save(tmp_path / f"a{self.suffix}", Distributions(ROWS, labels=labels))
        found, _ = load(tmp_path / f"a{self.suffix}")
        assert found.labels.tolist() == labels.tolist()

    def test_metadata_that_could_not_be_read_back_is_not_written(self, tmp_path):
        bad = [({"a": float("nan")}, ValueError), ({1: 2, "1": 3}, ValueError), ({"a": object()}, TypeError)]
        for meta, error in bad:
            with pytest.raises(error) as caught:
                save(tmp_path / f"a{self.suffix}", SMALL, meta)
            assert "nothing written" in "".join(caught.value.__notes__)
        assert os.listdir(tmp_path) == []

    def test_many_blocks_are_one_file(self, tmp_path, monkeypatch):
        monkeypatch.setattr(self.module, self.block, 7)
        wanted = Distributions(np.random.default_rng(0).dirichlet(np.ones(3), 25), labels=np.arange(25), meta={"a": 1})
        save(tmp_path / f"a{self.suffix}", wanted)
        assert same(load(tmp_path / f"a{self.suffix}")[0], wanted)

    def check_memory(self, tmp_path, monkeypatch):
        rows, most = self.memory
        wanted = Distributions(np.random.default_rng(0).dirichlet(np.ones(20), rows))
        monkeypatch.setattr(self.module, self.block, min(getattr(self.module, self.block), 2**17))
        save(tmp_path / f"warm{self.suffix}", SMALL)
        tracemalloc.start()
        save(tmp_path / f"a{self.suffix}", wanted)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most

    def test_writing_takes_memory_for_blocks_only(self, tmp_path, monkeypatch):
        self.check_memory(tmp_path, monkeypatch)

    def dressed(self, content):
        """Return damaged content behind the checks of the container."""
        return content

    @many
    @given(content=st.binary(max_size=300), wrapped=st.booleans())
    def test_only_store_errors_escape_the_reader(self, tmp_path, content, wrapped):
        path = tmp_path / f"a{self.suffix}"
        path.write_bytes(self.dressed(content) if wrapped else content)
        with pytest.raises(StoreError, match="not a file of distributions"):
            load(path)

    def test_a_missing_file_is_a_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / f"a{self.suffix}")
        (tmp_path / f"folder{self.suffix}").mkdir()
        with pytest.raises(IsADirectoryError):
            load(tmp_path / f"folder{self.suffix}")

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    @pytest.mark.parametrize("moment", ["in the middle", "at the fsync"])
    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path, error, moment, monkeypatch):
        path = tmp_path / f"a{self.suffix}"
        save(path, SMALL)
        content = path.read_bytes()

        def fail(*arguments):
            raise error

        def blocks_that_end(distributions, numbers):
            yield slice(0, 4), ROWS
            raise error

        if moment == "at the fsync":
            monkeypatch.setattr(os, "fsync", fail)
        else:
            monkeypatch.setattr(self.module, "row_blocks", blocks_that_end)
        with pytest.raises(type(error)):
            save(path, SMALL, {"new": True})
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == [path.name]

    def test_a_disk_that_refuses_the_bytes(self, tmp_path):
        path = tmp_path / f"a{self.suffix}"
        save(path, SMALL)
        rows = np.random.default_rng(0).dirichlet(np.ones(10), 20_000)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(OSError) as caught:
                save(path, dict(enumerate(rows)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert caught.value.errno == 27
        assert same(load(path)[0], SMALL)
        assert os.listdir(tmp_path) == [path.name]

    @pytest.mark.parametrize(
        "labels", [["a", None, "c", ""], [0.0, np.nan, 2.5, 3.0], [0, None, 2, 3], [b"a", b"b", b"", b"d"]]
    )
    def test_rows_without_a_label_stay_such(self, tmp_path, labels):
        given = Distributions(ROWS, labels=labels)
        save(tmp_path / f"a{self.suffix}", given)
        found = load(tmp_path / f"a{self.suffix}")[0].labels
        assert found.dtype.kind == given.labels.dtype.kind
        np.testing.assert_array_equal(found, given.labels)


class BinaryTests(FormatTests):
    """The tests of a format that is no text."""

    @pytest.mark.parametrize(
        "labels",
        [np.array([1, "a", 2, 3], object), np.array([{"box": 1}] * 4), np.ones(4, complex)],
    )
    def test_other_labels_are_refused(self, tmp_path, labels):
        with pytest.raises(TypeError, match=r"expected labels that are numbers or text, got .*; nothing written"):
            save(tmp_path / f"a{self.suffix}", Distributions(ROWS, labels=labels))
        assert os.listdir(tmp_path) == []

    def test_every_truncation_is_noticed(self, tmp_path):
        path = tmp_path / f"a{self.suffix}"
        save(path, SMALL)
        content = path.read_bytes()
        for extra in (b"\0", b"\0" * 512, b"PK\5\6" + b"\0" * 18, b"PAR1"):
            path.write_bytes(content + extra)
            with pytest.raises(StoreError):
                load(path)
        path.write_bytes(content)
        for length in reversed(range(len(content))):
            os.truncate(path, length)
            with pytest.raises(StoreError):
                load(path)

    @pytest.mark.parametrize("labels", [None, SMALL.labels], ids=["no labels", "labels"])
    def test_a_flipped_bit_is_noticed_or_harmless(self, tmp_path, labels):
        path = tmp_path / f"a{self.suffix}"
        wanted = Distributions(ROWS, [0, 2, 30, 400], labels, SMALL.meta)
        save(path, wanted)
        content = path.read_bytes()
        refused = 0
        for position in range(len(content)):
            with path.open("r+b") as file:
                file.seek(position)
                file.write(bytes([content[position] ^ 1 << (position * 5 % 8)]))
            try:
                found, _ = load(path)
            except StoreError:
                refused += 1
            else:
                assert same(found, wanted), f"byte {position}"
            with path.open("r+b") as file:
                file.seek(position)
                file.write(content[position : position + 1])
        assert refused > len(content) / 2

    reading_step: str

    def test_a_failing_disk_is_no_damaged_file(self, tmp_path, monkeypatch):
        def fail(*arguments):
            raise OSError(5, "Input/output error")

        save(tmp_path / f"a{self.suffix}", SMALL)
        monkeypatch.setattr(self.module, self.reading_step, fail)
        with pytest.raises(OSError, match="Input/output error"):
            load(tmp_path / f"a{self.suffix}")
