"""When two models, or two datasets, are the same."""

import numpy as np
import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from probly.data_generator import StoreError
from probly_data_generator_torch import digest
from probly_data_generator_torch.backend import data_digest, weight_digest
from probly_data_generator_torch.models import load
from tests.torch_backend.support import LABELS, PAIRS, TENSORS, build, check, mlp, run


def test_the_digest_of_weights_tells_every_parameter_and_buffer():
    model = torch.nn.Sequential(mlp(), torch.nn.BatchNorm1d(3))

    def seen(source):
        return weight_digest(load(source, None))

    first = seen(model)
    assert first.startswith("sha256:")
    assert seen(model.forward) == first
    assert seen(torch.nn.Sequential(mlp(), torch.nn.BatchNorm1d(3))) == first
    with torch.no_grad():
        model[1].running_mean += 2.0**-20
    assert seen(model) != first
    assert seen(model.bfloat16()) != first
    assert seen(torch.relu) == "not seen"


def test_the_digest_of_data_reads_every_row():
    base = TensorDataset(*TENSORS)
    first = data_digest(base)
    assert data_digest(TensorDataset(*(tensor.clone() for tensor in TENSORS))) == first
    for number, row in ((0, 0), (0, 49), (1, 33)):
        tensors = [tensor.clone() for tensor in TENSORS]
        tensors[number][row] += 1
        assert data_digest(TensorDataset(*tensors)) != first
    zeros = [torch.zeros(4), torch.zeros(4, dtype=torch.int32), torch.zeros(2, 2)]
    assert len({data_digest(TensorDataset(tensor)) for tensor in zeros}) == 3, "the same bytes, but other numbers"


def test_the_digest_of_subsets_is_that_of_their_rows_in_order():
    base = TensorDataset(*TENSORS)
    first = data_digest(Subset(base, [3, 1, 2]))
    assert data_digest(Subset(Subset(base, [9, 1, 2, 3]), np.array([3, 1, 2]))) == first
    assert (
        len({first, data_digest(Subset(base, [1, 2, 3])), data_digest(base), data_digest(Subset(base, range(3)))}) == 4
    )


def test_other_datasets_have_none():
    class Own(TensorDataset):
        """It may change its samples."""

    for dataset in (PAIRS, Own(*TENSORS), Subset(Own(*TENSORS), [0]), Subset(PAIRS, [0]), [1, 2], TENSORS):
        assert data_digest(dataset) is None


def test_of_large_tensors_rows_from_the_first_to_the_last_are_read(monkeypatch):
    monkeypatch.setattr(digest, "WHOLE_BYTES", 50)
    monkeypatch.setattr(digest, "SAMPLED_ROWS", 8)
    values = torch.arange(50.0)
    first = data_digest(TensorDataset(values))
    for row, noticed in ((0, True), (49, True), (1, False)):
        changed = values.clone()
        changed[row] = -1
        assert (data_digest(TensorDataset(changed)) != first) == noticed
    assert data_digest(TensorDataset(torch.arange(51.0))) != first


@pytest.mark.parametrize("subset", [False, True])
def test_a_store_is_continued_with_the_same_data_only(subset, tmp_path):
    def dataset(tensors):
        base = TensorDataset(*tensors, torch.tensor(LABELS))
        return Subset(base, range(50)) if subset else base

    path, model = tmp_path / "a.fod", mlp()
    check(run(dataset(TENSORS[:1]), model, out=path))
    check(run(dataset([TENSORS[0].clone()]), model, out=path))
    changed = TENSORS[0].clone()
    changed[1] += 1  # none of the samples that the core looks at
    with pytest.raises(StoreError, match="data"):
        run(dataset([changed]), model, out=path)
    with pytest.raises(StoreError, match="model digest"):
        run(dataset(TENSORS[:1]), build(), out=path)
