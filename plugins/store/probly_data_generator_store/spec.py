"""The two JSON files of a store, sealed with a checksum: what the store is, and that it is complete."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from probly.data_generator.errors import StoreError
from probly.data_generator.formats.shared import MOST_META
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files
from probly_data_generator_store.encodings import MOST_CLASSES
from probly_data_generator_store.kept import Kept, read_description

FIRST_SCHEMA = 1
SCHEMA = 2
SPEC = "spec.json"
MANIFEST = "manifest.json"
SHARDS = "shards"
MAX_JSON = MOST_META

OF_SECOND_SCHEMA: dict[str, Any] = {"columns": dict, "shard_rows": int | None, "probe": str | None}
"""The entries that schema 1 lacks."""

OPENING = b'{"checksum":"'
START = len(OPENING) + 64 + 2


@dataclass(frozen=True)
class Spec:
    """What a store is.

    Attributes:
        identity: What a later run must have in common with the first one.
        decided: The output mode that ``"auto"`` was settled to, or that was asked for.
        rows: The number of rows that the dataset announces, or None.
        classes: The number of classes.
        encoding: How rows are kept; the entry ``representation`` of the file.
        keyed: Whether the shards carry dataset indices, because they are not 0, 1, 2, ...
        meta: The metadata of the distributions.
        columns: What is kept beside the rows.
        shard_rows: Where several writers share the store, the rows of every shard but the last; else shards end
            anywhere.
        probe: Rows that a further writer computes, too, before it may write; see ``admission``.
        id: Binds the shards to this very store.
    """

    identity: dict[str, Any]
    decided: str | None
    rows: int | None
    classes: int
    encoding: str
    keyed: bool
    meta: dict[str, Any]
    columns: dict[str, Kept] = field(default_factory=dict)
    shard_rows: int | None = None
    probe: str | None = None
    id: str = ""

    @property
    def schema(self) -> int:
        """The version of what is on the disk: the first one, which version 0.1 reads, where it can say all."""
        return SCHEMA if self.columns or self.shard_rows is not None else FIRST_SCHEMA

    @classmethod
    def new(cls, **fields: Any) -> "Spec":
        """Return a spec with an id that no other store has."""
        return cls(**fields, id=secrets.token_hex(16))

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        content = {**asdict(self), "schema": self.schema}
        if self.schema == FIRST_SCHEMA:
            for name in OF_SECOND_SCHEMA:
                del content[name]
        content["representation"] = content.pop("encoding")  # what schema 1 calls it
        sealed = seal(content)
        if len(sealed) > MAX_JSON:
            message = f"expected at most {MAX_JSON} bytes of metadata, names of classes included, got {len(sealed)}"
            raise ValueError(message)
        return sealed

    @classmethod
    def read(cls, path: Place) -> "Spec":
        """Read and check a file.

        Raises:
            StoreError: It is missing, damaged, or of another version.
        """
        content = unseal(path)
        schema = content.get("schema")
        if schema not in (FIRST_SCHEMA, SCHEMA):
            message = f"{path}: expected a store of schema {FIRST_SCHEMA} or {SCHEMA}, got {schema!r}"
            raise StoreError(message)
        kinds: dict[str, Any] = {
            "identity": dict, "decided": str | None, "rows": int | None, "classes": int, "representation": str,
            "keyed": bool, "meta": dict, "id": str, "schema": int,
        }  # fmt: skip
        if schema == SCHEMA:
            kinds |= OF_SECOND_SCHEMA
        if content.keys() != kinds.keys():
            message = f"{path}: expected the entries {sorted(kinds)}, got {sorted(content)}"
            raise StoreError(message)
        for name, kind in kinds.items():
            check_kind(path, name, content[name], kind)
        if content["classes"] > MOST_CLASSES:
            message = f"{path}: entry 'classes': expected at most {MOST_CLASSES}, got {content['classes']}"
            raise StoreError(message)
        if content.get("shard_rows") is not None and not (content["shard_rows"] and content["rows"] is not None):
            message = f"{path}: entry 'shard_rows': expected at least 1, and a number of rows, got {content['rows']}"
            raise StoreError(message)
        try:
            columns = read_description(content.pop("columns", {}), content["classes"])
        except ValueError as error:
            message = f"{path}: {error}"
            raise StoreError(message) from error
        del content["schema"]
        content["encoding"] = content.pop("representation")
        return cls(**content, columns=columns)


def check_kind(path: Place, name: str, value: Any, kind: Any) -> None:
    """Check an entry of a file; counts are integers from 0 to 2**62.

    Raises:
        StoreError: It is something else.
    """
    fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    if not fits or (type(value) is int and not 0 <= value < 2**62):
        message = f"{path}: entry {name!r}: expected {kind}, got {str(value)[:40]}"
        raise StoreError(message)


def seal(content: Mapping[str, Any]) -> bytes:
    r"""Return canonical JSON that begins with the SHA-256 of its rest.

    Examples:
        >>> seal({"rows": 3})[-12:]
        b'","rows":3}\n'
    """
    rest = b'",' + canonical(content)[1:] + b"\n"
    return OPENING + hashlib.sha256(rest).hexdigest().encode() + rest


def canonical(content: Any) -> bytes:
    """Return JSON with one spelling: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def unseal(path: Place) -> dict[str, Any]:
    """Verify the checksum of a sealed file, then parse it.

    Raises:
        StoreError: It is missing or damaged.
    """
    data = files.read_small(path, MAX_JSON)
    rest = data[START - 2 :]
    if data[: START - 2] != OPENING + hashlib.sha256(rest).hexdigest().encode():
        message = f"{path}: its checksum is wrong; the file is damaged or none of a store"
        raise StoreError(message)
    try:
        content: dict[str, Any] = json.loads(data)
        del content["checksum"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"{path}: not a file of a store: {error}"
        raise StoreError(message) from error
    return content


def refuse_differences(path: Place, spec: Spec, identity: Mapping[str, Any], encoding: str) -> None:
    """Refuse to continue a store that another run began.

    Raises:
        StoreError: The message names every difference.
    """
    wanted = json.loads(json.dumps({**identity, "encoding": encoding}))
    stored = {**spec.identity, "encoding": spec.encoding}
    if _knows_less_of_models(stored):
        for side in (stored, wanted):
            side["model"] = {name: side["model"].get(name) for name in ("name", "type")}
    found = differences(stored, wanted)
    if found:
        message = f"{path}: was begun by another run; {'; '.join(found)}. Undo the change, or choose another path"
        raise StoreError(message)


def _knows_less_of_models(identity: Mapping[str, Any]) -> bool:
    """Return whether version 0.1 began a store, which saw a part of what a model computes with; the probe is left."""
    model = identity.get("model")
    return isinstance(model, Mapping) and "weights" in model and "digest" not in model


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any], name: str = "") -> list[str]:
    """Return what differs between two identities, one line per entry.

    Examples:
        >>> differences({"model": {"name": "a"}, "k": 1}, {"model": {"name": "b"}, "k": 1})
        ["model name: the store has 'a', this run has 'b'"]
    """
    found = []
    for key in sorted({*stored, *wanted}):
        old, new = stored.get(key), wanted.get(key)
        label = f"{name} {key}".strip()
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, label)
        elif old != new:
            found.append(f"{label}: the store has {_short(old)}, this run has {_short(new)}")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"
