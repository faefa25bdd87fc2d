"""Several targets and views through torch's loader, and the loss for sparse targets."""

import numpy as np
import pytest
import torch

from probly.data_generator import Distributions
from probly.data_generator.targets import SparseTargets, sparse_targets
from probly.data_generator.torch_first_order_generator import output_dataloader, sparse_kl_div

RANDOM = np.random.default_rng(0)
MEMBERS = RANDOM.dirichlet(np.ones(6), size=(10, 3)).astype(np.float32)
TEACHER = Distributions(MEMBERS.mean(axis=1), columns={"members": MEMBERS})
LOGITS = torch.from_numpy(RANDOM.normal(size=(10, 6)))
BASE = torch.utils.data.TensorDataset(torch.arange(10.0), torch.arange(10) % 6)


def tensors(rows, count):
    return SparseTargets(*map(torch.from_numpy, sparse_targets(rows, count)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_targets_and_views_are_those_of_their_samples(workers):
    torch.manual_seed(0)
    loader = output_dataloader(
        BASE, TEACHER, batch_size=4, shuffle=True, num_workers=workers, targets=["view", "top-2", "members"]
    )
    assert isinstance(loader, torch.utils.data.DataLoader)
    assert len(loader) == 3
    for epoch in range(4 if workers == 0 else 2):
        for inputs, _labels, view, top, members in loader:
            places = inputs.long()
            np.testing.assert_array_equal(view, MEMBERS[places, epoch % 3])
            np.testing.assert_array_equal(members, MEMBERS[places])
            expected = tensors(TEACHER.probabilities[places], 2)
            assert type(top) is SparseTargets
            assert all(torch.equal(found, wanted) for found, wanted in zip(top, expected, strict=True))
            assert [part.dtype for part in top] == [torch.int64, torch.float32, torch.float32]


def lumped(rows, classes):
    """Return rows with the classes that are not named as one."""
    kept = rows.gather(1, classes)
    return torch.cat([kept, 1 - kept.sum(dim=1, keepdim=True)], dim=1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_sparse_divergence_is_that_of_the_named_classes_and_the_rest(count):
    targets = tensors(TEACHER.probabilities, count)
    teacher = lumped(torch.tensor(TEACHER.probabilities).double(), targets.classes)
    student = lumped(LOGITS.softmax(dim=1), targets.classes)
    expected = (teacher * (teacher / student).log()).sum(dim=1)
    torch.testing.assert_close(sparse_kl_div(LOGITS, targets, "none"), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sparse_kl_div(LOGITS, targets), expected.mean(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sparse_kl_div(LOGITS, targets, "sum"), expected.sum(), rtol=1e-5, atol=1e-6)
    whole = torch.nn.functional.kl_div(
        LOGITS.log_softmax(dim=1), torch.tensor(TEACHER.probabilities).double(), reduction="none"
    )
    assert (sparse_kl_div(LOGITS, targets, "none") <= whole.sum(dim=1) + 1e-6).all()


def test_with_all_classes_it_is_torchs_own():
    targets = tensors(TEACHER.probabilities, 6)
    rows = torch.tensor(TEACHER.probabilities)
    own = torch.nn.functional.kl_div(LOGITS.float().log_softmax(dim=1), rows, reduction="batchmean")
    torch.testing.assert_close(sparse_kl_div(LOGITS.float(), targets), own)


def test_its_gradient_is_right_and_finite_at_the_edges():
    targets = tensors(TEACHER.probabilities, 2)
    targets = SparseTargets(targets.classes, targets.probabilities.double(), targets.tail.double())
    assert torch.autograd.gradcheck(lambda logits: sparse_kl_div(logits, targets), LOGITS.clone().requires_grad_())
    certain = SparseTargets(torch.tensor([[2, 0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([0.0]))
    for scale in (1.0, 1000.0):
        logits = (scale * torch.tensor([[-1.0, 0.5, 1.0, 0.0]])).requires_grad_()
        loss = sparse_kl_div(logits, certain)
        loss.backward()
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor([2]))
        torch.testing.assert_close(loss, expected)
        assert torch.isfinite(logits.grad).all()


def test_what_does_not_fit_is_refused():
    targets = tensors(TEACHER.probabilities, 2)
    with pytest.raises(ValueError, match=r"expected logits \(rows, classes\).*got \(4, 6\), \(10, 2\), \(10, 2\)"):
        sparse_kl_div(LOGITS[:4], targets)
    with pytest.raises(ValueError, match="reduction: expected one of batchmean, sum, none, got 'mean'"):
        sparse_kl_div(LOGITS, targets, "mean")
