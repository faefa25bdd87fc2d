"""What JAX does with four devices; run as a program, since it counts them when it starts. It prints JSON."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from probly.data_generator.testing import reference
from tests.jax_backend.runs import EXPECTED, FIRST, HOOK, INPUTS, forward, generator, load, module, put, run, softmax_of

DEVICES = jax.devices()
MLP = module()


def miss(distributions, expected=EXPECTED):
    """Return the largest difference from the rows that should be."""
    return float(abs(distributions.probabilities - expected).max())


def ids(*arrays):
    """Return the devices of arrays."""
    return sorted({device.id for array in arrays for device in array.devices()})


def moved(module, placement):
    """Return a copy of a module whose weights lie elsewhere."""
    graph, weights = nnx.split(module)
    return nnx.merge(graph, jax.device_put(weights, placement))


def everywhere(devices):
    """Return a placement with one copy on each device."""
    mesh = jax.sharding.Mesh(np.array(devices), ("x",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def rows():
    """Return how far the rows are from what they should be."""
    weight = jnp.asarray(FIRST)
    found = {f"cpu:all in batches of {size}": miss(run(MLP, device="cpu:all", batch_size=size)) for size in (16, 10, 3)}
    found["cpu:all in one batch"] = miss(run(MLP, device="cpu:all", batch_size=64))
    found["cpu:all, transformed"] = miss(run(MLP, device="cpu:all", batch_size=10, output_transform=jax.nn.softmax))
    found["cpu:all, function"] = miss(run(lambda batch: batch @ weight, device="cpu:all"), softmax_of(FIRST))
    found["cpu:all, jitted"] = miss(run(jax.jit(lambda batch: batch @ weight), device="cpu:all"), softmax_of(FIRST))
    found["cpu:1"] = miss(run(MLP, device="cpu:1"))
    found["cpu:1, function"] = miss(run(lambda batch: batch @ weight, device="cpu:1"), softmax_of(FIRST))
    found["cpu:2, where it is"] = miss(run(moved(MLP, DEVICES[2]), backend="jax"))
    found["everywhere, where it is"] = miss(run(moved(MLP, everywhere(DEVICES)), backend="jax"))
    with jax.disable_jit():
        found["cpu:all, uncompiled"] = miss(run(MLP, device="cpu:all", batch_size=10))
    return found


def stays():
    """Return where models go that are not told where to."""
    weight = jnp.asarray(FIRST)
    found = {
        "module": generator(MLP).current_device,
        "module on cpu:2": generator(moved(MLP, DEVICES[2])).current_device,
        "module on all": generator(moved(MLP, everywhere(DEVICES))).current_device,
        "module on two of four": generator(moved(MLP, everywhere(DEVICES[:2]))).current_device,
        "function": generator(lambda batch: batch @ weight).current_device,
        "name": generator("jax.nn:softmax").current_device,
    }
    with jax.default_device(DEVICES[3]):
        found["function under default_device"] = generator(lambda batch: batch @ weight).current_device
    return found


def shapes():
    """Return the shapes that a function is traced with, and how often XLA compiles it."""
    weight, traces, compiled = jnp.ones((5, 3)) * jnp.arange(3), [], []
    inputs = INPUTS[:23]

    def model(batch):
        traces.append(batch.shape)
        return batch @ weight

    found = generator(model, device="cpu:all", batch_size=7)
    found.generate_distributions(inputs, progress=False)  # now the operations that pad and cut are compiled, too
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
    )
    distributions = found.generate_distributions(inputs, progress=False)
    expected = reference.softmax(inputs.astype(float) @ np.asarray(weight))
    return {"traces": traces, "compiled": len(compiled), "miss": miss(distributions, expected)}


def sharing():
    """Return how a batch and the weights are divided."""
    model = load(MLP, "cpu:all")
    full = forward(model, put(INPUTS[:16], "cpu:all"), 16)
    ragged = forward(model, put(INPUTS[:10], "cpu:all"), 10)
    return {
        "full": [list(shard.data.shape) for shard in full.addressable_shards],
        "ragged": list(ragged.shape),
        "weights": [
            leaf.sharding.is_fully_replicated and len(leaf.devices()) for leaf in jax.tree.leaves(model.weights)
        ],
        "the user's": ids(*jax.tree.leaves(nnx.state(MLP))),
        "cpu:2": ids(forward(load(MLP, "cpu:2"), put(INPUTS, "cpu:2"), 50)),
        "cpu:1, no weights": ids(forward(load(lambda batch: batch * 2, "cpu:1"), put(INPUTS, "cpu:1"), None)),
        "from cpu:1 to cpu:3": ids(put(put(INPUTS, "cpu:1"), "cpu:3")),
    }


def refusal():
    """Return what is said about a device too many."""
    try:
        load(MLP, "cpu:4")
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    results = {function.__name__: function() for function in (rows, stays, shapes, sharing, refusal)}
    print(json.dumps({**results, "available": HOOK.available_devices()}))
