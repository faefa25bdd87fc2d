"""Members in a report: their uncertainty taken apart, what they dispute, and what their intervals cover."""

import json
import re

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.report import plot_members, summarise, write_report
from probly.data_generator.store import load, save
from probly_data_generator_report.comparison import compare

RANDOM = np.random.default_rng(2)
MEMBERS = RANDOM.dirichlet(np.ones(4), (60, 5)).astype(np.float32)
MEMBERS[10] = MEMBERS[10, 0]  # they agree
MEMBERS[20] = np.eye(4)[[0, 1, 2, 3, 0]]  # they do not
WHOLE = Distributions(MEMBERS.mean(axis=1, dtype=float), labels=np.arange(60) % 4, columns={"members": MEMBERS})


def entropy(rows):
    return -(rows * np.log(np.where(rows > 0, rows, 1))).sum(axis=-1)


MUTUAL = entropy(MEMBERS.mean(axis=1, dtype=float)) - entropy(MEMBERS.astype(float)).mean(axis=1)


@pytest.mark.parametrize("suffix", [".npz", ".fod"])
def test_uncertainty_is_taken_apart(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", WHOLE)
    found = summarise(load(tmp_path / f"a{suffix}")[0]).members
    assert found.count == 5
    np.testing.assert_allclose(found.means["epistemic"], MUTUAL.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.means["total"], entropy(WHOLE.astype64()).mean(), rtol=1e-5)
    assert found.epistemic.counts.sum() == 60
    order = np.argsort(-MUTUAL)[:12]
    assert [sample.dataset_index for sample in found.disputed] == order.tolist()
    assert found.disputed[0].dataset_index == 20
    np.testing.assert_allclose(found.disputed[0].score, MUTUAL[20], rtol=1e-5)


def test_the_page_shows_them(tmp_path):
    write_report(tmp_path / "a.html", WHOLE)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "What the members dispute" in text
    assert "Houlsby et al. 2011" in text
    assert 'id="members"' in text
    numbers = json.loads(re.search(r'id="numbers">(.*?)</script>', text, re.DOTALL)[1])
    assert numbers["members"]["count"] == 5
    np.testing.assert_allclose(numbers["members"]["epistemic"], MUTUAL.mean(), rtol=1e-5)
    write_report(tmp_path / "b.html", Distributions(WHOLE.probabilities, labels=WHOLE.labels))
    text = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "dispute" not in text
    assert "Houlsby" not in text


def test_what_the_intervals_cover():
    inside = MEMBERS[:, :2].mean(axis=1, dtype=float)
    outside = inside.copy()
    outside[:15] = np.eye(4)[(MEMBERS[:15].max(axis=1)).argmin(axis=1)]
    assert compare(WHOLE, Distributions(inside))["coverage"] == 1.0
    assert compare(WHOLE, Distributions(outside))["coverage"] == 0.75
    part = {row: inside[row] for row in (3, 30, 41)}
    assert compare(WHOLE, part)["coverage"] == 1.0
    assert compare(Distributions(inside), WHOLE)["coverage"] is None


def test_without_members_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="expected distributions with members"):
        plot_members({0: [0.5, 0.5]})
