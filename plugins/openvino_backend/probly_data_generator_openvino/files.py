"""The two files of an IR: the graph in an ``.xml``, the weights in a ``.bin`` beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import openvino

from probly.data_generator.toolkit.digest import digest, digest_files
from probly_data_generator_openvino.devices import core, last_line

LFS_POINTER = b"version https://git-lfs"
CONVERT = 'openvino.save_model(openvino.convert_model("{path}"), "model.xml", compress_to_fp16=False)'


class Files(NamedTuple):
    """The files of an IR.

    Attributes:
        path: The resolved path of its ``.xml``.
        stamps: The size and time of each file when it was read.
    """

    path: Path
    stamps: Mapping[Path, tuple[int, int]]

    def digest(self) -> str:
        """Return the digest of the bytes of both files.

        Raises:
            ValueError: One has changed since it was read.
        """
        for file, stamp in self.stamps.items():
            if not file.exists() or _stamp(file) != stamp:
                message = f"{file} has changed since the model was loaded; make a new generator"
                raise ValueError(message)
        return digest((digest_files(file), b"") for file in sorted(self.stamps, key=lambda file: file.suffix != ".xml"))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def read(path: Path) -> tuple[Files, Any]:
    """Return the files of an IR and the openvino.Model in them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no IR, or its weights are missing or damaged.
    """
    if path.suffix.lower() != ".xml":
        convert = CONVERT.format(path=path)
        message = (
            f"{path}: expected the .xml of an IR, got the suffix {path.suffix!r}; convert a model of another format "
            f"first, {convert}, or use its framework's backend"
        )
        raise ValueError(message)
    if not path.is_file():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    path = path.resolve()
    weights = path.with_suffix(".bin")
    files = [path, weights] if weights.exists() else [path]
    for file in files:
        with file.open("rb") as opened:
            if opened.read(len(LFS_POINTER)) == LFS_POINTER:
                message = f"{file}: is a pointer of Git LFS, not the model itself; fetch it with: git lfs pull"
                raise ValueError(message)
    found = Files(path, {file: _stamp(file) for file in files})
    try:
        return found, core().read_model(str(path))
    except RuntimeError as error:
        missing = "" if weights in files else f"; its weights, {weights.name}, are not beside it"
        message = f"{path}: openvino {openvino.__version__} cannot read it as an IR{missing} ({last_line(error)})"
        raise ValueError(message) from error
