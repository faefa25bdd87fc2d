"""The table that notebooks show of distributions, in memory and in a store."""

import numpy as np
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.store import open_store
from probly_data_generator_store import fod


def test_a_notebook_shows_the_first_rows_by_name():
    meta = {"class_names": ["<b>cat</b>", "dog"]}
    rows = Distributions([[0.25, 0.75]] * 7, np.arange(10, 17), labels=[1, 0] * 3 + [1], meta=meta)
    shown = rows._repr_html_()
    assert "<td>dog</td><td>dog 0.7500</td><td>&lt;b&gt;cat&lt;/b&gt; 0.2500</td>" in shown
    assert "<b>" not in shown
    assert '<th scope="row">10</th>' in shown
    assert shown.count("<tr>") == 6
    assert "and 2 more" in shown
    assert "Distributions(7 samples x 2 classes)" in shown
    assert "<tbody></tbody>" in Distributions(np.zeros((0, 2)))._repr_html_()
    assert "<td>yes</td>" in Distributions([[1.0]], labels=["yes"])._repr_html_()
    some = Distributions([[0.25, 0.75]] * 3, labels=["dog", None, "cow"], meta={"class_names": ["cat", "dog"]})
    assert [cell in some._repr_html_() for cell in ("<td>None</td>", "<td>cow</td>", "<td>cat</td>")] == [1, 1, 0]


@pytest.mark.parametrize("form", ["float32", "top-2"])
def test_the_table_of_a_store_reads_its_first_shard_only(tmp_path, form, monkeypatch):
    monkeypatch.setattr(fod, "NUMBERS_AT_ONCE", 10 * 4)
    rows, labels = np.random.default_rng(8).dirichlet(np.ones(4), 50).astype(np.float32), np.arange(50) % 4
    memory = Distributions(rows, np.arange(100, 150) * 2, labels=labels)
    fod.write(tmp_path / "a.fod", memory, {}, form, megabytes=0.0001)
    shards = sorted((tmp_path / "a.fod" / "shards").iterdir())
    assert len(shards) > 1
    for shard in shards[1:]:  # reading them raises
        data = shard.read_bytes()
        shard.chmod(0o644)
        shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    store = open_store(tmp_path / "a.fod")
    table = store._repr_html_()
    assert '<th scope="row">200</th>' in table
    if form == "float32":
        assert f"{rows[0].max():.4f}" in table
    with pytest.raises(StoreError):
        store.verify()


def test_the_table_of_an_empty_store(tmp_path):
    fod.write(tmp_path / "a.fod", Distributions(np.zeros((0, 2))), {})
    assert "0 samples x 2 classes" in open_store(tmp_path / "a.fod")._repr_html_()
