"""BackendConformance: what every backend must do, as pytest methods of a class to subclass."""

from probly.data_generator.testing.alignment import AlignmentChecks
from probly.data_generator.testing.devices import DeviceChecks
from probly.data_generator.testing.forward import ForwardChecks
from probly.data_generator.testing.isolation import IsolationChecks
from probly.data_generator.testing.members import MemberChecks
from probly.data_generator.testing.misuse import MisuseChecks
from probly.data_generator.testing.parity import ParityChecks
from probly.data_generator.testing.state import StateChecks


class BackendConformance(
    ParityChecks, ForwardChecks, AlignmentChecks, DeviceChecks, StateChecks, MemberChecks, IsolationChecks, MisuseChecks
):
    """Subclass it, say which backend and how its models are built, and run pytest.

    Install the backend (``pip install -e .``), so that its entry point is found, and write a file
    ``test_conformance.py``; this is the whole of it for a framework that takes NumPy arrays::

        from probly.data_generator.testing import BackendConformance

        class TestMine(BackendConformance):
            backend = "mine"
            framework_modules = ("myframework",)
            cannot = frozenset({"posterior", "bfloat16"})

            def mlp(self, weights):
                return myframework.Sequential(...)  # with weights.first, first_bias, second, second_bias

            def cnn(self, weights):
                return myframework.Sequential(...)  # with weights.kernel, kernel_bias, dense, dense_bias

    ``reference.MLPWeights`` and ``reference.CNNWeights`` say what the models compute. Where models cannot be given
    weights, as trees, which are made by training alone, a model comes with inputs and its own predictions in their
    place::

            cannot = frozenset({"posterior", "bfloat16", "functions", "logits", "weights"})

            def classifier(self):
                model = mytrees.Forest(seed=0).fit(inputs, labels)
                return Classifier(model, inputs, model.predict_proba(inputs))

    The other methods have answers that are right for many frameworks: ``array``, ``dataset``, ``loader``,
    ``shuffled_loader``, ``model_state``, ``function``, ``identity``, ``every_second_row``, ``bfloat16``, ``bayesian``,
    ``keeps_gradients``, ``out_of_memory``. Optional hooks are checked where the backend has them.

    Nothing is skipped. What does not exist in a framework is said in ``cannot``: the checks that need it then check
    something else, most often a clear refusal. Whatever else fails for good is declared in ``expected_failures`` with a
    link; such a check must fail, so that the entry goes when the reason is gone.

    Attributes:
        backend: The name of the backend under test.
        device: A device that is there on every machine.
        framework_modules: The top-level modules of the backend's own framework. Loading the backend must not import
            them, and a run must not work without them; those of other installed backends must not be needed.
        cannot: Names out of ``capabilities.CAPABILITIES``: ``"functions"`` (a Python function is no model),
            ``"logits"`` (models return probabilities only; ``mlp`` and ``cnn`` end in softmax), ``"posterior"``,
            ``"weights"`` (see above), ``"bfloat16"`` (arrays are NumPy's, which has no such dtype).
        expected_failures: The reason, with a link, of each check that must fail.

    Raises:
        TypeError: When the subclass is made: it would switch off a check, declares what does not exist, or gives no
            link.
    """
