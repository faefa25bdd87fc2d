"""An invented array library, in the place of yours: arrays of its own type, on the upper or on the lower shelf."""

import copy
import operator
from pathlib import Path

import numpy as np

SHELVES = ("upper", "lower")


class Array:
    """Numbers on a shelf; arrays on different shelves cannot be combined."""

    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __init__(self, values, shelf="upper"):
        if shelf not in SHELVES:
            raise ValueError(f"there is no shelf called {shelf!r}")
        self.values, self.shelf = np.array(values), shelf

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: f"shelf.{self.values.dtype}")

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, key):
        return Array(self.values[key], self.shelf)

    def __setitem__(self, key, value):
        self.values[key] = self.beside(value)

    def __imul__(self, other):
        self.values *= self.beside(other)
        return self

    def on(self, shelf):
        """Return a copy on a shelf."""
        return Array(self.values, shelf)

    def reshape(self, *shape):
        return Array(self.values.reshape(*shape), self.shelf)

    def positive(self):
        """Return the larger of 0 and each number."""
        return Array(np.maximum(self.values, 0), self.shelf)

    def beside(self, other):
        """Return the numbers of something on the same shelf."""
        if isinstance(other, Array) and other.shelf != self.shelf:
            raise RuntimeError(f"arrays on two shelves: {self.shelf} and {other.shelf}")
        return other.values if isinstance(other, Array) else other


def _operator(function, *, swapped=False):
    def method(self, other):
        pair = (self.values, self.beside(other))
        return Array(function(*(reversed(pair) if swapped else pair)), self.shelf)

    return method


for _name in ("add", "sub", "mul", "truediv", "matmul"):
    setattr(Array, f"__{_name}__", _operator(getattr(operator, f"__{_name}__")))
    setattr(Array, f"__r{_name}__", _operator(getattr(operator, f"__{_name}__"), swapped=True))


class Module:
    """A model: its attributes are arrays, and calling it computes."""

    shelf = property(lambda self: next(iter(self.arrays().values())).shelf)

    def on(self, shelf):
        """Return a copy of the model on a shelf."""
        moved = copy.copy(self)
        vars(moved).update({name: array.on(shelf) for name, array in self.arrays().items()})
        return moved

    def arrays(self):
        """Return the attributes that are arrays, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Array)}


class MLP(Module):
    """Two dense layers."""

    def __init__(self, first, first_bias, second, second_bias):
        self.first, self.first_bias, self.second, self.second_bias = map(
            Array, (first, first_bias, second, second_bias)
        )

    def __call__(self, inputs):
        return (inputs @ self.first + self.first_bias).positive() @ self.second + self.second_bias


def save(path, model):
    """Write an MLP to a file, which ends in ``.shelf``."""
    with Path(path).open("wb") as file:
        np.savez(file, **{name: array.values for name, array in model.arrays().items()})


def load(path):
    """Read an MLP from a file; nothing in it is run."""
    with np.load(path, allow_pickle=False) as arrays:
        return MLP(**arrays)
