"""What scikit-learn's models take as inputs: arrays, data frames, sparse matrices, texts, feature mappings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from probly.data_generator.toolkit import batches
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.samples import Batches
from probly.data_generator.toolkit.tabular import rowwise, stack_rows


def sklearn_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
    stop: int | None,
    label_getter: Getter | None = None,
) -> Batches:
    """Iterate over a dataset in batches of the kind that the estimator was fitted with.

    Data frames stay data frames with their columns and dtypes, and rows are taken by position, whatever their index
    says. Sparse matrices of any format become CSR, the format that is cut by rows.

    Raises:
        TypeError: ``dataset`` is a scikit-learn ``Bunch``, or nothing to iterate over.
    """
    if isinstance(dataset, Bunch):
        message = "expected a dataset, got a scikit-learn Bunch; pass (bunch.data, bunch.target)"
        raise TypeError(message)
    return batches.iterate_batches(
        rowwise(dataset), batch_size, input_getter, index_getter, batched, start, stop, label_getter, stack=stack
    )


def stack(samples: Sequence[Any]) -> Any:
    """Make a batch of samples: rows of a data frame become one again, sparse rows a CSR matrix.

    Mappings of features stay a list of them, which is what ``DictVectorizer`` and ``FeatureHasher`` take.

    Examples:
        >>> stack([{"town": "Ulm", "size": 3}, {"size": 5}])
        [{'town': 'Ulm', 'size': 3}, {'size': 5}]
        >>> stack([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 2)
    """
    return list(samples) if all(_is_features(sample) for sample in samples) else stack_rows(samples)


def _is_features(sample: Any) -> bool:
    kinds = (str, int, float, np.generic)
    return isinstance(sample, Mapping) and all(isinstance(value, kinds) for value in sample.values())
