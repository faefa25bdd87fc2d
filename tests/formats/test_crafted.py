"""Files that somebody made up, of every kind, in a process that says what they made it do and how large it grew."""

import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly.data_generator import Distributions
from probly.data_generator.store import save
from probly_data_generator_store.spec import MAX_JSON

ROOT = Path(__file__).parents[2]
GOOD = Distributions([[0.25, 0.75], [0.5, 0.5]], labels=["cat", "dog"])

READ = """
    import sys
    import numpy, pyarrow.parquet
    from probly.data_generator import StoreError
    from probly.data_generator.formats.choosing import format_of, load

    for suffix in ("json", "npz", "safetensors", "parquet", "fod"):
        load(f"{sys.argv[1]}/good.{suffix}")

    def refuse(event, arguments):
        if event in ("pickle.find_class", "subprocess.Popen", "socket.connect", "os.system", "exec", "compile"):
            sys.stdout.write(f"{event} {arguments}\\\\n")
            sys.exit(5)

    sys.addaudithook(refuse)
    for path in sys.argv[2:]:
        try:
            load(path)
        except StoreError as error:
            assert path in str(error), error
        else:
            raise AssertionError(f"{path} was read")
    status = open("/proc/self/status").read()
    print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


class Runs:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return (__import__("os").system, ("true",))


def array(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header


def archive(path, method=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


@pytest.fixture
def crafted(tmp_path):
    """Return a folder of files, the good ones of which are called so."""
    for suffix in (".json", ".npz", ".safetensors", ".parquet", ".fod"):
        save(tmp_path / f"good{suffix}", GOOD)
    np.savez(tmp_path / "pickle.npz", probabilities=np.full((2, 2), 0.5), labels=np.array([Runs(), Runs()]))
    archive(tmp_path / "nothing.npz", probabilities=array((10**12, 0)))
    archive(tmp_path / "zeros.npz", zipfile.ZIP_DEFLATED, probabilities=array((10**4, 10**4)) + bytes(4 * 10**8))
    archive(tmp_path / "claims.npz", probabilities=array((10**6, 10**6)))
    numbers = pa.ListArray.from_arrays(pa.array([0, 2**24], pa.int32()), pa.array(np.zeros(2**24, np.float32)))
    pq.write_table(pa.table({"probabilities": numbers}), tmp_path / "numbers.parquet", compression="zstd")
    footer = (2**31 - 1).to_bytes(4, "little")
    (tmp_path / "footer.parquet").write_bytes(b"PAR1" + bytes(100) + footer + b"PAR1")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "code.json").write_text("{\"distributions\": {\"__import__('os').system('true')\": [1.0]}}")
    (tmp_path / "large.json").write_text('{"distributions": {"0": [1.0]}, "labels": {"0": 1e999}}')
    (tmp_path / "header.safetensors").write_bytes((2**40).to_bytes(8, "little") + bytes(100))
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\4cos\nsystem\n(S'true'\ntR.")
    for name, content in {"spec": b"[" + b"[]," * (MAX_JSON // 3), "none": b"", "list": b"[]"}.items():
        shutil.copytree(tmp_path / "good.fod", tmp_path / f"{name}.fod")
        (tmp_path / f"{name}.fod/spec.json").chmod(0o644)
        (tmp_path / f"{name}.fod/spec.json").write_bytes(content)
    return tmp_path


def test_they_run_no_code_and_take_little_memory(crafted):
    bad = sorted(str(path) for path in crafted.iterdir() if not path.name.startswith("good"))
    assert len(bad) == 14
    command = [sys.executable, "-c", textwrap.dedent(READ), str(crafted), *bad]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) < 500


def test_the_audit_can_tell(crafted):
    script = textwrap.dedent(READ).replace("        load(path)", "        __import__('os').system('true')")
    command = [sys.executable, "-c", script, str(crafted), str(crafted / "deep.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "os.system" in done.stdout
