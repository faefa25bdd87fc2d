"""An invented array library, in the place of yours: arrays of its own type, on the upper or on the lower shelf."""

import copy
import operator

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
    dtype = property(lambda self: self.values.dtype)

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

    def __neg__(self):
        return Array(-self.values, self.shelf)

    def on(self, shelf):
        """Return a copy on a shelf."""
        return Array(self.values, shelf)

    def astype(self, dtype):
        return Array(self.values.astype(dtype), self.shelf)

    def reshape(self, *shape):
        return Array(self.values.reshape(*shape), self.shelf)

    def beside(self, other):
        """Return the numbers of something on the same shelf."""
        if isinstance(other, Array) and other.shelf != self.shelf:
            raise RuntimeError(f"arrays on two shelves: {self.shelf} and {other.shelf}")
        return other.values if isinstance(other, Array) else other

    def mapped(self, function, *others):
        """Return a function of the numbers, such as np.exp."""
        return Array(function(self.values, *map(self.beside, others)), self.shelf)


def _operator(function, *, swapped=False):
    def method(self, other):
        pair = (self.values, self.beside(other))
        return Array(function(*(reversed(pair) if swapped else pair)), self.shelf)

    return method


for _name in ("add", "sub", "mul", "truediv", "matmul"):
    setattr(Array, f"__{_name}__", _operator(getattr(operator, f"__{_name}__")))
    setattr(Array, f"__r{_name}__", _operator(getattr(operator, f"__{_name}__"), swapped=True))


def stack(arrays, axis=0):
    """Return arrays of one shape side by side."""
    first = arrays[0]
    return Array(np.stack([first.beside(array) for array in arrays], axis), first.shelf)


def total(array):
    """Return the sum over the last axis, which is kept."""
    return array.mapped(lambda values: values.sum(axis=-1, keepdims=True))


def softmax(array):
    """Return the softmax over the last axis."""
    with np.errstate(invalid="ignore"):  # infinity gives NaN, which is for the caller to look at
        exponentials = array.mapped(lambda values: np.exp(values - values.max(axis=-1, keepdims=True)))
    return exponentials / total(exponentials)


def sigmoid(array):
    """Return the logistic function of every number."""
    return array.mapped(lambda values: 0.5 + 0.5 * np.tanh(0.5 * values))


class Module:
    """A model: its attributes are arrays, and calling it computes."""

    def on(self, shelf):
        """Return a copy of the model on a shelf."""
        moved = copy.copy(self)
        vars(moved).update({name: array.on(shelf) for name, array in self.arrays().items()})
        return moved

    def arrays(self):
        """Return the attributes that are arrays, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Array)}
