"""Backends that load and break a promise all the same, as far as it can be seen without a model."""

import textwrap

from tests.tiny import GOOD_BACKEND


def hook(source):
    return GOOD_BACKEND + textwrap.dedent(source)


BROKEN_PROMISES = {
    "no-answer": (
        hook("""
        @hookimpl
        def to_device(data, device):
            pass
        """),
        r"hook to_device failed: ValueError: expected the same nest with NumPy arrays on 'host', got None",
    ),
    "no-nests": (
        hook("""
        @hookimpl
        def to_device(data, device):
            return np.asarray(list(data))
        """),
        r"hook to_device failed: ValueError: expected the same nest with NumPy arrays",
    ),
    "no-numpy": (
        hook("""
        @hookimpl
        def to_device(data, device):
            (inputs, text), (labels,) = data["part"], data["labels"]
            return {"part": (inputs.tolist(), text), "labels": [labels]}
        """),
        r"hook to_device failed: ValueError: expected the same nest with NumPy arrays",
    ),
    "other-numbers": (
        hook("""
        @hookimpl
        def to_device(data, device):
            return {"part": (data["part"][0] + 1, "text"), "labels": data["labels"]}
        """),
        r"hook to_device failed: ValueError: expected the same nest",
    ),
    "no-batches": (
        hook("""
        @hookimpl
        def iterate_batches(dataset):
            return None
        """),
        r"hook iterate_batches failed: TypeError: expected an iterator, got None",
    ),
    "no-indices": (
        hook("""
        from probly.data_generator import Batch

        @hookimpl
        def iterate_batches(dataset, batch_size):
            return iter([Batch(np.arange(2), dataset[0][:2], {"labels": dataset[1][:2]})] * 2)
        """),
        r"hook iterate_batches failed: ValueError: expected the rows 0 to 4 with start=0.*got \[0, 1, 0, 1\]",
    ),
    "no-labels": (
        hook("""
        from probly.data_generator import Batch

        @hookimpl
        def iterate_batches(dataset, batch_size):
            return iter([Batch(np.arange(5), dataset[0])])
        """),
        r"hook iterate_batches failed: ValueError: expected the inputs and labels of the rows \[0, 1, 2, 3, 4\]",
    ),
    "no-stop": (
        hook("""
        from probly.data_generator.toolkit import batches

        @hookimpl
        def iterate_batches(dataset, batch_size, start):
            return batches.iterate_batches(dataset, batch_size, start=start)
        """),
        r"hook iterate_batches failed: ValueError: expected the rows 2 to 2 with start=2 and stop=3",
    ),
    "counts-anew": (
        hook("""
        from probly.data_generator.toolkit import batches

        @hookimpl
        def iterate_batches(dataset, batch_size, start, stop):
            cut = tuple(part[start:stop] for part in dataset)
            return batches.iterate_batches(cut, batch_size)
        """),
        r"hook iterate_batches failed: ValueError: expected the inputs and labels of the rows \[0, 1\]",
    ),
    "claims-all": (
        hook("""
        @hookimpl
        def recognizes(source):
            return hasattr(source, "__class__")
        """),
        r"hook recognizes failed: ValueError: expected False for <object object.*, which is nobody's, got True",
    ),
    "claims-files": (
        hook("""
        @hookimpl
        def recognizes(source):
            return hasattr(source, "suffix")
        """),
        r"hook recognizes failed: ValueError: expected False for .*'file\.of-nobody'",
    ),
    "fails-on-files": (
        hook("""
        @hookimpl
        def recognizes(source):
            return hasattr(source, "suffix") and source.read_bytes() == b"mine"
        """),
        r"hook recognizes failed: FileNotFoundError",
    ),
    "imports-to-recognize": (
        hook("""
        @hookimpl
        def recognizes(source):
            import old_framework
            return isinstance(source, old_framework.Model)
        """),
        r"hook recognizes failed: ImportError: it imports old_framework",
    ),
    "any-error": (
        hook("""
        @hookimpl
        def is_out_of_memory(error):
            return True
        """),
        r"hook is_out_of_memory failed: ValueError: expected False for a ValueError, got True",
    ),
    "no-error": (
        hook("""
        @hookimpl
        def is_out_of_memory(error):
            pass
        """),
        r"hook is_out_of_memory failed: ValueError: expected False for a ValueError, got None",
    ),
    "any-data": (
        hook("""
        @hookimpl
        def data_digest(dataset):
            return str(dataset)
        """),
        r"hook data_digest failed: ValueError: expected None for an object of nobody's",
    ),
    "no-choices": (
        hook("""
        @hookimpl
        def choices():
            return {"device": "cpu"}
        """),
        r"hook choices failed: TypeError: expected the allowed values of each option by its name, got \{'device'",
    ),
    "imports-to-list": (
        hook("""
        @hookimpl
        def choices():
            import pytest

            return {"device": ["cpu"]}
        """),
        r"hook choices failed: ImportError: it imports pytest, for which all would wait",
    ),
}
"""What can be seen without a model: the hook, and what is said of it."""
