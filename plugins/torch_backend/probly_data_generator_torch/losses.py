"""The loss that torch does not have; for whole rows it has ``KLDivLoss``, and ``CrossEntropyLoss`` takes them, too."""

import torch

from probly.data_generator.targets import SparseTargets

REDUCTIONS = ("batchmean", "sum", "none")


def sparse_kl_div(logits: torch.Tensor, targets: SparseTargets, reduction: str = "batchmean") -> torch.Tensor:
    r"""Return the Kullback-Leibler divergence of a student from the largest probabilities of its teacher.

    .. math:: \sum_{i \in K} q_i \log\frac{q_i}{p_i} + q_T \log\frac{q_T}{p_T},
        \quad q_T = 1 - \sum_{i \in K} q_i, \quad p_T = 1 - \sum_{i \in K} p_i

    The classes that the teacher's row does not name are one event, the tail, so nothing is asked of how the student
    divides it. That is at most the divergence of the whole rows, and the same where all classes are named. Where the
    tail is to be shared evenly, as FKD and TinyViT do, decode the rows (a top-k store does) and take ``KLDivLoss``.

    Args:
        logits: Of the student, floating point, shape ``(rows, classes)``.
        targets: Of the teacher, as ``output_dataloader(targets=["top-<k>"])`` gives them: ``classes`` and
            ``probabilities`` of shape ``(rows, k)``, ``tail`` of shape ``(rows,)``.
        reduction: ``"batchmean"``, the mean over the rows; ``"sum"``; or ``"none"``, shape ``(rows,)``.

    Raises:
        ValueError: Shapes do not fit, or the reduction is none of these.

    Examples:
        >>> teacher = SparseTargets(torch.tensor([[2]]), torch.tensor([[0.5]]), torch.tensor([0.5]))
        >>> round(float(sparse_kl_div(torch.log(torch.tensor([[0.375, 0.125, 0.5]])), teacher)), 6)
        0.0
    """
    classes, kept, tail = targets
    if logits.ndim != 2 or classes.shape != kept.shape or classes.shape[:1] != logits.shape[:1]:
        shapes = ", ".join(str(tuple(part.shape)) for part in (logits, classes, kept))
        message = f"expected logits (rows, classes), classes (rows, k) and probabilities (rows, k), got {shapes}"
        raise ValueError(message)
    if reduction not in REDUCTIONS:
        message = f"reduction: expected one of {', '.join(REDUCTIONS)}, got {reduction!r}"
        raise ValueError(message)
    found = torch.log_softmax(logits, dim=1)
    kept, tail = kept.to(found.dtype), tail.to(found.dtype)
    losses: torch.Tensor = (torch.special.xlogy(kept, kept) - kept * found.gather(1, classes)).sum(dim=1)
    if classes.shape[1] < logits.shape[1]:
        # Added up from the other classes: 1 minus the named ones would be rounding where these have nearly all.
        others = found.scatter(1, classes, -torch.inf).logsumexp(dim=1)
        losses = losses + torch.special.xlogy(tail, tail) - tail * others
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()
