"""Files that somebody made up, with right checksums: no code, no memory, nothing but a StoreError."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probly.data_generator import StoreError
from probly.data_generator.store import load, open_partial, open_store, save
from probly_data_generator_store import layout, safetensors
from probly_data_generator_store.spec import seal
from tests.store import stores
from tests.store.damage import MANIFEST, SPEC, flipped, names, noticed, replace, shortened

ROOT = Path(__file__).parents[2]

HOSTILE = [
    "[]", "{}", "null", "1", '"text"', "[" * 20_000, '{"a":' * 20_000, "9" * 5000, "NaN", '{"shape": Infinity}',
    '"\\ud800"', '{"__class__": "os.system", "__reduce__": ["rm"]}',
]  # fmt: skip
NUMBERS = [-1, 0.5, True, 2**62, 2**63, 10**400, None, "12", [12], {}]


def with_checksum(text):
    """Return a shard file with this header, made to fit."""
    rest = b'",' + text.encode()[1:] if text.startswith("{") else b'",' + text.encode()
    rest += b" " * (-(8 + layout.START + len(rest)) % layout.ALIGNMENT)
    length = (layout.START + len(rest)).to_bytes(8, "little")
    return length + layout.OPENING + b"%08x" % zlib.crc32(length + rest) + rest


def sealed(text):
    rest = b'",' + text.encode("utf-8", "surrogatepass") + b"\n"
    return b'{"checksum":"' + hashlib.sha256(rest).hexdigest().encode() + rest


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_json(store, content):
    for name in names(store):
        original = (store / name).read_bytes()
        replace(store / name, with_checksum(content) if "shards" in name else sealed(content))
        assert noticed(store)
        replace(store / name, original)


@pytest.mark.parametrize("name", [SPEC, MANIFEST])
@pytest.mark.parametrize("value", NUMBERS)
def test_hostile_numbers(store, name, value):
    content = json.loads((store / name).read_bytes())
    del content["checksum"]
    for key in content:
        if key in ("decided", "meta", "identity") or content[key] == value:
            continue
        replace(store / name, seal({**content, key: value}))
        # Rows that are only announced are no promise; the manifest counts.
        assert noticed(store) or (key == "rows" and name == SPEC), key


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [10, 2**62]}, {"shape": [-10, -3]}, {"shape": [10.0, 3]}, {"shape": [True, 30]}, {"shape": 30},
        {"shape": [2**61, 2**61, 2**61]}, {"shape": [0]}, {"shape": [1] * 64},
        {"dtype": "F8"}, {"dtype": ["F32"]}, {"dtype": "I32"},
        {"data_offsets": [0, 2**63]}, {"data_offsets": [-120, 0]}, {"data_offsets": [8, 128]}, {"data_offsets": None},
    ],
)  # fmt: skip
def test_hostile_tensors(store, entry):
    path = store / names(store)[2]
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:length])
    header["probs"] |= entry
    metadata = header.pop("__metadata__")
    del metadata["checksum"]
    text = json.dumps(metadata, separators=(",", ":")) + "," + json.dumps(header)[1:]
    replace(path, with_checksum(text) + data[length:])
    assert noticed(store)
    assert noticed(store, open_partial)


def test_a_terabyte_of_header(store):
    path = store / names(store)[2]
    for length in (2**40, 2**63, 2**64 - 1, 0, 1):
        replace(path, length.to_bytes(8, "little") + path.read_bytes()[8:])
        assert noticed(store)


def test_rows_that_are_no_distributions_are_found_by_verify(store):
    path = store / names(store)[2]
    header, tensors = layout.read_file(path)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    tensors["probs"][4] = [0.5, np.nan, 0.5]
    metadata = {name: header.metadata[name] for name in ("store", "start", "stop")}
    replace(path, b"".join(map(bytes, layout.pieces(tensors, metadata))))
    (store / MANIFEST).unlink()
    with pytest.raises(StoreError, match="row 4: it has a value that is not finite"):
        open_partial(store).verify()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_only_store_errors_escape(intact, store, data):
    changed = data.draw(st.lists(st.sampled_from(names(intact)), min_size=1, max_size=3, unique=True))
    for name in changed:
        content = (intact / name).read_bytes()
        position = data.draw(st.integers(0, len(content)))
        before, after = content[:position], content[position:]
        replace(
            store / name, data.draw(st.binary() | st.binary(max_size=9).map(lambda p, b=before, a=after: b + p + a))
        )
    for opened in (open_store, open_partial):
        noticed(store, opened)
    for name in changed:
        replace(store / name, (intact / name).read_bytes())


@given(content=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_only_store_errors_escape_the_export(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        load(path)


def test_every_bit_and_length_of_the_export(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, stores.EXPECTED)
    for _ in flipped(path):
        with pytest.raises(StoreError):
            safetensors.read(path)
    assert load(path)[0] == stores.EXPECTED  # all is well again
    for _ in shortened(path):
        with pytest.raises(StoreError):
            safetensors.read(path)


READ = """
    import resource
    import sys
    import numpy  # imports pickle itself
    sys.modules["pickle"] = None  # whoever else does fails
    from probly.data_generator import errors
    from probly.data_generator.store import open_partial

    def refuse(event, arguments):
        if event in ("pickle.find_class", "subprocess.Popen", "socket.connect", "os.system", "exec", "compile"):
            raise SystemExit(f"{event} {arguments}")

    def read(path):
        try:
            found = open_partial(path)
            found.verify()
            found.gather(list(found)[:10]), found.labels
        except errors.StoreError:
            return False
        return True

    assert read(sys.argv[1])
    sys.addaudithook(refuse)
    limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 50 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print([read(path) for path in sys.argv[1:]])
"""


def test_the_reader_runs_no_code_and_takes_no_memory(intact, tmp_path):
    bombs = []
    for number, entry in enumerate(
        [{"classes": 2**61}, {"rows": 2**61}, {"classes": 10**9, "representation": "top-999999999"}]
    ):
        bomb = tmp_path / f"{number}.fod"
        shutil.copytree(intact, bomb)
        content = json.loads((bomb / SPEC).read_bytes())
        del content["checksum"]
        replace(bomb / SPEC, seal({**content, **entry}))
        (bomb / MANIFEST).unlink()
        bombs.append(bomb)
    shape = tmp_path / "3.fod"
    shutil.copytree(intact, shape)
    replace(shape / names(shape)[2], (2**40).to_bytes(8, "little") + bytes(900))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(READ), intact, *bombs, shape],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[True, False, True, False, False]"  # announced rows cost nothing


def test_no_module_of_the_store_imports_pickle():
    for path in (ROOT / "plugins/store/probly_data_generator_store").glob("*.py"):
        for word in ("import pickle", "from pickle", "eval(", "exec(", "marshal", "shelve", "allow_pickle=True"):
            assert word not in path.read_text(), (path, word)


TRUNCATING = """
    import os, sys
    import numpy as np
    from pathlib import Path
    from probly.data_generator.store import open_store

    store = open_store(sys.argv[1])
    row = store[0]
    os.truncate(next(Path(sys.argv[1], "shards").iterdir()), 0)
    print("truncated", flush=True)
    row.sum()
"""


def test_a_shard_truncated_while_it_is_mapped_ends_the_reader_and_is_noticed_afterwards(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, shard_megabytes=1)
    (shard,) = (path / "shards").iterdir()
    assert shard.stat().st_mode & 0o222 == 0  # so that it takes intent
    shard.chmod(0o644)
    opened = open_store(path)
    command = [sys.executable, "-c", textwrap.dedent(TRUNCATING), path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("truncated\n", -signal.SIGBUS)
    with pytest.raises(StoreError, match=r"in a file of 0 bytes"):
        opened.verify()
    with pytest.raises(StoreError, match=r"in a file of 0 bytes"):
        open_store(path)[0]
