"""A linear student in NumPy, trained on soft targets or on labels: softmax regression by gradient descent."""

import numpy as np


def softmax(logits):
    """Return exp(z - max z) / sum exp(z - max z)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


class Student:
    """Softmax regression.

    The gradient of the cross-entropy between target rows ``t`` and ``softmax(x @ w + b)`` with respect to the logits
    is ``softmax(x @ w + b) - t``, for soft targets as for one-hot ones.
    """

    def __init__(self, features, classes):
        self.weight = np.zeros((features, classes))
        self.bias = np.zeros(classes)

    def __call__(self, inputs):
        return softmax(inputs @ self.weight + self.bias)

    def step(self, inputs, targets, rate):
        """Take one step of gradient descent on a batch."""
        gradient = (self(inputs) - targets) / len(inputs)
        self.weight -= rate * inputs.T @ gradient
        self.bias -= rate * gradient.sum(axis=0)


def train(loader, features, classes, targets_of, epochs=60, rate=0.5):
    """Train a student on the batches of a loader; ``targets_of`` picks the targets from (labels, distributions)."""
    student = Student(features, classes)
    for _ in range(epochs):
        for inputs, labels, distributions in loader:
            student.step(inputs, targets_of(labels, distributions), rate)
    return student
