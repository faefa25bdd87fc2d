"""Dropout and batch statistics: off during a run, afterwards as they were, also when several runs share a model."""

import functools
import threading
import warnings

import pytest
import torch

from probly_data_generator_torch.modes import _USES, evaluating
from tests.torch_backend.support import TENSORS, check, mlp, run


class Modes(torch.nn.Module):
    """A model that would notice training mode, and whose parts are in different modes."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
        self.second = torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.Linear(4, 3))
        self.seen = []

    def forward(self, inputs):
        self.seen.append((self.training, torch.is_grad_enabled()))
        return self.second(self.first(inputs))


def modes_of(model):
    return [part.training for part in model.modules()]


def test_the_model_is_left_as_it_was_found():
    model = Modes().train()
    model.first.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = modes_of(model)
    first = run(TENSORS, model)
    assert first == run(TENSORS, model)
    assert modes_of(model) == modes
    assert set(model.seen) == {(False, False)}
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_switches_its_own_mode_is_in_evaluation_mode_for_every_batch():
    class Switches(Modes):
        def forward(self, inputs):
            outputs = super().forward(inputs)
            self.train()
            return outputs

    model = Switches().eval()
    run(TENSORS, model)
    assert model.seen == [(False, False)] * 4


def test_the_mode_is_restored_after_an_error():
    class Fails(Modes):
        def forward(self, inputs):
            raise KeyboardInterrupt

    model = Fails().train()
    with pytest.raises(KeyboardInterrupt):
        run(TENSORS, model)
    assert all(modes_of(model))


def test_layers_that_merge_weights_in_eval_mode_undo_it():
    class Merging(torch.nn.Linear):
        merged = False

        def train(self, mode=True):
            self.merged = not mode
            return super().train(mode)

    model = torch.nn.Sequential(Merging(5, 3)).train()
    seen = []
    model.register_forward_hook(lambda module, inputs, output: seen.append(module[0].merged))
    run(TENSORS, model)
    assert seen == [True] * 4
    assert not model[0].merged


@pytest.mark.parametrize(
    "signature",
    ["data, epochs=3", "**settings", "", "verbose=True", "resume=False", "mode='fast'", "*, mode=True", "dataset"],
)
def test_a_train_that_means_something_else_is_not_called(signature):
    names = {"torch": torch, "called": (called := [])}
    exec(
        f"class Fits(torch.nn.Sequential):\n"
        f"    def train(self, {signature}):\n        called.append(1)\n"
        f"    def eval(self):\n        called.append(2)\n",
        names,
    )
    fits = names["Fits"](torch.nn.Dropout(0.9), mlp())
    model = torch.nn.Sequential(fits)
    assert all(modes_of(model))
    check(run(TENSORS, model))
    check(run(TENSORS, fits))
    assert called == []
    assert all(modes_of(model))


def test_a_module_that_refuses_to_have_a_mode_runs_all_the_same():
    class Refuses(torch.nn.Sequential):
        def train(self, mode=True):
            raise NotImplementedError("calling train() is not supported")

        def eval(self):
            raise NotImplementedError("calling eval() is not supported")

    refuses = Refuses(torch.nn.Dropout(0.9), mlp())
    for model in (refuses, torch.nn.Sequential(refuses)):
        check(run(TENSORS, model))
        assert all(modes_of(model))


def test_the_error_of_a_model_that_refuses_to_have_a_mode_is_its_own():
    class Fails(torch.nn.Module):
        def train(self, mode=True):
            raise NotImplementedError("calling train() is not supported")

        def forward(self, inputs):
            raise ZeroDivisionError("the model's own")

    with pytest.raises(ZeroDivisionError, match="the model's own"):
        run(TENSORS, Fails())


def test_an_error_while_the_mode_is_restored_hides_no_other():
    class Breaks(torch.nn.Linear):
        def train(self, mode=True):
            if mode:
                raise RuntimeError("no way back")
            return super().train(mode)

    class Fails(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Breaks(5, 3)

        def forward(self, inputs):
            raise ValueError("the model's own")

    model = Fails()
    with pytest.raises(ValueError, match="the model's own") as caught:
        run(TENSORS, model)
    assert "could not be restored: RuntimeError: no way back" in "\n".join(caught.value.__notes__)
    assert all(modes_of(model)), "by its flags all the same"
    assert not _USES


# Several runs at once


class Waits(torch.nn.Module):
    """Tells that it has been entered, and continues when it is told to."""

    def __init__(self):
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def forward(self, inputs):
        self.entered.set()
        assert self.released.wait(30)
        return inputs


def in_thread(results, name, model, **options):
    def work():
        results[name] = run(TENSORS, model, batch_size=50, output_mode="logits", **options)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("first_out", ["first", "second"])
@pytest.mark.parametrize("shared", ["model", "part"])
def test_runs_in_several_threads_keep_a_shared_model_in_evaluation_mode(first_out, shared):
    inner = torch.nn.Sequential(torch.nn.Dropout(0.9), mlp()).train()
    inner[1].eval()
    gates = {"first": Waits(), "second": Waits()}
    if shared == "part":
        models = {name: torch.nn.Sequential(gate, inner) for name, gate in gates.items()}
    else:  # each run passes its own gate, and then through the same model

        class Gated(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, inputs):
                return self.inner(gates[threading.current_thread().name](inputs))

        models = dict.fromkeys(gates, Gated())
    results, threads = {}, {}
    for name, gate in gates.items():
        threads[name] = in_thread(results, name, models[name])
        assert gate.entered.wait(30)
    last_out = next(name for name in gates if name != first_out)
    for name in (first_out, last_out):
        gates[name].released.set()
        threads[name].join(30)
    for name in gates:
        check(results[name])
    assert all(model.training for model in models.values())
    assert [part.training for part in inner] == [True, False]


def test_a_model_is_back_in_its_mode_while_another_still_runs():
    """Two models of their own share nothing: neither waits for the other."""
    gate, other = Waits(), torch.nn.Sequential(mlp()).train()
    thread = in_thread({}, "waiting", torch.nn.Sequential(gate, mlp()).train())
    assert gate.entered.wait(30)
    assert not gate.training
    check(run(TENSORS, other))
    assert other.training
    gate.released.set()
    thread.join(30)
    assert gate.training


def test_a_run_that_ends_leaves_the_layers_of_another_in_evaluation_mode():
    """To restore the mode of its own module it calls train(), which would reach into the one that they share."""

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.asked = []

        def train(self, mode=True):
            self.asked.append(mode)
            return super().train(mode)

    shared = Shared().eval()
    outer = torch.nn.Sequential(shared, torch.nn.Dropout())
    shared.asked.clear()
    with evaluating(shared, list(shared.modules())):
        with evaluating(outer, list(outer.modules())):
            assert not outer.training
        assert outer.training
        assert outer[1].training
        assert shared.asked == [False]
    with evaluating(outer, list(outer.modules())):
        pass
    assert not shared.training
    assert outer.training
    assert not _USES


def test_an_interrupt_while_the_mode_is_switched_leaves_nothing_behind():
    class Interrupted(torch.nn.Module):
        def train(self, mode=True):
            if not mode:
                raise KeyboardInterrupt
            return super().train(mode)

    model = torch.nn.Sequential(torch.nn.Dropout(), Interrupted())
    with pytest.raises(KeyboardInterrupt), evaluating(model, list(model.modules())):
        pass
    assert not _USES
    assert all(modes_of(model))


def test_an_interrupt_between_two_layers_gives_back_the_first():
    class Interrupted(torch.nn.Module):
        ready = False

        @property
        def training(self):
            if self.ready:
                raise KeyboardInterrupt
            return True

        @training.setter
        def training(self, mode):
            self.ready = True

    outer = torch.nn.Sequential(torch.nn.Dropout())
    with pytest.raises(KeyboardInterrupt), evaluating(outer, [outer, Interrupted()]):
        pass
    assert not _USES
    assert outer.training


# What is no Module


def functional(model):
    return functools.partial(torch.func.functional_call, model, dict(model.named_parameters()))


@pytest.mark.parametrize(
    "callable_of",
    [
        lambda model: model.forward,
        functools.partial,
        lambda model: functools.partial(functools.partial(model.forward)),
        lambda model: torch.no_grad()(model.forward),
        functional,
    ],
    ids=["bound", "partial", "partial-bound", "decorated", "functional"],
)
def test_callables_of_a_module_run_in_evaluation_mode(callable_of):
    model = torch.nn.Sequential(torch.nn.Dropout(0.9), mlp()).train()
    check(run(TENSORS, callable_of(model), output_mode="logits"))
    assert all(modes_of(model))


def test_frozen_torchscript_has_no_mode():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own advice; the models are still around
        frozen = torch.jit.freeze(torch.jit.script(mlp().eval()))
    check(run(TENSORS, frozen))
    part = torch.nn.Sequential(torch.nn.Dropout(0.9), frozen).train()
    check(run(TENSORS, part))
    assert part.training
