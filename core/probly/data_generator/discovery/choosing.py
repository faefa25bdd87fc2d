"""The backend of a live model, found without importing any framework."""

from os import PathLike
from typing import Any

from probly.data_generator.discovery.listing import BackendInfo, find_backend, known_backends, list_backends
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.errors import AmbiguousBackendError, BrokenBackendError
from probly.data_generator.toolkit.importing import import_model, is_import_path


def choose_backend(model: Any) -> BackendInfo:
    """Return the backend that recognizes a live model, else the agnostic one; no framework is imported.

    Raises:
        AmbiguousBackendError: Several recognize it.
        BackendNotInstalledError: The model's own framework has a backend of ours that is not installed, and the
            agnostic one finds no ``predict_proba`` on the model.
        BrokenBackendError: The model's own framework has a backend that is installed but broken.
    """
    if isinstance(model, str | PathLike | tuple):
        model = _resolved(model)
    recognizing: list[BackendInfo] = []
    broken: dict[str, BrokenBackendError] = {}
    for info in list_backends().values():
        try:
            if _recognizes(info, model):
                recognizing.append(info)
        except BrokenBackendError as error:
            broken.update(dict.fromkeys(info.aliases, error))
    if len(recognizing) > 1:
        names = " and ".join(repr(info.name) for info in recognizing)
        message = f"a model of type {type(model).__qualname__} is recognized by {names}; choose one with backend=..."
        raise AmbiguousBackendError(message)
    if recognizing:
        return recognizing[0]
    # The model's own framework may have a backend that cannot be used; the agnostic one would only hide that.
    for framework in sorted({kind.__module__.partition(".")[0] for kind in type(model).__mro__}):
        if framework in broken:
            raise broken[framework]
        # A model that names its own method for probabilities hides nothing: the agnostic backend calls it.
        if framework in known_backends() and not hasattr(model, "predict_proba"):
            find_backend(framework)  # raises where it is not installed
    return find_backend("numpy")


def _recognizes(info: BackendInfo, model: Any) -> bool:
    """Return whether one backend recognizes a model.

    Raises:
        BrokenBackendError: It cannot be loaded, or its hook fails, which is no reason to refuse everybody's models.
    """
    backend = load_backend(info)
    try:
        return backend.has("recognizes") and bool(backend.hook.recognizes(model=model))
    except Exception as error:
        message = (
            f"backend {info.name!r} ({info.distribution} {info.version}) is installed but broken: hook recognizes "
            f"failed with {type(error).__name__}: {error}; reinstall or uninstall {info.distribution}"
        )
        raise BrokenBackendError(message) from error


def _resolved(model: Any) -> Any:
    """Return the live model behind ``"module:attribute"``; the path of a file does not tell whose it is.

    Raises:
        ValueError: It is a path.
    """
    if isinstance(model, str) and is_import_path(model):
        return import_model(model)
    message = (
        f"a file does not tell its framework: {model!r}; set backend=..., one of "
        f"{', '.join(map(repr, sorted(list_backends())))}"
    )
    raise ValueError(message)
