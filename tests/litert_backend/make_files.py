"""Make the files that the tests read, with TensorFlow's converter: python -m tests.litert_backend.make_files.

The tests need no TensorFlow then. The weights are those of ``reference.mlp_weights()`` with a softmax at the end.
"""

from pathlib import Path

from probly.data_generator.testing import reference

FILES = Path(__file__).parent / "files"


def main():
    import tensorflow as tf

    weights = reference.mlp_weights()
    inputs, _ = reference.samples(rows=200, seed=7)
    model = tf.keras.Sequential([
        tf.keras.layers.Input((5,), name="features"),
        tf.keras.layers.Dense(16, "relu"),
        tf.keras.layers.Dense(3, "softmax"),
    ])  # fmt: skip
    model.set_weights(list(weights))

    def converted(*, quantised=False, kind=tf.float32):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if quantised:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in inputs)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = kind
        return converter.convert()

    FILES.mkdir(exist_ok=True)
    (FILES / "float.tflite").write_bytes(converted())
    (FILES / "inner_int8.tflite").write_bytes(converted(quantised=True))
    (FILES / "int8.tflite").write_bytes(converted(quantised=True, kind=tf.int8))
    (FILES / "uint8.tflite").write_bytes(converted(quantised=True, kind=tf.uint8))


if __name__ == "__main__":
    main()
