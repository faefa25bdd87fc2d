"""Arrays and tensors between host and device."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from probly.data_generator import HOST
from probly_data_generator_torch.arrays import stack_samples
from probly_data_generator_torch.backend import to_device
from probly_data_generator_torch.devices import device_names, resolve_device


@pytest.mark.parametrize("device", device_names())
def test_to_device_gives_new_memory_and_the_same_nest(device):
    data = {"array": np.zeros((2, 3)), "tensors": [torch.zeros(2), torch.zeros(3, 2).T], "name": "x"}
    data["there"] = torch.zeros(4, device=device)
    copied = to_device(data, device)
    assert copied["name"] == "x"
    for leaf in (copied["array"], *copied["tensors"], copied["there"]):
        assert leaf.device == resolve_device(device)
        leaf.add_(1)
    assert not data["array"].any()
    assert not any(tensor.any() for tensor in (*data["tensors"], data["there"]))
    assert copied["tensors"][1].stride() == data["tensors"][1].stride(), "the memory format stays"


@pytest.mark.parametrize("device", device_names())
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_numbers_arrive_on_the_host_as_numpy_has_them(device, dtype):
    numbers = torch.tensor([[0.0, 1.0], [2.5, -3.0]]).to(dtype)
    there = to_device(numbers.to(device), device)
    (hosted,) = to_device((there,), HOST)
    assert type(hosted) is np.ndarray
    half = dtype in (torch.float16, torch.bfloat16)
    assert hosted.dtype == (np.float32 if half else numbers.numpy().dtype)
    np.testing.assert_array_equal(hosted, numbers.to(torch.float64).numpy())


@pytest.mark.parametrize("device", device_names())
def test_a_tensor_that_changed_after_it_was_copied_arrives_changed(device):
    copied = to_device(torch.zeros(3, device=device), device)
    copied += 1
    np.testing.assert_array_equal(to_device(copied, HOST), np.ones(3))
    doubled = to_device(torch.ones(3, device=device), device) * 2
    np.testing.assert_array_equal(to_device(doubled, HOST), np.full(3, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(2, requires_grad=True),
        lambda: torch.tensor([1 + 1j, 1 + 1j]).imag,
        lambda: torch.tensor([1 + 0j, 1 + 0j]).conj(),
        lambda: torch.tensor([1 - 1j, 1 - 1j]).conj().imag,
    ],
    ids=["gradients", "strided", "conjugated", "negated"],
)
def test_views_and_tensors_with_gradients_arrive(make):
    np.testing.assert_array_equal(to_device(make(), HOST), np.ones(2))


def test_what_holds_no_numbers_is_passed_on():
    texts = np.array(["a", "b"])
    for device in (HOST, "cpu"):
        assert to_device(texts, device) is texts
        assert to_device("text", device) == "text"


def test_a_table_of_numbers_becomes_a_tensor_in_the_order_of_its_columns():
    values = {"b": [1.0, 2.0], "a": [3.0, 4.0]}
    for table in (pa.table(values), pd.DataFrame(values)):
        assert to_device(table, "cpu").tolist() == [[1.0, 3.0], [2.0, 4.0]]
    texts = pa.table({"a": ["x"]})
    assert to_device(texts, "cpu") is texts


def test_a_tensor_of_inference_mode_is_copied_like_any_other():
    with torch.inference_mode():
        copied = to_device(torch.ones(2), "cpu")
        np.testing.assert_array_equal(to_device(copied, HOST), np.ones(2))


def test_lists_of_texts_stay_the_samples_that_they_are():
    """default_collate makes columns of them, and only where all have the same length."""
    lists = [["a", "b"], ["c", "d"]]
    assert stack_samples(lists) == stack_samples(list(np.array(lists, object))) == lists
    assert stack_samples([{"words": one, "number": 1.0} for one in lists])["words"] == lists
    words, numbers = stack_samples([(one, 2) for one in lists])
    assert words == lists
    assert numbers.tolist() == [2, 2]
    assert stack_samples([[], ["a"]]) == [[], ["a"]]
