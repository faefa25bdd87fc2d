"""Generators that are bound to their dataset and report metrics."""

import json
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.generator import FirstOrderDataGenerator
from probly.data_generator.metrics import report


class BaseDataGenerator:
    """A model and a dataset, and what the model says of it.

    Args:
        model: See FirstOrderDataGenerator.
        dataset: A dataset or a loader.
        batch_size: Rows per forward pass.
        device: A device name of the framework, or None for the best one available.
        options: The further arguments of FirstOrderDataGenerator.

    Attributes:
        generator: The FirstOrderDataGenerator behind it.
        distributions: The result of the last run, or None.
        results: The report of the last ``generate()`` or ``load()``, or None.
    """

    framework: ClassVar[str] = "auto"

    def __init__(
        self, model: Any, dataset: Any, batch_size: int = 32, device: str | None = None, **options: Any
    ) -> None:
        options.setdefault("backend", self.framework)
        self.generator = FirstOrderDataGenerator(model, device, batch_size, **options)
        self.dataset = dataset
        self.distributions: Distributions | None = None
        self.results: dict[str, Any] | None = None

    def generate_distributions(self, *, progress: bool = True) -> Distributions:
        """Run the model over the dataset and return the distributions."""
        self.distributions = self.generator.generate_distributions(self.dataset, progress=progress)
        return self.distributions

    def generate(self, *, progress: bool = True) -> dict[str, Any]:
        """Run the model over the dataset and return the report.

        Returns:
            ``{"info": {"framework", "dataset_size", "batch_size", ...}, "metrics": {"accuracy", ...},
            "labels": {"labelled", "note"}, "class_distribution": {"predicted", "ground_truth"},
            "confidence": {"mean", "std"}}``; what needs labels is taken over the rows that have one, and None where
            there are none.
        """
        distributions = self.generate_distributions(progress=progress)
        self.results = {"info": self.get_info(), **report(distributions)}
        return self.results

    def get_info(self) -> dict[str, Any]:
        """Return what is run; the dataset's size is None until a run has counted it."""
        return {
            "framework": self.generator.framework,
            "dataset_size": None if self.distributions is None else len(self.distributions),
            "batch_size": self.generator.batch_size,
            "device": str(self.generator.current_device),
            "model_name": self.generator.model_name,
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write the last report to a JSON file, whole or not at all.

        Raises:
            RuntimeError: There is none yet.
        """
        if self.results is None:
            message = "there are no results to save; call generate() first"
            raise RuntimeError(message)
        text = json.dumps(self.results, indent=2, ensure_ascii=False, allow_nan=False)
        with replacing(Path(path)) as file:
            file.write(text.encode())

    def load(self, path: str | PathLike[str]) -> dict[str, Any]:
        """Read a report that ``save`` wrote, and return it.

        Raises:
            FileNotFoundError: There is no such file.
            StoreError: It holds something else.
        """
        try:
            results = json.loads(Path(path).read_bytes())
            missing = {"info", "metrics", "class_distribution", "confidence"} - results.keys()
        except (ValueError, AttributeError, RecursionError) as error:
            message = f"{path}: not a report: {error}"
            raise StoreError(message) from error
        if missing:
            message = f"{path}: not a report: it lacks {', '.join(sorted(missing))}"
            raise StoreError(message)
        self.results = results
        return dict(results)


def create_data_generator(
    framework: str,
    model: Any,
    dataset: Any,
    batch_size: int = 32,
    device: str | None = None,
    **options: Any,
) -> BaseDataGenerator:
    """Return a generator bound to its dataset.

    Args:
        framework: The name of an installed backend, or ``"auto"``.
        model: See FirstOrderDataGenerator.
        dataset: A dataset or a loader.
        batch_size: Rows per forward pass.
        device: A device name of the framework, or None for the best one available.
        options: The further arguments of FirstOrderDataGenerator.

    Raises:
        ValueError: "Unknown framework: ...".
        BackendNotInstalledError: The message says what to install.

    Examples:
        >>> import numpy as np
        >>> inputs, labels = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])
        >>> generator = create_data_generator("numpy", lambda batch: batch, (inputs, labels))
        >>> generator.generate()["metrics"]["accuracy"]
        1.0
    """
    return BaseDataGenerator(model, dataset, batch_size, device, backend=framework, **options)
