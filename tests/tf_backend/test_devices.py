"""Names of devices, the way of arrays to them and back, and strategies over several."""

import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import HOST
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator, TensorFlowDataGenerator
from probly.data_generator.testing import reference
from tests.tf_backend.mlp import HOOK, INPUTS, check, digest, keras_model, logits, python, run, samples


@pytest.mark.parametrize("name", ["cpu", "CPU", "cpu:0", "CPU:0", "/CPU:0", "/device:CPU:0", None])
def test_names_of_devices(name):
    made = TensorFlowDataGenerator(keras_model(), samples().batch(32), batch_size=32, device=name)
    check(made.generate_distributions())
    assert made.get_info()["device"] == "CPU:0"


@pytest.mark.parametrize("name", ["GPU:9", "cpu:1", "cuda", "", "CPU:x"])
def test_unavailable_devices(name):
    with pytest.raises(ValueError, match=f"device '{name}' is not available to tensorflow .*available: 'CPU:0'"):
        FirstOrderDataGenerator(logits, device=name)


class Foreign:
    """An array of some other library."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3.0, dtype=np.float32)


def test_to_device():
    ragged = tf.ragged.constant([[1], [2, 3]])
    nest = {
        "bfloat16": tf.constant([1.5], tf.bfloat16),
        "variable": tf.Variable([1.0]),
        "foreign": Foreign(),
        "text": np.array(["a", "bc"]),
        "objects": np.array([None, "x"]),
        "dates": np.array(["2020-01-01"], "datetime64[D]"),
        "ragged": ragged,
        "number": 3,
    }
    moved = HOOK.to_device(data=nest, device="CPU:0")
    for name in ("bfloat16", "variable", "foreign", "text"):
        assert tf.is_tensor(moved[name])
        assert moved[name].device.endswith("CPU:0")
    assert not isinstance(moved["variable"], tf.Variable)
    for name in ("ragged", "number"):
        assert moved[name] is nest[name]
    for name in ("objects", "dates"):
        np.testing.assert_array_equal(moved[name], nest[name])
        assert not np.shares_memory(moved[name], nest[name])
    hosted = HOOK.to_device(data=moved, device=HOST)
    assert hosted["bfloat16"].dtype == np.float32
    assert hosted["text"].tolist() == [b"a", b"bc"]
    assert HOOK.to_device(data=[Foreign()], device=HOST)[0].tolist() == [0, 1, 2]
    assert HOOK.to_device(data=np.array([0.5], np.float16), device=HOST).dtype == np.float32
    assert HOOK.to_device(data=ragged, device=HOST) is ragged


def aligned(rows):
    """Return an array at an address where TensorFlow could use its memory."""
    memory = np.zeros(4 * rows + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + 4 * rows].view(np.float32)


def test_only_what_nobody_can_write_to_is_shared():
    array, variable, tensor = aligned(64), tf.Variable([1.0]), tf.constant(INPUTS)
    moved = HOOK.to_device(data=[array, variable, tensor], device="CPU:0")
    array += 1
    variable.assign_add([1.0])
    assert not moved[0].numpy().any()
    assert moved[1].numpy() == 1
    assert moved[2] is tensor
    hosted = HOOK.to_device(data=tensor, device=HOST)
    hosted += 1
    np.testing.assert_array_equal(tensor, INPUTS)


def test_half_precision_pipelines():
    halves = tf.data.Dataset.from_tensor_slices(tf.cast(INPUTS, tf.bfloat16)).batch(8)
    rows = run(lambda batch: batch, halves, output_mode="logits", batched=True)
    check(rows, reference.softmax(tf.cast(tf.cast(INPUTS, tf.bfloat16), tf.float32).numpy()))


STRATEGY = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from probly.data_generator import InvalidOutputError
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator, TensorFlowDataGenerator
from tests.tf_backend import mlp as t

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
seen = []

def watched(inputs):
    seen.append((tf.identity(inputs).device[-5:], inputs.shape.as_list()))
    return t.logits(inputs)

with strategy.scope():
    model = t.keras_model()
    bound = TensorFlowDataGenerator(model, t.samples().batch(8), batch_size=32 * strategy.num_replicas_in_sync)
    function = FirstOrderDataGenerator(watched, batch_size=16, output_mode="logits")
for outside in (bound.generate_distributions(), FirstOrderDataGenerator(model).generate_distributions(t.INPUTS)):
    t.check(outside)  # a run outside the scope, and a generator made outside it: the model's variables tell
    assert outside.meta["device"] == "CPU:0,CPU:1", outside.meta
t.check(function.generate_distributions(t.INPUTS))  # 50 rows: 16, 16, 16 and 2
assert sorted(seen) == [("CPU:0", [8, 5]), ("CPU:1", [8, 5])], seen
assert set(map(str, function.to_device({"a": t.INPUTS})["a"].device[-5:].split())) == {"CPU:0"}
print("rows agree")

with strategy.scope():
    several = FirstOrderDataGenerator(
        lambda batch: {"scores": (t.logits(batch["x"]), None)},
        output_transform=lambda outputs: tf.nn.softmax(outputs["scores"][0]),
    )
t.check(several.generate_distributions({"x": t.INPUTS}))
print("nests agree")

with strategy.scope():
    wrong = FirstOrderDataGenerator(lambda batch: t.logits(batch)[1:], output_mode="logits", batch_size=8)
    eager = FirstOrderDataGenerator(lambda batch: t.logits(tf.constant(batch.numpy())), output_mode="logits")
    eager.model.run_eagerly = True
try:
    wrong.generate_distributions(t.INPUTS)
except InvalidOutputError as error:
    print(error)
t.check(eager.generate_distributions(t.INPUTS))
print("eager agrees")

print(t.digest(t.keras_model()))
from tests.tf_backend import test_state as st
with strategy.scope():
    # The state of each replica is that of its own rows, so one replica after the other is the reference.
    model, batches = st.recurrent(rows=2), st.INPUTS.reshape(3, 2, 2, 5, 3)
    rows = [st.run(model) for _ in range(2)]
    refusal = FirstOrderDataGenerator(model, batch_size=5, output_mode="probs")
assert (rows[0] == rows[1]).all() and not any(state.any() for state in st.states(model)[:2])
for replica in range(2):
    single = st.recurrent(rows=2)
    single.set_weights(model.get_weights())
    expected = [single(batch, training=False).numpy() for batch in batches[:, replica]]
    np.testing.assert_allclose(rows[0].reshape(3, 2, 2, 3)[:, replica], expected, rtol=0, atol=1e-6)
try:
    refusal.generate_distributions(st.INPUTS)
except ValueError as error:
    print(error)
one = FirstOrderDataGenerator(t.logits, device="CPU:1").generate_distributions(t.INPUTS)
t.check(one)
print(one.meta["device"])
with tf.device("CPU:1"):
    there = t.Module()
for device in (None, "cpu"):
    rows = FirstOrderDataGenerator(there, device=device).generate_distributions(t.INPUTS)
    t.check(rows)
    print(rows.meta["device"], there.kernel.device[-5:])
with tf.distribute.OneDeviceStrategy("CPU:1").scope():
    print(FirstOrderDataGenerator(t.keras_model()).generate_distributions(t.INPUTS).meta["device"])
"""


def test_strategies_split_every_batch_over_their_replicas():
    printed = python(STRATEGY)
    assert printed[:2] == ["rows agree", "nests agree"]
    assert "expected 8 rows, got 6; return one row per input" in printed[2]
    assert printed[3] == "eager agrees"
    assert printed[4] == digest(keras_model()), "in another process"
    assert printed[5] == "the model was built for batches of 4 rows, this one has 5; set batch_size=4"
    assert printed[6] == "CPU:1"
    assert printed[7:9] == ["CPU:1 CPU:1", "CPU:0 CPU:1"], "a live model stays where its weights are, unless told"
    assert printed[9:] == ["CPU:1"]
