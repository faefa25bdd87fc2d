"""The part of the suite on devices, on nests of arrays that travel, and on memory that does not suffice."""

import contextlib
import re
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from probly.data_generator import HOST, hookimpl
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.suite import Suite, assert_rows, probabilities

NamedPair: Any = namedtuple("NamedPair", ["left", "right"])  # noqa: PYI024  # the plain kind is the one to test


class DeviceChecks(Suite):
    """What arrives where."""

    def test_to_device_keeps_nests(self) -> None:
        generator = self.generator(self.classifier().model)
        values = np.arange(6, dtype=np.float32).reshape(2, 3)
        parts = [self.array(values), "text"]
        nest = {"a": parts, "b": (values,), "c": NamedPair(self.array(values), {"d": None})}
        moved = generator.to_device(nest)
        assert isinstance(moved["a"], list)
        assert moved["a"][1] == "text"
        assert isinstance(moved["b"], tuple)
        assert isinstance(moved["c"], NamedPair)
        assert moved["c"].right == {"d": None}
        for leaf in (moved["a"][0], moved["b"][0], moved["c"].left):
            assert type(leaf) is type(self.array(values))
            np.testing.assert_array_equal(self.to_host(leaf), values)
        assert nest["a"] is parts, "the given nest is the caller's"
        assert nest["b"][0] is values

    @pytest.mark.parametrize("kind", ["numpy", "framework"])
    def test_to_device_copies_what_can_be_written_to(self, kind: str) -> None:
        """A model may work in place, and a loader may fill its memory again."""
        device = self.loaded(self.classifier().model).device
        values = np.arange(6, dtype=np.float32).reshape(2, 3)
        before = values.copy()
        given = values if kind == "numpy" else self.hook.to_device(data=self.array(values), device=device)
        first, second = (self.hook.to_device(data=given, device=device) for _ in range(2))
        _overwrite(first)
        np.testing.assert_array_equal(self.to_host(given), before)
        np.testing.assert_array_equal(self.to_host(second), before)
        _overwrite(given)
        np.testing.assert_array_equal(self.to_host(second), before)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.bool_])
    def test_to_host_gives_numpy(self, dtype: Any) -> None:
        values = np.array([0, 1, 2, 1], dtype)
        (hosted,) = self.to_host((self.array(values),))
        assert type(hosted) is np.ndarray
        assert hosted.dtype.kind == values.dtype.kind
        assert hosted.dtype != np.float16, "half precision is upcast"
        np.testing.assert_array_equal(hosted, values)

    def test_what_came_to_the_host_stays_as_it_is(self) -> None:
        """The rows of several batches wait for each other."""
        batches, hook = probabilities(400).reshape(200, 2, -1), self.hook
        hosted = [hook.to_device(data=self.array(batch), device=HOST) for batch in batches]
        np.testing.assert_array_equal(hosted, batches)

    def test_an_unavailable_device_is_refused_with_the_list(self) -> None:
        with pytest.raises(ValueError, match=rf"gpu:7.*available.*(?i:{re.escape(self.device)})"):
            self.generator(self.classifier().model, device="gpu:7")

    def test_the_best_device_is_found_and_recorded(self) -> None:
        model, inputs, _ = self.classifier()
        generator = self.generator(model, device=None)
        recorded = generator.generate_distributions(inputs[:3], progress=False).meta["device"]
        assert recorded == generator.current_device
        assert self.generator(model, device=recorded).current_device == recorded, "what is recorded is a device"

    def test_the_devices_that_are_listed_are_there(self) -> None:
        model = self.classifier().model
        backend = self.generator(model).backend
        if backend.has("available_devices"):
            names = backend.hook.available_devices()
            assert names, "at least the host's processor"
            for name in names:
                assert self.generator(model, device=name).current_device == name

    # Memory

    def test_out_of_memory_halves_the_batch(self) -> None:
        """Or it ends the run where the backend cannot tell, in both cases by name."""
        model, inputs, expected = self.classifier()
        small = _SmallDevice(self.out_of_memory)
        options: dict[str, Any] = {"batch_size": 8, "wrappers": [small]}
        if self.loaded_backend.has("is_out_of_memory"):
            with pytest.warns(UserWarning, match="out of memory"):
                distributions = self.run(model, inputs[:19], **options)
            assert_rows(distributions, expected[:19])
            assert [rows for rows in small.seen if rows > 3] == [8, 4], "the size that fits must be remembered"
        else:
            with pytest.raises(type(self.out_of_memory())) as caught:
                self.run(model, inputs[:19], **options)
            assert any("batch 0" in note for note in caught.value.__notes__)

    @needs("functions")
    def test_out_of_memory_in_a_model_is_recognized(self) -> None:
        rows = probabilities(21)
        seen = []

        def model(batch: Any) -> Any:
            seen.append(int(batch.shape[0]))
            if seen[-1] > 3:
                raise self.out_of_memory()
            return batch

        if self.loaded_backend.has("is_out_of_memory"):
            with pytest.warns(UserWarning, match="out of memory"):
                distributions = self.run(self.function(model), rows, output_mode="probs", batch_size=8)
            np.testing.assert_array_equal(distributions.probabilities, rows)
            assert [rows for rows in seen if rows > 3] == [8, 4]
        else:
            with pytest.raises(type(self.out_of_memory())):
                self.run(self.function(model), rows, output_mode="probs", batch_size=8)


def _overwrite(array: Any) -> None:
    """Fill an array of any framework with something else, where that is possible at all."""
    with contextlib.suppress(TypeError, AttributeError, ValueError):
        array[:] = -1


class _SmallDevice:
    """A plugin around ``forward`` that stands for a device with room for three rows."""

    def __init__(self, out_of_memory: Any) -> None:
        self.out_of_memory = out_of_memory
        self.seen: list[int] = []

    @hookimpl(wrapper=True)
    def forward(self, inputs: Any) -> Any:
        self.seen.append(int(inputs.shape[0]))
        if self.seen[-1] > 3:
            raise self.out_of_memory()
        return (yield)
