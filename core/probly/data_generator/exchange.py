"""What takes distributions to files and to other libraries, and back."""

import importlib
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from probly.data_generator.discovery.formats import format_of
from probly.data_generator.installing import install_advice
from probly.data_generator.label_values import names_in
from probly.data_generator.labels import position_names
from probly.data_generator.notebook_table import distributions_table
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.places import place_of
from probly.data_generator.toolkit.samples import Indices

if TYPE_CHECKING:
    from probly.data_generator.distributions import Distributions


class Exchange(Mapping[int, FloatRows]):
    """The part of ``Distributions`` that others read: files, tables of other libraries, arrays, notebooks."""

    probabilities: FloatRows
    indices: Indices
    labels: npt.NDArray[Any] | None
    columns: Mapping[str, Any]
    meta: dict[str, Any]
    _sample_keys: npt.NDArray[Any] | None = None

    @property
    def num_classes(self) -> int:
        """The number of columns."""
        return int(self.probabilities.shape[1])

    @property
    def sample_keys(self) -> npt.NDArray[Any] | None:
        """What each sample is called, as by its file's name, in the order of ``indices``, or None: text or integers."""
        return self._sample_keys

    def save(self, path: str | PathLike[str], *, meta: Mapping[str, Any] | None = None) -> None:
        """Write them to a file, whole or not at all: rows, indices, labels, sample keys, columns and metadata.

        Args:
            path: Its suffix names the format, as ``.parquet`` or ``.npz``; missing folders are made.
            meta: Added to the metadata, and stronger.

        Raises:
            ValueError: The suffix names no format, or class names are not one per class.
            NotInstalledError: The format has a distribution of its own, which is not installed.
            TypeError: The metadata cannot be written, or the format has no place for columns or sample keys.

        Examples:
            >>> import tempfile
            >>> from probly.data_generator import Distributions
            >>> path = tempfile.mkdtemp() + "/teacher.json"
            >>> Distributions([[0.25, 0.75]], labels=[1]).save(path)
            >>> Distributions.load(path)
            Distributions(1 samples x 2 classes)
        """
        whole = {**self.meta, **(meta or {})}
        names_in(whole, self.num_classes)  # what could not be read back is not written
        found = format_of(path)
        lacking, kept = [], "d.probabilities, d.indices, d.labels, d.meta"
        if self.columns and not getattr(found, "KEEPS_COLUMNS", False):
            lacking.append(f"the columns {', '.join(self.columns)}")
        if self.sample_keys is not None:
            if getattr(found, "KEEPS_SAMPLE_KEYS", False):
                kept += ", sample_keys=d.sample_keys"
            else:
                lacking.append("sample keys")
        if lacking:
            message = (
                f"{path}: {place_of(path).suffix} does not keep {' and '.join(lacking)}; choose another format, or "
                f"leave them out: Distributions({kept})"
            )
            raise TypeError(message)
        found.write(place_of(path), cast("Distributions", self), whole)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Distributions":
        """Read what ``save`` has written, in any format; a store, which ends in ``.fod``, is opened, not read.

        Raises:
            FileNotFoundError: There is no such file.
            StoreError: The file is damaged or holds something else.
            ValueError: The suffix names no format.
            NotInstalledError: See ``save``.
        """
        found: Distributions = format_of(path).read(place_of(path))
        return found

    def to_arrow(self) -> Any:
        """Return a table of pyarrow, the one that ``.parquet`` and ``.feather`` hold.

        Its columns are ``index``, ``sample_key`` and ``label`` where known, ``probabilities`` (a list of one number
        per class) and what is kept beside the rows. What ``datasets`` reads of its schema gives the labels their names.

        Raises:
            NotInstalledError: The store, whose formats make the table, is not installed.
            ImportError: pyarrow is not; the message says what to install.
            TypeError: The labels are neither numbers nor text.
        """
        return format_of("to_arrow.feather").table_of(self, self.meta)

    def to_pandas(self) -> Any:
        """Return a data frame of pandas with a row per sample and a column per class.

        Its index, called ``index``, has the dataset indices. Before the classes, which are called by their names or
        else by their numbers as text, stand ``sample_key`` and ``label`` where known. Columns that are kept beside the
        rows have several numbers per row, which no column of a frame holds well: they stay in ``columns``.

        Raises:
            ImportError: pandas is not installed.
            ValueError: A class is called as another column is, so that a name would mean two of them.

        Examples:
            >>> from probly.data_generator import Distributions
            >>> distributions = Distributions([[0.25, 0.75]], [7], ["dog"], {"class_names": ["cat", "dog"]})
            >>> distributions.to_pandas()
                  label   cat   dog
            index
            7       dog  0.25  0.75
        """
        try:
            pd = importlib.import_module("pandas")  # an optional library
        except ImportError as error:
            message = f"to_pandas needs pandas, which cannot be imported ({error}); {install_advice('pandas')}"
            raise ImportError(message) from error
        known = names_in(self.meta, self.num_classes)
        names = position_names(range(self.num_classes)) if known is None else known
        beside = {"sample_key": self.sample_keys, "label": self.labels}
        given = {name: values for name, values in beside.items() if values is not None}
        taken = [*given, *names]
        twice = next((name for name in taken if taken.count(name) > 1), None) if len({*taken}) < len(taken) else None
        if twice is not None:
            message = (
                f"to_pandas: two columns would be called {twice!r}; set d.meta['class_names'] to names that differ, or "
                "take to_arrow(), whose rows stand in one column"
            )
            raise ValueError(message)
        index = pd.Index(self.indices, name="index")
        frame = pd.DataFrame(self.probabilities, index=index, columns=names)
        for place, (name, values) in enumerate(given.items()):
            frame.insert(place, name, values if values.ndim == 1 else list(values))
        return frame

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the rows as one array, without a copy unless another dtype is asked for."""
        if copy is None:
            return np.asarray(self.probabilities, dtype=dtype)
        return np.array(self.probabilities, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        """Return the first rows as the table that notebooks show."""
        return distributions_table(self)
