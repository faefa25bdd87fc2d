"""Stored models: files and bytes that can be read again, for what ONNX Runtime does not show of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from probly_data_generator_onnx.external import check_file, named_files

LFS_POINTER = b"version https://git-lfs"


class Stored(NamedTuple):
    """A model as it can be read again: a file or bytes.

    Attributes:
        content: The resolved path of a file, or the bytes of a model.
        stamps: The size and time of each file at the time of loading.
    """

    content: Path | bytes
    stamps: Mapping[Path, tuple[int, int]] = {}

    @property
    def where(self) -> str:
        """Name it in messages."""
        return str(self.content) if isinstance(self.content, Path) else "the bytes of the model"

    @property
    def folder(self) -> Path | None:
        """The only folder that may hold further files of the model; none for bytes."""
        return self.content.parent if isinstance(self.content, Path) else None

    def read(self) -> Any:
        """Return the ModelProto, without the weights that are in other files.

        Raises:
            ValueError: It is no ONNX model, or a file has changed since it was loaded.
        """
        changed = [str(path) for path, stamp in self.stamps.items() if _stamp(path) != stamp]
        if changed:
            message = f"{changed[0]} has changed since the model was loaded; make a new generator"
            raise ValueError(message)
        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return parse(content, self.where)


def stored(source: Path | bytes) -> tuple[Stored, Any]:
    """Return a model and its ModelProto, after a look at the files that it names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX model, or it names a file outside its folder, or one that is not there.
    """
    if isinstance(source, Path):
        if not source.is_file():
            message = f"{source}: there is no such model file"
            raise FileNotFoundError(message)
        source = source.resolve()
    model = Stored(source)
    proto = model.read()
    files = [check_file(location, model.folder, model.where) for location in sorted(set(named_files(proto)))]
    if isinstance(source, Path):
        files.append(source)
    return model._replace(stamps={path: _stamp(path) for path in files}), proto


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def parse(content: bytes, where: str) -> Any:
    """Return the ModelProto of bytes.

    Raises:
        ValueError: They are none; the message says what they look like.
    """
    if content.startswith(LFS_POINTER):
        message = f"{where}: is a pointer of Git LFS, not the model itself; fetch it with: git lfs pull"
        raise ValueError(message)
    if content[4:8] == b"ORTM":
        message = f"{where}: is in ORT format; pass an onnxruntime.InferenceSession of it, or the .onnx that it is from"
        raise ValueError(message)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except Exception as error:  # protobuf has several kinds for this
        message = f"{where}: expected an ONNX model, got {len(content)} bytes that are none, or not all of one: {error}"
        raise ValueError(message) from error
    if not proto.HasField("graph"):
        message = f"{where}: expected an ONNX model, got {len(content)} bytes without a graph; export it again"
        raise ValueError(message)
    return proto
