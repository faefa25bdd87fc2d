"""Our contestants: the generator with all its checks, as the README shows it."""

from probly.data_generator import FirstOrderDataGenerator


def factories(row, model, source, **options):
    """Return functions that make ours, by name; beside a store the same run into memory.

    Args:
        row: The comparison.
        model: A live model of the row's framework.
        source: What the run is given.
        options: What the backend is asked for by name.
    """
    if row.sink == "store":
        return {
            "ours in memory": lambda: _ours(row, model, source, options),
            "ours": lambda: _ours(row, model, source, options, "x.fod"),
        }
    return {"ours": lambda: _ours(row, model, source, options)}


def _ours(row, model, source, options, out=None):
    generator = FirstOrderDataGenerator(
        model,
        batch_size=row.batch,
        output_mode="probs" if row.framework == "numpy" else "logits",
        backend=row.framework,
        model_name=row.model,
        options=options,
    )

    def run(folder):
        return generator.generate_distributions(source, progress=False, out=out and folder / out)

    return run
