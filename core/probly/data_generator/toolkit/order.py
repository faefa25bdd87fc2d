"""Whether a stream hands out its samples in one defined order, and ends: nothing in it may shuffle, or repeat for ever.

Rows of a stream are counted as they arrive, so a step that shuffles puts every row under a wrong index. Pipelines are
recognized by what their objects say of themselves: names of classes, settings such as ``shuffle``, and the objects that
they read from. No library is imported for it, and nothing is read.
"""

import functools
import gc
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from operator import length_hint
from types import CodeType, FunctionType, GeneratorType, MethodType
from typing import Any, Final

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.functions import is_installed
from probly.data_generator.toolkit.nests import is_array, shape_of
from probly.data_generator.toolkit.pipelines import fault_of_graph, inputs_of, is_graph
from probly.data_generator.toolkit.sampled import fault_of_loader

_SHUFFLES: Final = re.compile(
    r"shuffl|random\w*sampler|sampler\w*random|randomly|samplemultiplexer|resampledshard|unordered|as_completed|"
    r"dataservice|bucket_?(?:by|batch|iterator)|grouper",
    re.IGNORECASE,
)
"""What classes and functions are called that hand on their samples in another order, mostly in a new one each time."""
_KEEPS: Final = re.compile(r"[Uu]nshuffl|[Ss]huffle_?[Nn]et|(?:No|Non|Not|Without)Shuffl|(?:no|non|not|without)_shuffl")
_SETTINGS: Final = ("shuffle", "_shuffle", "shuffled", "shuffle_shards", "shuffle_files", "shardshuffle", "_shuffling")
"""Attributes that say so."""
_SWITCHES: Final = ("shuffle", "_shuffle", "_enabled", "_shuffle_enabled", "enabled")
"""Attributes of a step that is there for shuffling, with which it is switched off."""
_REPEATS: Final = re.compile(r"repeat|cycl", re.IGNORECASE)
_TIMES: Final = ("num_times", "times", "count", "num_epochs")
"""Attributes of a step that repeats: how often, where None stands for no end."""
_CUTS: Final = re.compile(r"take|limit|slice|head|zip|until|while|epoch", re.IGNORECASE)
"""What steps are called that may end before their source does."""
_STEPS: Final = ("pipeline", "stages", "steps", "sampler", "batch_sampler", "_sampler")
"""Attributes whose objects are steps, also where nobody can iterate over them."""
_FUNCTIONS: Final = ("func", "f", "fn", "function")
"""Where an object that calls a function, as a stage of a pipeline does, keeps it."""
_MOST_PARTS: Final = 64  # a longer list holds samples, not steps
_MOST_OBJECTS: Final = 5000


def check_order(dataset: Any, index_getter: Any = None, *, batched: bool | None = False) -> None:
    """Refuse a stream, or a loader without a sampler that can be asked, if something in it shuffles.

    Args:
        dataset: What will be read from its beginning to its end. Nothing of it is read here.
        index_getter: Where there is one, the samples carry their index and may come as they like.
        batched: Whether it hands out batches; None if nobody has said so.

    Raises:
        AlignmentError: It has no defined order; the message names the step.
        ValueError: It never ends.

    Examples:
        >>> class Stream:
        ...     shuffle = True
        >>> try:
        ...     check_order(Stream())
        ... except AlignmentError as error:
        ...     print(str(error).partition(",")[0])
        the Stream has no defined order (Stream with shuffle=True)
    """
    endless = endless_step(dataset)
    if endless is not None:
        message = f"the {endless} never ends; leave out repeat(), or cut it with take(n) or itertools.islice(stream, n)"
        raise ValueError(message)
    culprit = unordered_step(dataset) if index_getter is None else None
    if culprit is not None:
        also = " (and batched=True, if these are batches)" if batched is None else ""
        kind = type(dataset).__name__.strip("_")
        message = (
            f"the {kind} has no defined order ({culprit}), so its rows have no index; leave that "
            f"step out, or let the samples carry their index and set index_getter{also}"
        )
        raise AlignmentError(message)


def unordered_step(dataset: Any) -> str | None:
    """Return what makes the order of a stream undefined, or None where nothing is seen."""
    known, seen = [dataset], {id(dataset)}  # an id belongs to an object only while that lives
    for step in known:
        found = _fault_of(step)
        if found is not None:
            return found
        for source in _sources(step):
            if id(source) not in seen and len(known) < _MOST_OBJECTS:
                seen.add(id(source))
                known.append(source)
    return next(filter(None, map(fault_of_loader, known)), None)  # last, because samplers are asked by it


def endless_step(dataset: Any) -> str | None:
    """Return the step that repeats its source without an end, where none after it may cut it; or None."""
    step, read, absent = dataset, True, object()
    for _ in range(_MOST_PARTS):
        name = _name_of(step)
        if is_graph(step):
            return name if int(step.cardinality()) == -1 else None
        if _CUTS.search(name) or hasattr(type(step), "__len__"):
            return None
        times = [_setting(step, setting, absent) for setting in _TIMES]
        says = None in times and all(value is None or value is absent for value in times)
        # A counter that an object keeps may well number its samples.
        ticks = isinstance(step, itertools.count | itertools.repeat) and length_hint(step, -1) < 0
        if (ticks and read) or isinstance(step, itertools.cycle) or (_REPEATS.search(name) and says):
            return name
        # The code of a generator of the user's own may stop when it likes.
        own_code = isinstance(step, GeneratorType) and name not in ("__iter__", "<genexpr>")
        sources = [] if own_code else [one for one in _sources(step) if not isinstance(one, list | tuple | Mapping)]
        if len(sources) != 1:
            return None
        step, read = sources[0], _is_of_python(step) or isinstance(step, GeneratorType)
    return None


def _fault_of(step: Any) -> str | None:
    """Return what is wrong with one step by itself."""
    if isinstance(step, set | frozenset):
        return f"a {type(step).__name__}"
    name = _name_of(step)
    for setting in _SETTINGS:
        value = _setting(step, setting)
        if _is_on(value):
            return f"{name} with {setting}={value!r}" if len(repr(value)) < 40 else f"{name} with {setting}"
    if _SHUFFLES.search(name) and not _KEEPS.search(name):
        return None if any(_setting(step, switch) is False for switch in _SWITCHES) else name
    ask = getattr(type(step), "get_idxs", None)
    if callable(ask):  # a loader that says by it which rows it takes
        try:
            indices = list(ask(step))
        except Exception:  # noqa: BLE001  # it will say so itself when it is read
            return None
        return None if indices == list(range(len(indices))) else f"{name} takes its rows in another order"
    return fault_of_graph(step)


def _name_of(step: Any) -> str:
    """Return what a step is called: the name of a function, of the one that it calls, or of its class."""
    if isinstance(step, GeneratorType):
        return str(step.gi_code.co_name)
    if isinstance(step, functools.partial):
        return _name_of(step.func)
    if isinstance(step, FunctionType | MethodType):
        return step.__name__
    kind = type(step).__name__.strip("_")
    if callable(step):
        called = (_setting(step, name) for name in _FUNCTIONS)
        kind = next((_name_of(one) for one in called if isinstance(one, FunctionType)), kind)
    return kind


def _setting(step: Any, name: str, default: Any = None) -> Any:
    try:
        return getattr(step, name, default)
    except Exception:  # noqa: BLE001  # a property or __getattr__ of the user's own; it says nothing, then
        return None


def _is_on(value: Any) -> bool:
    """Return whether a setting is on: true, a size of a buffer, a way to shuffle, or an object that does; no method."""
    if value is None or callable(value):
        return False
    if isinstance(value, bool | int | float | np.bool_ | np.number):
        return bool(value)
    if isinstance(value, str):
        return value.lower() not in ("", "none", "false", "no", "off")
    return bool(_SHUFFLES.search(type(value).__name__))


# What a step reads from


def _sources(step: Any) -> Iterator[Any]:
    """Yield the objects that a step may read from."""
    if isinstance(step, list | tuple | Mapping):
        parts = step.values() if isinstance(step, Mapping) else step
        yield from filter(_is_source, _few(parts))
    elif isinstance(step, GeneratorType):
        yield from _sources_of_generator(step)
    elif _is_of_python(step):
        # map, zip, islice and the iterators of containers do not tell what they read, but the garbage collector does.
        for part in gc.get_referents(step):
            if isinstance(part, set | frozenset):
                yield part
            yield from filter(_may_be_read, _few(part) if type(part) is tuple else (part,))
    elif is_graph(step):
        yield from inputs_of(step)
    else:
        yield from _sources_of_object(step)


def _sources_of_object(step: Any) -> Iterator[Any]:
    """Yield what its attributes hold, and the globals that its ``__iter__`` names."""
    own = getattr(type(step), "__iter__", None)
    if isinstance(own, FunctionType):
        yield from _globals_read(own.__code__, own.__globals__)
    for name, value in _attributes(step):
        if name in _STEPS:
            yield from _few(value) if type(value) in (list, tuple) else (value,)
        elif _is_source(value):
            yield value


def _sources_of_generator(generator: "GeneratorType[Any, Any, Any]") -> Iterator[Any]:
    """Yield the arguments of a generator, what it closes over, and of the user's own also the globals that it names.

    Of an expression in brackets, the iterator that it goes over is its argument.
    """
    if generator.gi_yieldfrom is not None:
        yield generator.gi_yieldfrom
    if generator.gi_frame is not None:  # else it has ended
        code, values = generator.gi_code, generator.gi_frame.f_locals
        names = (*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *code.co_freevars)
        yield from filter(_is_source, (values[name] for name in names if name in values))
        yield from _globals_read(code, generator.gi_frame.f_globals)


def _globals_read(code: CodeType, names: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the globals that code of the user's own goes over, such as a loader of the script."""
    if not is_installed(names.get("__name__")):
        yield from filter(_is_source, (names[name] for name in code.co_names if name in names))


def _is_of_python(step: Any) -> bool:
    """Return whether an object is an iterator of Python's, or what several of ``tee`` share."""
    kind = type(step)
    return kind.__module__ == "itertools" or (kind.__module__ == "builtins" and hasattr(kind, "__next__"))


def _may_be_read(value: Any) -> bool:
    return type(value).__module__ == "itertools" or _is_source(value)


def _few(parts: Any) -> Iterable[Any]:
    return parts if len(parts) <= _MOST_PARTS else ()


def _attributes(step: Any) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(step, "__dict__", {}).items())
    for kind in type(step).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(step, name):  # Python's own, such as __weakref__, hold no source
                yield name, getattr(step, name)


def _is_source(value: Any) -> bool:
    """Return whether samples may come from an object; what is called, such as a transform, makes others of them."""
    if value is None or isinstance(value, str | bytes | bool | int | float | np.generic | type):
        return False
    if is_array(value) or shape_of(value) == ():  # one number, too, of libraries whose numbers are arrays
        return False
    kind = type(value)
    if isinstance(value, list | tuple | Mapping | GeneratorType) or hasattr(kind, "__next__"):
        return True
    iterable = hasattr(kind, "__iter__") or (hasattr(kind, "__getitem__") and hasattr(kind, "__len__"))
    return iterable and not callable(value) and not isinstance(value, set | frozenset)
