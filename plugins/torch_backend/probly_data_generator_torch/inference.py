"""One batch through a model: to probabilities, without gradients."""

from typing import Any

import torch

from probly.data_generator.hookspecs import OutputMode
from probly.data_generator.outputs import rows_of_scores, unwrap
from probly_data_generator_torch import tensors
from probly_data_generator_torch.models import TorchModel
from probly_data_generator_torch.transfers import send


class TorchOperations:
    """The array operations in torch."""

    def float32(self, scores: torch.Tensor) -> torch.Tensor:
        """Cast to float32."""
        return scores.float()

    def is_half(self, scores: torch.Tensor) -> bool:
        """Return whether a float dtype has fewer than 32 bits."""
        return tensors.is_half(scores)

    def softmax(self, scores: torch.Tensor) -> torch.Tensor:
        """Softmax over the last axis; torch subtracts the maximum."""
        return scores.softmax(-1)

    def sigmoid(self, scores: torch.Tensor) -> torch.Tensor:
        """Elementwise logistic function."""
        return scores.sigmoid()

    def two_columns(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Stack two tensors of shape (N,) to (N, 2)."""
        return torch.stack([first, second], dim=-1)

    def renormalise(self, rows: torch.Tensor, tolerance: float) -> torch.Tensor:
        """Divide each row by its sum where that is nearly 1, without asking the device."""
        sums = rows.sum(-1, keepdim=True)
        return rows / sums.where((sums - 1.0).abs() <= tolerance, sums.new_ones(()))


OPERATIONS = TorchOperations()


def infer(model: TorchModel, inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Return the float32 probabilities of a batch on the model's device, or its raw outputs."""
    with model.without_gradients(raw=output_mode == "raw"), model.evaluating():
        if model.autocast is None:
            outputs = model.call(inputs, batch_size, raw=output_mode == "raw")
        else:
            with torch.autocast(model.torch_device.type, model.autocast):
                outputs = model.call(inputs, batch_size, raw=output_mode == "raw")
        if output_mode == "raw":
            return outputs
        scores = outputs if type(outputs) is torch.Tensor else unwrap(outputs)
        rows = rows_of_scores(scores, output_mode, OPERATIONS)
        # Rows are collected one batch late, when the model may have written the next ones to the same memory.
        return send(rows.clone() if rows is scores else rows)
