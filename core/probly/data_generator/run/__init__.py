"""One run: batches to the device and back, scores to rows, rows to a sink."""
