"""Exported programs: their mode is fixed, and their numbers of rows are fixed or bounded."""

import pytest
import torch

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from tests.torch_backend.support import TENSORS, check, mlp, run


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(5, 3)

    def forward(self, inputs):
        rows = self.linear(inputs)[:, None]
        dropout = 0.5 if self.training else 0.0
        return torch.nn.functional.scaled_dot_product_attention(rows, rows, rows, dropout_p=dropout)[:, 0]


class Recurrent(torch.nn.Module):
    def __init__(self, dropout=0.5):
        super().__init__()
        self.lstm = torch.nn.LSTM(5, 3, num_layers=2, dropout=dropout, batch_first=True)

    def forward(self, inputs):
        return self.lstm(inputs[:, None])[0][:, 0]


def sequential(*layers):
    return lambda: torch.nn.Sequential(torch.nn.Linear(5, 3), *layers)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's decompositions, of torch's nests
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize(
    "builder",
    [
        sequential(torch.nn.Dropout(0.5)),
        sequential(torch.nn.RReLU()),
        sequential(torch.nn.BatchNorm1d(3)),
    ],
)
def test_programs_exported_in_training_mode_are_refused(builder, decomposed, tmp_path):
    for training in (True, False):
        program = torch.export.export(builder().train(training), (TENSORS[0][:16],))
        program = program.run_decompositions() if decomposed else program
        torch.export.save(program, tmp_path / "program.pt2")
        for source in (program, tmp_path / "program.pt2"):
            if training:
                with pytest.raises(ValueError, match=r"in training mode.*call model.eval\(\) before torch.export"):
                    FirstOrderDataGenerator(source, backend="torch", options={"trust": True})
            else:
                assert len(run(TENSORS, source, output_mode="logits", options={"trust": True})) == 50


@pytest.mark.filterwarnings("ignore")  # torch's own, of how it traces LSTM layers
@pytest.mark.parametrize("builder", [Attention, Recurrent, sequential(torch.nn.AlphaDropout(0.5))])
def test_other_layers_with_dropout_are_refused_too(builder):
    with pytest.raises(ValueError, match="in training mode"):
        FirstOrderDataGenerator(torch.export.export(builder().train(), (TENSORS[0][:16],)), backend="torch")
    program = torch.export.export(builder().eval(), (TENSORS[0][:16],))
    assert len(run(TENSORS, program, output_mode="logits")) == 50


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "builder",
    [sequential(torch.nn.Dropout(0.0)), lambda: Recurrent(0.0), sequential(torch.nn.BatchNorm1d(3, affine=False))],
)
def test_programs_in_which_training_mode_changes_nothing_are_run(builder):
    model = builder().train()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm1d):  # it has no other statistics than those of the batch
            part.running_mean = part.running_var = part.num_batches_tracked = None
    program = torch.export.export(model, (TENSORS[0][:16],))
    assert len(run(TENSORS, program, output_mode="logits")) == 50


def exported(rows, model=None, **bounds):
    model = mlp().eval() if model is None else model
    shapes = ({0: torch.export.Dim("rows", **bounds)},) if bounds else None
    return torch.export.export(model, (TENSORS[0][:rows],), dynamic_shapes=shapes)


BOUNDS = {
    "fixed": {},
    "between": {"min": 4, "max": 16},
    "least": {"min": 2},
    "most": {"max": 9},
}


@pytest.mark.parametrize("bounds", BOUNDS)
def test_programs_take_any_batch_size(bounds, tmp_path):
    torch.export.save(exported(8, **BOUNDS[bounds]), tmp_path / "program.pt2")
    program = torch.export.load(tmp_path / "program.pt2")
    for batch_size in (1, 7, 8, 16, 20, 64):
        for rows in (1, 3, 50):
            part = tuple(tensor[:rows] for tensor in TENSORS)
            check(run(part, program, batch_size=batch_size), range(rows))


def test_a_dynamic_program_is_not_padded():
    class Counts(torch.nn.Module):
        def forward(self, inputs):
            return inputs[:, :2] * 0 + inputs.shape[0]

    seen = []

    def transform(counts):
        seen.append(counts[0, 0].item())
        return torch.full((len(counts), 2), 0.5)

    run(TENSORS, exported(8, Counts(), min=2, max=1024), batch_size=20, output_transform=transform)
    assert seen == [20, 20, 10]


class Several(torch.nn.Module):
    def __init__(self, *, loss):
        super().__init__()
        self.inner, self.loss = mlp(), loss

    def forward(self, inputs):
        logits = self.inner(inputs)
        return {"scores": (logits, inputs), "loss": logits.sum() if self.loss else None}


def test_all_outputs_of_a_fixed_program():
    def transform(outputs):
        assert outputs["loss"] is None
        logits, inputs = outputs["scores"]
        assert len(logits) == len(inputs)
        return logits.softmax(-1)

    program = exported(8, Several(loss=False).eval())
    for batch_size in (3, 8, 20, 64):
        check(run(TENSORS, program, batch_size=batch_size, output_transform=transform))
    with pytest.raises(InvalidOutputError, match="expected 8 rows, got 0"):
        run(TENSORS, exported(8, Several(loss=True).eval()), batch_size=3, output_transform=transform)


def test_logits_beside_a_loss_of_a_fixed_program():
    class WithLoss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp()

        def forward(self, inputs):
            logits = self.inner(inputs)
            return {"loss": logits.sum(), "logits": logits}

    check(run(TENSORS, exported(8, WithLoss().eval()), batch_size=20))


def test_several_inputs_of_a_fixed_program():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp()

        def forward(self, left, right):
            return self.inner(left + right)

    halves = TENSORS[0] / 2
    program = torch.export.export(Two().eval(), (halves[:8], halves[:8]))
    samples = [((half, half), 0) for half in halves]
    for batch_size in (3, 8, 20):
        loader = torch.utils.data.DataLoader(samples, batch_size)
        check(run(loader, program))
        check(run(samples, program, batch_size=batch_size))


def test_a_fixed_program_with_a_wrong_row_count_is_refused():
    class Drops(torch.nn.Module):
        def forward(self, inputs):
            return inputs[:4, :3]

    with pytest.raises(InvalidOutputError, match="expected 8 rows, got 4"):
        run(TENSORS, exported(8, Drops()), batch_size=4, output_mode="logits")
