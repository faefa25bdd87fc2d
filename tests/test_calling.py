"""Hooks that a run calls without pluggy in between get their arguments as pluggy would pass them."""

import functools

import numpy as np
import pytest

from probly.data_generator.calling import direct
from probly.data_generator.discovery.rules import new_manager
from probly.data_generator.hookspecs import hookimpl

ARGUMENTS = {"data": np.zeros(2), "device": "cpu"}


def by_position(function):
    """Return a decorated function that knows no keywords, and that inspect sees through."""

    @functools.wraps(function)
    def call(*arguments):
        return function(*arguments)

    return call


class Plain:
    @hookimpl
    def to_device(self, data, device):
        return data, device


class Swapped:
    @hookimpl
    def to_device(self, device, data):
        return data, device


class Fewer:
    @hookimpl
    def to_device(self, data):
        return data, "cpu"


class Decorated:
    @hookimpl
    @by_position
    def to_device(self, data, device):
        return data, device


class Around:
    @hookimpl(wrapper=True)
    def to_device(self):
        return (yield)


def hook_of(*plugins):
    manager = new_manager()
    for plugin in plugins:
        manager.register(plugin)
    return manager.hook.to_device


@pytest.mark.parametrize("plugin", [Plain(), Swapped(), Fewer(), Decorated()], ids=lambda plugin: type(plugin).__name__)
@pytest.mark.parametrize("around", [[], [Around()]], ids=["alone", "wrapped"])
def test_a_hook_gets_its_arguments(plugin, around):
    hook = hook_of(plugin, *around)
    found, (data, device) = direct(hook), direct(hook)(**ARGUMENTS)
    assert data is ARGUMENTS["data"]
    assert device == "cpu"
    assert (found is hook) == bool(around)


def test_nothing_stands_between_a_run_and_a_plain_hook():
    plugin = Plain()
    assert direct(hook_of(plugin)) == plugin.to_device
