"""What comes before a run: nothing is asked of a backend that it would not hear, and a model that can be asked."""

from collections.abc import Mapping
from typing import Any

from probly.data_generator.discovery.listing import explain_missing
from probly.data_generator.discovery.loading import Backend
from probly.data_generator.discovery.requirements import required_modules
from probly.data_generator.errors import BrokenBackendError
from probly.data_generator.toolkit.trust import TRUST, needless


def check_heard(backend: Backend, options: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse options, and arguments of ``iterate_batches`` that are not None, that no hook of the backend would see."""
    name = backend.info.name
    if options and not backend.takes("load_model", "options"):
        if TRUST in options:
            raise needless(name)
        message = f"backend {name!r} takes no options, got {', '.join(sorted(options))}"
        raise ValueError(message)
    for argument, value in asked.items():
        if value is not None and not backend.takes("iterate_batches", argument):
            message = (
                f"backend {name!r} takes no {argument}: its hook iterate_batches leaves the argument out; pass samples "
                "that need none, such as pairs (input, label) in the order of the dataset"
            )
            raise ValueError(message)


def open_model(backend: Backend, source: Any, device: str | None, options: Mapping[str, Any]) -> Any:
    """Return what the backend's ``load_model`` gives; say so where the backend itself is what is broken."""
    try:
        model = backend.answer("load_model", source=source, device=device, options=options)
    except ModuleNotFoundError as error:
        # Only what the backend requires is its own trouble; the user's model may miss a module, too.
        if (error.name or "").partition(".")[0] in required_modules(backend.info.distribution):
            raise explain_missing(error, backend.info.name) from error
        raise
    if not hasattr(model, "device"):
        message = (
            f"backend {backend.info.name!r}: hook load_model returned {type(model).__name__}, which has no attribute "
            "device; return an object with the resolved device name"
        )
        raise BrokenBackendError(message)
    return model
