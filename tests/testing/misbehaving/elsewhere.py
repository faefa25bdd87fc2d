"""Backends that break a promise on devices, in their model, or in an optional hook."""

import itertools
from types import SimpleNamespace

import numpy as np

from probly.data_generator.discovery import defaults
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.numpy_backend import backend as honest
from probly.data_generator.toolkit.digest import digest_state
from tests.testing.misbehaving.honest import BFLOAT16, Honest, WithBfloat16

# Devices


class LosesBfloat16(WithBfloat16):
    """Reads the bits as numbers."""

    @hookimpl
    def to_device(self, data, device):
        if device == HOST and getattr(data, "dtype", None) == BFLOAT16:
            return data.view(np.uint16).astype(np.float32)
        return defaults.to_device(data, device)


class Shares(Honest):
    """Gives memory that is somebody else's."""

    @hookimpl
    def to_device(self, data, device):
        return defaults.to_device(data, HOST)


class _Own(np.ndarray):
    pass


class SharesWhatIsThere(Honest):
    """Copies other people's arrays, and not those that it made itself."""

    @hookimpl
    def to_device(self, data, device):
        if isinstance(data, _Own):
            return data
        moved = defaults.to_device(data, device)
        return moved.view(_Own) if device != HOST and type(moved) is np.ndarray else moved


class BreaksNests(Honest):
    @hookimpl
    def to_device(self, data, device):
        moved = defaults.to_device(data, device)
        if not isinstance(moved, dict):
            return moved
        return {key: list(value) if type(value) is tuple else value for key, value in moved.items()}


class NothingOnDevice(Honest):
    @hookimpl
    def to_device(self, data, device):
        return defaults.to_device(data, device) if device == HOST else None


class HostIsNotNumpy(Honest):
    @hookimpl
    def to_device(self, data, device):
        moved = defaults.to_device(data, device)
        return [memoryview(part) for part in moved] if device == HOST and type(moved) is tuple else moved


class KeepsHalf(Honest):
    @hookimpl
    def to_device(self, data, device):
        return data if device == HOST else defaults.to_device(data, device)


class OneHostBuffer(Honest):
    """Uses the same memory for all that comes to the host."""

    memory = np.empty(1000, np.float32)

    @hookimpl
    def to_device(self, data, device):
        moved = defaults.to_device(data, device)
        if device != HOST or not isinstance(moved, np.ndarray) or moved.size > len(self.memory):
            return moved
        hosted = self.memory[: moved.size].reshape(moved.shape)
        hosted[:] = moved
        return hosted


class ListsOnDevice(Honest):
    """Gives lists in place of arrays where nobody computes with them."""

    @hookimpl
    def to_device(self, data, device):
        moved = defaults.to_device(data, device)
        return moved.tolist() if device != HOST and getattr(moved, "shape", None) == (6, 4) else moved


class AnyDevice(Honest):
    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, None)


class RecordsAnything(Honest):
    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, device)._replace(device="somewhere")

    @hookimpl
    def to_device(self, data, device):
        return defaults.to_device(data, "cpu" if device == "somewhere" else device)


class NeedsADevice(Honest):
    """As version 0.1 of the template did: its default device was none of its framework."""

    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, {None: "gpu:0"}.get(device, device))


class ListsAnything(Honest):
    @hookimpl
    def available_devices(self):
        return ["cpu", "gpu:7"]


class ListsOptionsOfOthers(Honest):
    @hookimpl
    def choices(self):
        return {"device": ["cpu"], "compile": (False, True)}


class NeverOutOfMemory(Honest):
    @hookimpl
    def is_out_of_memory(self, error):
        return False


# Models and metadata


class TakesAnyOption(Honest):
    @hookimpl
    def load_model(self, source, device, options):
        return honest.load_model(source, device)


class OptionsOfItsOwn(Honest):
    """Records what no file can hold."""

    @hookimpl
    def load_model(self, source, device):
        loaded = honest.load_model(source, device)
        return SimpleNamespace(**loaded._asdict(), output_mode=None, options={"precision": object()})


class LoadsNothing(Honest):
    @hookimpl
    def load_model(self, source, device):
        return None


# Optional hooks


class ClaimsEverything(Honest):
    @hookimpl
    def recognizes(self, source):
        return True


class ClaimsFiles(Honest):
    @hookimpl
    def recognizes(self, source):
        return type(source).__name__ == "MLP" or hasattr(source, "suffix")


class ClaimsByName(Honest):
    """Says whose the model is by something else than a class or True."""

    @hookimpl
    def recognizes(self, source):
        return "mlp" if type(source).__name__ == "MLP" else ""


class ForgetsItsDecorator(Honest):
    def weight_digest(self, model):
        return "never called"


class Sigmas(Honest):
    """Takes standard deviations for rho."""

    @hookimpl
    def posterior_params(self, model):
        layers = honest.posterior_params(model)
        return {name: {"mu": pair["mu"], "rho": np.log1p(np.exp(pair["rho"]))} for name, pair in layers.items()}


class EmptyPosterior(Honest):
    @hookimpl
    def posterior_params(self, model):
        return {}


class DigestsTheAddress(Honest):
    """Another one for the same weights, as addresses mostly are; here always."""

    addresses = itertools.count()

    @hookimpl
    def weight_digest(self, model):
        return hex(next(self.addresses))


class DigestsTheKind(Honest):
    """The same for other weights."""

    @hookimpl
    def weight_digest(self, model):
        return type(model.source).__name__


class DigestsNothing(Honest):
    @hookimpl
    def weight_digest(self, model):
        digest_state(model.source)


class DigestsAnyData(Honest):
    @hookimpl
    def data_digest(self, dataset):
        return type(dataset).__name__


class DigestsTheLength(Honest):
    @hookimpl
    def data_digest(self, dataset):
        return str(len(dataset)) if hasattr(dataset, "inputs") else None


class RunsTheLastModel(Honest):
    @hookimpl
    def load_model(self, source, device):
        self.last = honest.load_model(source, device)
        return self.last

    @hookimpl
    def forward(self, model, inputs, batch_size):
        return honest.forward(self.last, inputs, batch_size)


class DrawsFromAnywhere(Honest):
    @hookimpl
    def stochastic_forward(self, model, inputs, batch_size, seed):
        return honest.forward(model, inputs + np.random.default_rng().normal(size=inputs.shape), batch_size)


class DrawsNothing(Honest):
    @hookimpl
    def stochastic_forward(self, model, inputs, batch_size, seed):
        return honest.forward(model, inputs, batch_size)


class KeepsAnything(Honest):
    @hookimpl
    def keep_layers(self, model, layers):
        return model


BACKENDS = {
    "loses-bfloat16": (LosesBfloat16(), "test_bfloat16_is_upcast", ()),
    "nests": (BreaksNests(), "test_to_device_keeps_nests", ()),
    "nothing-on-device": (NothingOnDevice(), "test_to_device_keeps_nests", ()),
    "shares": (Shares(), "test_to_device_copies_what_can_be_written_to", ("numpy",)),
    "shares-what-is-there": (SharesWhatIsThere(), "test_to_device_copies_what_can_be_written_to", ("framework",)),
    "in-place": (Shares(), "test_a_model_that_works_in_place_changes_nothing", ("auto",)),
    "shares-outputs": (Shares(), "test_a_model_may_reuse_the_memory_of_its_outputs", ("transform",)),
    "shares-rows": (Shares(), "test_a_model_may_reuse_the_memory_of_its_outputs", ("probs",)),
    "no-host": (HostIsNotNumpy(), "test_to_host_gives_numpy", (np.float32,)),
    "keeps-half": (KeepsHalf(), "test_to_host_gives_numpy", (np.float16,)),
    "one-buffer": (OneHostBuffer(), "test_what_came_to_the_host_stays_as_it_is", ()),
    "lists-on-device": (ListsOnDevice(), "test_to_probs_returns_the_frameworks_array", ()),
    "any-device": (AnyDevice(), "test_an_unavailable_device_is_refused_with_the_list", ()),
    "records-anything": (RecordsAnything(), "test_the_best_device_is_found_and_recorded", ()),
    "needs-a-device": (NeedsADevice(), "test_a_run_with_nothing_said_agrees_with_the_reference", ()),
    "lists-anything": (ListsAnything(), "test_the_devices_that_are_listed_are_there", ()),
    "lists-options-of-others": (ListsOptionsOfOthers(), "test_the_options_that_are_listed_are_known", ()),
    "no-oom": (NeverOutOfMemory(), "test_out_of_memory_halves_the_batch", ()),
    "loads-nothing": (LoadsNothing(), "test_rows_agree_with_the_reference", ("arrays",)),
    "takes-any-option": (TakesAnyOption(), "test_unknown_options_are_refused", ()),
    "own-options": (OptionsOfItsOwn(), "test_metadata_says_where_the_rows_come_from", ()),
    "claims-everything": (ClaimsEverything(), "test_only_its_own_models_are_recognized", ()),
    "claims-files": (ClaimsFiles(), "test_only_its_own_models_are_recognized", ()),
    "claims-by-name": (ClaimsByName(), "test_only_its_own_models_are_recognized", ()),
    "undecorated": (ForgetsItsDecorator(), "test_hooks_have_the_arguments_of_their_specifications", ()),
    "eager": (Honest(), "test_the_backend_is_listed_and_loading_imports_no_framework", ()),
    "sigmas": (Sigmas(), "test_the_posterior_of_a_bayesian_layer_is_its_mu_and_rho", ()),
    "no-posterior": (EmptyPosterior(), "test_a_model_without_bayesian_layers_has_no_posterior", ()),
    "digests-the-address": (DigestsTheAddress(), "test_a_digest_tells_weights_from_others", ()),
    "digests-the-kind": (DigestsTheKind(), "test_a_digest_tells_weights_from_others", ()),
    "digests-nothing": (DigestsNothing(), "test_a_digest_tells_weights_from_others", ()),
    "digests-any-data": (DigestsAnyData(), "test_a_digest_tells_data_from_others", ()),
    "runs-the-last-model": (RunsTheLastModel(), "test_each_member_of_a_list_is_what_its_model_gives_alone", ()),
    "draws-from-anywhere": (DrawsFromAnywhere(), "test_passes_follow_from_their_seed", ()),
    "draws-nothing": (DrawsNothing(), "test_passes_follow_from_their_seed", ()),
    "keeps-anything": (KeepsAnything(), "test_unknown_layers_are_refused", ()),
    "digests-the-length": (DigestsTheLength(), "test_a_digest_tells_data_from_others", ()),
}
