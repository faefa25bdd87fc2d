"""BackendConformance: what every backend must do, as pytest methods of a class to subclass."""

from probly.data_generator.testing.alignment import AlignmentChecks
from probly.data_generator.testing.devices import DeviceChecks
from probly.data_generator.testing.isolation import IsolationChecks
from probly.data_generator.testing.misuse import MisuseChecks
from probly.data_generator.testing.outputs import OutputChecks
from probly.data_generator.testing.parity import ParityChecks
from probly.data_generator.testing.state import StateChecks


class BackendConformance(
    ParityChecks, OutputChecks, AlignmentChecks, DeviceChecks, StateChecks, IsolationChecks, MisuseChecks
):
    """Subclass it, say which backend and how its models and datasets are built, and run pytest.

    Install the backend (``pip install -e .``), so that its entry point is found, and write a file
    ``test_conformance.py``; this is the whole of it for a framework whose arrays are NumPy's::

        from probly.data_generator import SimpleDataLoader
        from probly.data_generator.testing import BackendConformance

        class TestMine(BackendConformance):
            backend = "mine"
            framework_modules = ("myframework",)
            cannot = frozenset({"posterior"})
            expected_failures = {"test_bfloat16_is_upcast": "no such dtype: https://example.org/issues/1"}

            def mlp(self, weights):
                return myframework.Sequential(...)  # with weights.first, first_bias, second, second_bias

            def cnn(self, weights):
                return myframework.Sequential(...)  # with weights.kernel, kernel_bias, dense, dense_bias

            def array(self, values):
                return myframework.array(values)

            def dataset(self, inputs, labels):
                return list(zip(inputs, labels))

            def loader(self, inputs, labels, batch_size):
                return SimpleDataLoader(self.dataset(inputs, labels), batch_size)

            def shuffled_loader(self, inputs, labels, batch_size):
                return SimpleDataLoader(self.dataset(inputs, labels), batch_size, shuffle=True)

            def model_state(self, model):
                return {"weights": model.get_weights(), "training": model.training}

    ``reference.MLPWeights`` and ``reference.CNNWeights`` say what the models compute. The other methods have answers
    that are right for many frameworks: ``function``, ``identity``, ``every_second_row``, ``bfloat16``, ``bayesian``,
    ``keeps_gradients``, ``out_of_memory``.

    Nothing is skipped. Where a framework has no Python functions as models, no logits or no Bayesian layers, say so in
    ``cannot``: the checks that need it then ask for a clear refusal. Whatever else fails for good is declared in
    ``expected_failures`` with a link; such a check must fail, so that the entry goes when the reason is gone.

    Attributes:
        backend: The name of the backend under test.
        device: A device that is there on every machine.
        framework_modules: The top-level modules of the backend's own framework. Loading the backend must not import
            them, and a run must not work without them; those of other installed backends must not be needed.
        cannot: Names out of ``capabilities.CAPABILITIES``: ``"functions"``, ``"logits"`` (models return probabilities
            only; let ``mlp`` and ``cnn`` end in softmax), ``"posterior"``.
        expected_failures: The reason, with a link, of each check that must fail.

    Raises:
        TypeError: When the subclass is made: it would switch off a check, declares what does not exist, or gives no
            link.
    """
