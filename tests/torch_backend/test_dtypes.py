"""Inputs of another dtype than the weights: the error says what they are, what to cast them to, and where."""

import numpy as np
import pytest
import torch

from probly.data_generator.torch_first_order_generator import FirstOrderDataGenerator
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name

CONV = torch.nn.Conv1d(3, 2, 1)
INPUTS = np.random.default_rng(0).normal(size=(6, 3))


class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.last = torch.nn.Embedding(5, 4), torch.nn.Linear(4, 2)

    def forward(self, words):
        return self.last(self.table(words).mean(dim=1))


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.last = torch.nn.LSTM(3, 4, batch_first=True), torch.nn.Linear(4, 2)

    def forward(self, inputs):
        return self.last(self.cells(inputs[:, None])[0][:, -1])


def run(model, inputs, **settings):
    return FirstOrderDataGenerator(model, backend="torch", **settings).generate_distributions(inputs, progress=False)


def notes(model, inputs):
    with pytest.raises(Exception) as caught:  # torch has several kinds for it
        run(model, inputs)
    return [note for note in getattr(caught.value, "__notes__", []) if "raised in backend" not in note]


@pytest.mark.parametrize(
    ("make", "inputs", "given", "wanted"),
    [
        (lambda: torch.nn.Linear(3, 2), INPUTS, "float64", "float32"),
        (lambda: torch.nn.Linear(3, 2), INPUTS.astype(np.int64), "int64", "float32"),
        (lambda: torch.nn.Linear(3, 2).double(), INPUTS.astype(np.float32), "float32", "float64"),
        (lambda: torch.nn.Sequential(torch.nn.LayerNorm(3), torch.nn.Linear(3, 2)), INPUTS, "float64", "float32"),
        (lambda: torch.nn.Sequential(CONV, torch.nn.Flatten()), INPUTS[:, :, None], "float64", "float32"),
        (Recurrent, INPUTS, "float64", "float32"),
        (Words, np.ones((6, 3), np.float32), "float32", "int64"),
    ],
)
def test_what_is_to_be_cast_is_said_and_helps(make, inputs, given, wanted):
    torch.manual_seed(0)
    model = make()
    [note] = notes(model, inputs)
    assert note.startswith(f"the inputs are {given}, but the model ")
    assert f"set input_dtype='{wanted}', or cast them in the dataset, array.astype('{wanted}') or tensor.to(" in note
    rows = run(model, inputs.astype(wanted))
    assert len(rows) == 6
    np.testing.assert_array_equal(run(model, inputs, input_dtype=wanted), rows)
    np.testing.assert_array_equal(run(model, torch.tensor(inputs).to(getattr(torch, wanted))), rows)
    if "or cast the model" in note:
        assert f"model.to(torch.{given})" in note
        run(model.to(getattr(torch, given)), inputs)


def test_inputs_in_a_mapping_are_seen_and_masks_are_left_alone():
    class Masked(torch.nn.Linear):
        def forward(self, values, mask):
            return super().forward(values * mask)

    inputs = {"values": INPUTS, "mask": np.ones((6, 3), bool)}
    [note] = notes(Masked(3, 2), inputs)
    assert note.startswith("the inputs are float64, but")


@pytest.mark.parametrize("inputs", [INPUTS, INPUTS.astype(np.float32)])
def test_other_errors_are_left_alone(inputs):
    class Failing(torch.nn.Linear):
        def forward(self, inputs):
            raise RuntimeError("no such shape")

    assert notes(Failing(3, 2), inputs) == []
    assert notes(torch.nn.Linear(4, 2), INPUTS.astype(np.float32)) == []


def test_the_command_line_says_its_option_and_it_helps(shell):
    np.savez("data.npz", inputs=INPUTS)
    (shell.folder / "own.py").write_text(
        "import numpy as np\nimport torch\n\n\ndef build():\n    return torch.nn.Linear(3, 2)\n\n\n"
        "def rows():\n    return list(np.load('data.npz')['inputs'])\n"
    )
    for data in ("data.npz", "own:rows"):
        line = f"generate --backend torch --model own:build --data {data} --fresh --out out.fod"
        assert "; here, input_dtype is --input-dtype" in shell.fails(line, code=3)
        shell.run(f"{line} --input-dtype float32")
