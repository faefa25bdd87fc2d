"""The commands of the evaluation for ``first-order``, imported when they are called; they need click."""
