"""Which format a path gets, whoever provides it; and what is said where there is none."""

import importlib
import re
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import importlib_metadata
import numpy as np
import pytest

from probly.data_generator import (
    AmbiguousBackendError,
    BrokenBackendError,
    Distributions,
    FirstOrderDataGenerator,
    NotInstalledError,
)
from probly.data_generator.discovery import formats as by_suffix
from probly.data_generator.discovery import listing
from probly.data_generator.formats.choosing import load, save
from probly.data_generator.installing import install_advice
from probly.data_generator.run.sinks import MemorySink
from probly_data_generator_store.installed import InstalledFormats
from tests.formats.common import SMALL, same


def info(name, loaded, distribution="stranger"):
    """Return what the metadata of a distribution with a format says; ``loaded`` is called for it."""
    return listing.BackendInfo(name, (name,), distribution, "1.0", SimpleNamespace(load=loaded))


@pytest.fixture
def offered(monkeypatch):
    """Return the table of installed formats, which begins with JSON alone and may be written to."""
    table = {"json": listing.claims(listing.FORMATS)["json"]}
    monkeypatch.setattr(by_suffix, "claims", lambda group: table)
    return table


def test_one_format_becomes_another_without_loss(tmp_path):
    found = SMALL
    for suffix in [".npz", ".parquet", ".csv", ".json", ".feather", ".safetensors", ".parquet", ".fod", ".npz", ".csv"]:
        save(tmp_path / f"a{suffix}", found)
        found, _ = load(tmp_path / f"a{suffix}")
        assert same(found, SMALL), suffix


@pytest.mark.parametrize("name", ["a.txt", "a", "json"])
def test_other_suffixes_list_the_known_ones(tmp_path, name):
    for action in (load, lambda path: save(path, {0: [1.0]})):
        with pytest.raises(ValueError, match=r"one of the suffixes \.csv, \.feather, \.fod, \.json, \.npz.*, got '"):
            action(tmp_path / name)


def test_suffixes_in_capitals_are_the_same(tmp_path):
    save(tmp_path / "a.JSON", SMALL)
    assert same(load(tmp_path / "a.JSON")[0], SMALL)


def test_the_installed_formats_are_a_mapping():
    from probly.data_generator.store import FORMATS

    assert {".fod", ".json", ".npz", ".parquet", ".safetensors"} <= set(FORMATS)
    assert isinstance(FORMATS, InstalledFormats)
    assert len(FORMATS) == len(list(FORMATS))
    for suffix in (".fod", ".json", ".npz", ".parquet", ".safetensors"):
        assert callable(FORMATS[suffix].read)
        assert callable(FORMATS[suffix].write)
    assert ".txt" not in FORMATS
    with pytest.raises(KeyError):
        FORMATS[".txt"]


@pytest.mark.parametrize(
    ("suffix", "extra"),
    [(".fod", "store"), (".npz", "store"), (".parquet", "parquet"), (".safetensors", "store")],
)
def test_a_format_of_ours_that_is_not_installed_says_what_to_install(tmp_path, offered, suffix, extra):
    generator = FirstOrderDataGenerator(lambda inputs: inputs, output_mode="logits", backend="numpy")
    actions = [
        load,
        lambda path: save(path, SMALL),
        lambda path: generator.generate_distributions(np.zeros((3, 2)), progress=False, out=path),
        lambda path: generator.save_distributions(path, SMALL),
    ]
    says = re.escape(f"the format {suffix} is not installed; {install_advice(f'probly-data-generator[{extra}]')}")
    for action in actions:
        with pytest.raises(NotInstalledError, match=says):
            action(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
    assert set(InstalledFormats()) == {".json"}


def test_without_the_store_its_promised_path_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("probly_data_generator_store")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "probly_data_generator_store", None)
    monkeypatch.delitem(sys.modules, "probly.data_generator.store", raising=False)
    with pytest.raises(NotInstalledError, match=re.escape(install_advice("probly-data-generator[store]"))):
        importlib.import_module("probly.data_generator.store")


def test_rows_cannot_be_streamed_to_a_format_that_takes_them_all_at_once(tmp_path):
    generator = FirstOrderDataGenerator(lambda inputs: inputs, output_mode="logits", backend="numpy")
    with pytest.raises(ValueError, match=r"cannot be streamed to \.json; pass a store's path, which ends in \.fod"):
        generator.generate_distributions(np.zeros((3, 2)), progress=False, out=tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


class Lines:
    """A stranger's format that rows can be streamed to."""

    def __init__(self):
        self.opened, self.files = [], {}

    def read(self, path):
        return self.files[path.name]

    def write(self, path, distributions, meta):
        self.files[path.name] = distributions

    @contextmanager
    def open_sink(self, path, identity, options):
        self.opened.append((path.name, identity, options))
        if path.name in self.files:
            yield self.files[path.name]
            return
        sink = MemorySink()
        yield sink
        self.files[path.name] = sink.finish()


def test_a_strangers_format_is_written_read_and_streamed_to(tmp_path, offered):
    lines, calls = Lines(), []
    offered["lines"] = [info("lines", lambda: lines)]
    save(tmp_path / "a.lines", SMALL)
    assert load(tmp_path / "a.lines")[0] is SMALL
    assert InstalledFormats()[".lines"] is lines

    def model(inputs):
        calls.append(len(inputs))
        return inputs

    generator = FirstOrderDataGenerator(model, batch_size=2, output_mode="logits", backend="numpy")
    inputs = np.log([[1.0, 3.0], [1.0, 1.0], [4.0, 1.0]])
    for _ in range(2):  # the second time it is complete
        found = generator.generate_distributions(inputs, progress=False, out=tmp_path / "b.lines", keys=["x", "y", "z"])
        np.testing.assert_allclose(np.asarray(found), [[0.25, 0.75], [0.5, 0.5], [0.8, 0.2]], atol=1e-6)
    assert calls == [2, 1, 2]  # the last one is the probe
    name, identity, options = lines.opened[0]
    assert name == "b.lines"
    assert {"model", "dataset", "output_mode", "keys"} <= identity.keys()
    assert (options["encoding"], options["shard_megabytes"], options["shard_seconds"]) == ("float32", 64, 30)
    assert options["keys"].tolist() == ["x", "y", "z"]


def test_a_format_that_cannot_be_imported_or_is_claimed_twice(tmp_path, offered):
    def fail():
        raise SyntaxError("unbalanced")

    offered["lines"] = [info("lines", fail)]
    with pytest.raises(
        BrokenBackendError, match=r"format \.lines \(stranger 1\.0\) is installed but broken: SyntaxError"
    ):
        load(tmp_path / "a.lines")
    offered["lines"] = [info("lines", lambda: SimpleNamespace(read=load))]
    for action in (load, lambda path: save(path, SMALL)):
        with pytest.raises(BrokenBackendError, match="installed but broken: TypeError: it lacks the function write"):
            action(tmp_path / "a.lines")
    offered["lines"] = [info("lines", fail), info("lines", fail, "neighbour")]
    with pytest.raises(AmbiguousBackendError, match=r"claimed by neighbour 1\.0 and stranger 1\.0; uninstall one"):
        load(tmp_path / "a.lines")


def test_libraries_of_formats_are_imported_only_when_used(tmp_path):
    code = (
        "import sys\n"
        "from probly.data_generator.store import FORMATS, load, save\n"
        "save(sys.argv[1], {0: [1.0]})\n"
        "load(sys.argv[1])\n"
        "list(FORMATS)\n"
        "print([name for name in ('orjson', 'pyarrow', 'pandas', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.npz"], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_extras_that_name_no_backend_announce_none(monkeypatch):
    lines = [
        "numpy>=1.26",
        'probly-data-generator-torch; extra == "torch"',
        "probly-data-generator-jax ; extra == 'flax'",
        'probly-data-generator-jax; extra == "all"',
        'probly-data-generator-store; extra == "store"',
        'pyarrow; extra == "parquet"',
        'orjson>=3.9; extra == "fast-json"',
    ]
    monkeypatch.setattr(importlib_metadata, "requires", lambda name: lines)
    found = listing.known_backends.__wrapped__()
    assert found == {"torch": "probly-data-generator-torch", "flax": "probly-data-generator-jax"}


def test_a_format_that_keeps_no_columns_does_not_lose_them(tmp_path, offered):
    written = []
    offered["mine"] = [info("mine", lambda: SimpleNamespace(read=print, write=lambda *given: written.append(given)))]
    whole = Distributions([[0.5, 0.5]], columns={"logits": np.zeros((1, 2))})
    with pytest.raises(TypeError, match=r"a.mine: .mine does not keep the columns logits; choose another"):
        save(tmp_path / "a.mine", whole)
    save(tmp_path / "a.mine", Distributions(whole.probabilities, whole.indices, whole.labels, whole.meta))
    assert len(written) == 1
