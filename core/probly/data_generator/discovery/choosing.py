"""The backend of a live model or a file, found without importing any framework."""

from os import PathLike
from pathlib import Path
from typing import Any

from probly.data_generator.discovery.listing import BackendInfo, find_backend, known_backends, list_backends
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.errors import AmbiguousBackendError, BrokenBackendError
from probly.data_generator.installing import CORE, install_advice
from probly.data_generator.toolkit.importing import import_model, is_import_path


def choose_backend(model: Any) -> BackendInfo:
    """Return the backend that recognizes a live model or the suffix of a file; no framework is imported.

    Of several that recognize a live model, the one whose class comes first in ``type(model).__mro__`` gets it: a
    library's own backend wins over the one of the library that it is built on. Nobody's model is the agnostic one's.

    Raises:
        AmbiguousBackendError: Several recognize it by the same class, or the same suffix.
        BackendNotInstalledError: The model's own framework has a backend of ours that is not installed, and the
            agnostic one finds no ``predict_proba`` on the model.
        BrokenBackendError: The model's own framework has a backend that is installed but broken.
        ValueError: No backend opens files of this suffix.
    """
    source = _source(model)
    broken: dict[str, BrokenBackendError] = {}
    best = _most_specific(source, broken)
    if len(best) > 1:
        names = " and ".join(repr(info.name) for info in best)
        what = repr(str(source)) if isinstance(source, Path) else f"a model of type {type(source).__qualname__}"
        message = f"{what} is recognized by {names}; choose one with backend=..."
        raise AmbiguousBackendError(message)
    if best:
        return best[0]
    if isinstance(source, Path):
        installed = ", ".join(map(repr, sorted(list_backends())))
        there = "" if source.exists() else ", which is not there, and nothing is downloaded"
        message = (
            f"a file does not tell its framework, and no installed backend claims the suffix {source.suffix!r}: "
            f"{str(source)!r}{there}; set backend=..., one of {installed}{_others()}"
        )
        raise ValueError(message)  # noqa: TRY004  # a path is what it should be
    # The model's own framework may have a backend that cannot be used; the agnostic one would only hide that.
    for framework in sorted({kind.__module__.partition(".")[0] for kind in type(source).__mro__}):
        if framework in broken:
            raise broken[framework]
        # A model that names its own method for probabilities hides nothing: the agnostic backend calls it.
        if framework in known_backends() and not hasattr(source, "predict_proba"):
            find_backend(framework)  # raises where it is not installed
    return find_backend("numpy")


def _others() -> str:
    """Say which backends of ours are not installed, and how to change that."""
    installed = {info.distribution for info in list_backends().values()}
    others = sorted({name.removeprefix(f"{CORE}-") for name in known_backends().values() if name not in installed})
    if not others:
        return ""
    return f", or install one of {', '.join(others)}; for the first of these, {install_advice(f'{CORE}[{others[0]}]')}"


def _most_specific(source: Any, broken: dict[str, BrokenBackendError]) -> list[BackendInfo]:
    """Return the backends that recognize a model by its most specific class; note those that cannot answer."""
    ranks: list[tuple[int, BackendInfo]] = []
    for info in list_backends().values():
        try:
            rank = _rank(info, source)
        except BrokenBackendError as error:
            broken.update(dict.fromkeys(info.aliases, error))
        else:
            ranks += [] if rank is None else [(rank, info)]
    best = min((rank for rank, _ in ranks), default=0)
    return [info for rank, info in ranks if rank == best]


def _rank(info: BackendInfo, source: Any) -> int | None:
    """Return how specifically a backend recognizes a model, 0 for its own class, or None if it does not.

    Raises:
        BrokenBackendError: It cannot be loaded, or its hook fails, which is no reason to refuse everybody's models.
    """
    backend = load_backend(info)
    kinds = type(source).__mro__
    try:
        found = backend.hook.recognizes(source=source) if backend.has("recognizes") else False
        if not found:
            return None
        return kinds.index(found) if isinstance(found, type) else len(kinds)
    except Exception as error:
        message = (
            f"backend {info.name!r} ({info.distribution} {info.version}) is installed but broken: hook recognizes "
            f"failed with {type(error).__name__}: {error}; reinstall or uninstall {info.distribution}"
        )
        raise BrokenBackendError(message) from error


def _source(model: Any) -> Any:
    """Return what is to be recognized: the live model behind ``"module:attribute"``, the path of a file, or the model.

    A pair is a builder and its weight file, and the file tells whose it is.
    """
    if isinstance(model, tuple) and model and isinstance(model[-1], str | PathLike):
        model = model[-1]
    if isinstance(model, str):
        return import_model(model) if is_import_path(model) else Path(model)
    return Path(model) if isinstance(model, PathLike) else model
