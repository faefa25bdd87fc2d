"""Damaged files of ours; those of torch are damaged with its backend's tests. ``damages.py`` does it 100,000 times."""

import random

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.formats import digest
from tests.formats import damages


@pytest.mark.parametrize("form", [form for form in damages.FORMS if form != ".pt"])
def test_damage_gives_the_same_rows_or_a_store_error(tmp_path, form):
    found = damages.outcomes(tmp_path, form, 300)
    assert found["refused"] > 150


def test_without_the_digest_damage_is_silent(tmp_path, monkeypatch):
    """The test can tell: text has no checksums."""
    monkeypatch.setattr(digest, "content_digest", lambda *arguments: "sha256:always")
    with pytest.raises(AssertionError, match="silently wrong"):
        damages.outcomes(tmp_path, ".json", 4000)


def test_every_kind_of_damage_is_done(tmp_path):
    draw = random.Random(0)
    kinds = {damages.damaged(b"0123456789", draw)[1].split()[0] for _ in range(200)}
    assert kinds == {"bit", "byte", "cut", "lost", "extra", "zeros"}


def test_what_is_compared_is_all_that_counts(tmp_path):
    path, content = damages.written(tmp_path, ".json", "texts")
    np.testing.assert_array_equal(content[1]["members"], damages.MEMBERS)
    assert content[2] == damages.INDICES
    assert content[3] == damages.LABELS["texts"]
    assert content[4:6] == (damages.META["class_names"], damages.META["classes"])
    assert content[6] == damages.KEYS["texts"]
    assert content[0] == Distributions(damages.ROWS).probabilities.tobytes()
    assert np.frombuffer(content[0], np.float32).size == 27
    assert path.suffix == ".json"
