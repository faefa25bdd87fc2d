"""Loading one backend into a manager of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from probly.data_generator.discovery.defaults import defaults_beside
from probly.data_generator.discovery.listing import BackendInfo, blaming
from probly.data_generator.discovery.rules import check_names, check_plugin, implementations, new_manager, wraps
from probly.data_generator.discovery.wrapping import register_wrappers
from probly.data_generator.errors import BrokenBackendError


@dataclass(frozen=True)
class Backend:
    """A loaded backend: its metadata and the hooks of a manager that holds it alone, plus wrappers.

    Attributes:
        info: What its distribution says of it.
        hook: Its hooks, with the wrappers around them; called with keyword arguments.
        wrappers: The registered wrapper plugins, the outermost last.
    """

    info: BackendInfo
    hook: Any
    wrappers: tuple[Any, ...] = ()

    def has(self, hook: str) -> bool:
        """Return whether an optional hook is there; a wrapper around it is not enough."""
        return not all(map(wraps, getattr(self.hook, hook).get_hookimpls()))

    def takes(self, hook: str, argument: str) -> bool:
        """Return whether an implementation of a hook, and not a wrapper around it alone, sees an argument."""
        found = getattr(self.hook, hook).get_hookimpls()
        return any(argument in one.argnames for one in found if not wraps(one))

    def answer(self, hook: str, **arguments: Any) -> Any:
        """Call a hook and refuse None, which is what pluggy returns for a hook that forgot its answer.

        Raises:
            BrokenBackendError: It returned None.
        """
        answer = getattr(self.hook, hook)(**arguments)
        if answer is None:
            message = f"backend {self.info.name!r}: hook {hook} returned None; see its specification"
            raise BrokenBackendError(message)
        return answer


def load_backend(info: BackendInfo, wrappers: Sequence[Any] = ()) -> Backend:
    """Import one backend and register it in a fresh manager, with wrapper plugins around it.

    Args:
        info: Which one.
        wrappers: See ``wrapping.register_wrappers``; the last one is outermost.

    Raises:
        BrokenBackendError: The import fails, or the plugin breaks a rule of the contract.
        TypeError: A wrapper would replace a hook or names one that does not exist.
    """
    with blaming(info, f"backend {info.name!r}"):
        plugin = info.entry_point.load()
        manager = new_manager()
        manager.register(plugin, name=info.name)
        check_names(manager, plugin)
        check_plugin(manager, plugin)
        answered = {name for name, found in implementations(manager, plugin) if not wraps(found)}
        manager.register(defaults_beside(answered), name="defaults")
    return Backend(info, manager.hook, register_wrappers(manager, wrappers))
