"""A small run that several workers share, and whether what came out is what a single one gives."""

import json

from probly.data_generator.run import identity
from probly.data_generator.store import open_store
from tests.store import stores

SHARD_ROWS = 2 * stores.BATCH
SHARDS = -(-stores.ROWS // SHARD_ROWS)


def run(path, data=stores.DATA, *, share=(0, 1), shard_rows=SHARD_ROWS, model=None, generator=None, **options):
    """Fill a store as one of several workers that know nothing of each other."""
    generator = generator or stores.generator(model)
    return generator.generate_distributions(
        data, progress=False, out=path, share=share, shard_rows=shard_rows, **options
    )


def entries(path):
    """Return start, stop, size and checksum of each shard, as the manifest lists them."""
    return json.loads((path / "manifest.json").read_bytes())["shards"]


def check(path, single):
    """Compare a store, whoever filled it, with what one worker has made."""
    store = open_store(path)
    store.verify()
    assert stores.agrees(store)
    assert entries(path) == entries(single)
    assert not list(path.glob("**/.*.part"))


def seen_alike(monkeypatch):
    """Let all models look the same from outside."""
    monkeypatch.setattr(identity, "model_digest", lambda backend, model: "sha256:0")
