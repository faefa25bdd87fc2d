"""Parquet, for pandas, Polars, DuckDB, Spark and ``datasets``; ``arrow_tables`` says what its columns are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.shared import Array, optional_library, reading
from probly_data_generator_store.arrow_tables import MISSHAPEN, Layout, check_schema, distributions_of, filled
from probly_data_generator_store.parquet_pages import check_pages

KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
CHECKED = ("the CRC-32 of its pages, where it has them, and of its metadata",)
"""What reading such a file compares besides its digest."""
NUMBERS_PER_ROW_GROUP = 2**22
TEXTS = ("label", "sample_key")


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, one row group of about 16 MB after another.

    Raises:
        ImportError: pyarrow is not installed.
        TypeError: The metadata is not JSON-serialisable, or the labels are neither numbers nor text.
        ValueError: The metadata holds NaN or infinity.
    """
    pa = optional_library("pyarrow", "parquet")
    pq = optional_library("pyarrow.parquet", "parquet")
    layout = Layout(pa, path, distributions, meta)
    # Dictionaries would not help probabilities, and would let a small file decode to a huge one; see check_size.
    options = {"use_dictionary": False, "compression": "snappy", "write_page_checksum": True}
    options["use_compliant_nested_type"] = False  # keep our name for the values of a list
    with replacing(path) as file, pq.ParquetWriter(file, layout.schema, **options) as writer:
        width = layout.numbers / max(distributions.num_classes, 1)
        for part, rows in row_blocks(distributions, int(NUMBERS_PER_ROW_GROUP / (1 + width))):
            writer.write_batch(layout.batch(part, rows))


def read(path: Path) -> Distributions:
    """Read a file and check everything in it; one without the column ``index`` counts from 0.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: There is none.
        StoreError: It is damaged, has nulls, lists of different lengths or other columns.
    """
    pa = optional_library("pyarrow", "parquet")
    pq = optional_library("pyarrow.parquet", "parquet")
    file_bytes = path.stat().st_size
    with path.open("rb") as file, reading(path, pa.ArrowException, OSError, *MISSHAPEN):
        check_pages(file, file_bytes)
        metadata = pq.read_metadata(file)
        leaves = [metadata.schema.column(place).path for place in range(metadata.num_columns)]
        # As a dictionary, text that is repeated a million times takes its room once.
        texts = [leaf for leaf in leaves if leaf.split(".")[0] in TEXTS]
        parquet = pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True, read_dictionary=texts)
        schema = parquet.schema_arrow.with_metadata(metadata.metadata)
        check_schema(pa, schema)
        columns = _columns(pa, parquet, schema, file_bytes)
        return distributions_of(pa, schema, metadata.num_rows, columns, file_bytes)


def _columns(pa: Any, parquet: Any, schema: Any, file_bytes: int) -> dict[str, Array]:
    total, width = parquet.metadata.num_rows, getattr(schema.field("probabilities").type, "list_size", 1024)
    return filled(pa, schema, total, parquet.iter_batches(max(1, 2**20 // width)), file_bytes)
