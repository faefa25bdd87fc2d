"""The samples: arrays in memory, and the same pixels as PNG files that are decoded one by one."""

import io

import numpy as np

SEED = 0


def pixels(rows, shape):
    """Return uint8 images of coarse squares, which compress about as photographs do."""
    height, width, channels = shape
    random = np.random.default_rng(SEED)
    coarse = random.integers(0, 256, (rows, height // 4, width // 4, channels), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def arrays(rows, shape):
    """Return float32 inputs of shape (rows, height, width, channels) in [0, 1], and int64 labels."""
    return pixels(rows, shape).astype(np.float32) / 255, np.arange(rows) % 10


def step(row):
    """Return how many pixels of a file stand for one of the model's: those of a loader are the size of photographs.

    Workers cost more than they bring for files of a thousand pixels, and nobody would use them.
    """
    return 8 if row.data == "loader" else 1


def png_files(rows, shape, step=1):
    """Return the bytes of one PNG file per image."""
    from PIL import Image

    random = np.random.default_rng(SEED)
    files = []
    for image in pixels(rows, shape):
        buffer = io.BytesIO()
        large = image.repeat(step, axis=0).repeat(step, axis=1)
        if step > 1:  # the grain of a photograph, which takes most of the time; the model's own pixels have none
            large ^= random.integers(0, 16, large.shape, dtype=np.uint8)
            large[::step, ::step] = image
        Image.fromarray(large.squeeze()).save(buffer, "png", compress_level=1)
        files.append(buffer.getvalue())
    return files


def decode(file, step=1):
    """Return the float32 pixels of a PNG file, shape (height, width, channels)."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(file)))[::step, ::step].astype(np.float32) / 255
    return image if image.ndim == 3 else image[:, :, None]


def images(row, samples, kind=None):
    """Return the dataset of a row's images."""
    return (kind or Images)(png_files(samples, row.shape, step(row)), step(row))


class Images:
    """A dataset as people write one: each item decodes its file.

    Args:
        files: The bytes of each PNG file.
        step: See ``decode``.
    """

    def __init__(self, files, step=1):
        self.files, self.step = files, step

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return decode(self.files[index], self.step), index % 10


class Pairs:
    """Arrays as a dataset of items.

    Args:
        inputs: One input per row.
        labels: One label per row.
    """

    def __init__(self, inputs, labels):
        self.inputs, self.labels = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


def stack(items):
    """Return a batch of (input, label) items as two arrays."""
    return tuple(np.stack(column) for column in zip(*items, strict=True))
