"""TensorFlow: the models (Keras), the loop by hand, and what others do instead."""

import data
import keras
import numpy as np
import ours
import tensorflow as tf
from keras import layers


def conv(x, size, stride=1, kernel=3):
    x = layers.Conv2D(size, kernel, stride, "same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def block(x, size, stride):
    body = conv(layers.ReLU()(conv(x, size, stride)), size)
    if stride != 1 or x.shape[-1] != size:
        x = conv(x, size, stride, kernel=1)
    return layers.ReLU()(layers.Add()([body, x]))


def resnet():
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(conv(inputs, 64))
    for size, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = block(block(x, size, stride), size, 1)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def cnn():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def linear():
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)])


def make_model(row):
    keras.utils.set_random_seed(data.SEED)
    return {"linear": linear, "cnn": cnn, "resnet": resnet}[row.model]()


def compiled(model):
    """Return the step as a graph that takes any number of rows: inputs to probabilities."""

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)])
    def step(inputs):
        return tf.nn.softmax(model(inputs, training=False))

    return step


def factories(row, samples, workers):
    """Return functions that make the contestants of a row, by name; the workers are threads of tf.data."""
    model = make_model(row)
    if row.data == "arrays":
        dataset = data.arrays(samples, row.shape)
        found = {"hand": lambda: hand_sliced(model, dataset, row), **ours.factories(row, model, dataset)}
        if row.sink == "memory" and row.model != "resnet":
            pipeline = tf.data.Dataset.from_tensor_slices(dataset).batch(row.batch).prefetch(tf.data.AUTOTUNE)
            found["loader"] = lambda: hand_loader(model, pipeline, row, samples)
            found["Keras predict"] = lambda: keras_predict(model, dataset[0], row)
        return found
    dataset = data.images(row, samples)
    decoding, calling = decoding_pipeline(dataset.files, row, workers), calling_pipeline(dataset, row)
    given = decoding if row.data == "loader" else calling
    found = {
        "hand": lambda: hand_per_item(model, dataset, row),
        "loader": lambda: hand_loader(model, given, row, samples),
        "Keras predict": lambda: keras_predict(model, given, row),
        **ours.factories(row, model, decoding if row.data == "loader" else dataset),
    }
    if row.data == "images":  # what one gains by writing the dataset anew in TensorFlow's operations
        found["tf.data that decodes"] = lambda: hand_loader(model, decoding, row, samples)
    return found


def decoding_pipeline(files, row, workers):
    """Return a tf.data pipeline that decodes in parallel, in C++."""
    pipeline = tf.data.Dataset.from_tensor_slices((files, np.arange(len(files)) % 10))
    pipeline = pipeline.map(lambda file, label: (decode(file, row), label), num_parallel_calls=max(1, workers))
    options = tf.data.Options()
    options.autotune.enabled = False  # with it, runs take 0.8 or 1.3 s by chance
    return pipeline.batch(row.batch).prefetch(max(1, workers)).with_options(options)


def calling_pipeline(dataset, row):
    """Return a tf.data pipeline over a dataset in Python, which is the loader that TensorFlow has for one."""
    signature = (tf.TensorSpec(row.shape, tf.float32), tf.TensorSpec((), tf.int64))
    pipeline = tf.data.Dataset.from_generator(
        lambda: map(dataset.__getitem__, range(len(dataset))), output_signature=signature
    )
    pipeline = pipeline.apply(tf.data.experimental.assert_cardinality(len(dataset)))
    return pipeline.batch(row.batch).prefetch(tf.data.AUTOTUNE)


def decode(file, row):
    """Return the float32 pixels of a PNG file."""
    step = data.step(row)
    image = tf.io.decode_png(file, channels=row.shape[2])[::step, ::step]
    image.set_shape(row.shape)
    return tf.cast(image, tf.float32) / 255


def hand_sliced(model, dataset, row):
    inputs, step = dataset[0], compiled(model)

    def run(folder):
        rows = np.empty((len(inputs), 10), np.float32)
        for start in range(0, len(inputs), row.batch):
            stop = start + row.batch
            rows[start:stop] = step(inputs[start:stop]).numpy()
        return rows

    return run


def hand_per_item(model, dataset, row):
    step = compiled(model)

    def run(folder):
        rows = np.empty((len(dataset), 10), np.float32)
        for start in range(0, len(dataset), row.batch):
            stop = min(start + row.batch, len(dataset))
            rows[start:stop] = step(np.stack([dataset[index][0] for index in range(start, stop)])).numpy()
        return rows

    return run


def hand_loader(model, pipeline, row, samples):
    step = compiled(model)

    def run(folder):
        rows = np.empty((samples, 10), np.float32)
        start = 0
        for inputs, _ in pipeline:
            stop = start + inputs.shape[0]
            rows[start:stop] = step(inputs).numpy()
            start = stop
        return rows

    return run


def keras_predict(model, inputs, row):
    def run(folder):
        batch = row.batch if isinstance(inputs, np.ndarray) else None
        return tf.nn.softmax(model.predict(inputs, batch_size=batch, verbose=0)).numpy()

    return run


def settings():
    """Return what tells this process from another one."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__, "device": "CPU"}
