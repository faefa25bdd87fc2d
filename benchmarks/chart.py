"""The comparisons as a picture: one line per row, one mark per contestant."""

MARKS = ("D", "s", "^", "v", "P", "X")


def draw(rows, path):
    """Write a PNG: all ratios on a logarithmic scale, ours with its interval, the target as a bar."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.28 * len(rows)), layout="constrained")
    marks = {}
    for height, row in enumerate(reversed(rows)):
        for name, figures in row["contestants"].items():
            ratio = figures["ratio"]
            if name == "ours":
                axes.plot([ratio["low"], ratio["high"]], [height, height], color="tab:blue", alpha=0.4, linewidth=4)
                axes.plot(ratio["median"], height, "o", color="tab:blue", label="ours", zorder=3)
            elif name != row["base"]:
                marker = marks.setdefault(name, MARKS[len(marks) % len(MARKS)])
                color = f"C{1 + list(marks).index(name)}"
                axes.plot(ratio["median"], height, marker, color=color, label=name, markersize=5)
        if row["limit"] is not None:
            axes.plot(row["limit"], height, "|", color="black", markersize=11, label="target")
    axes.axvline(1.0, color="grey", linewidth=0.8, label="base")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(rows)), [row["row"] for row in reversed(rows)], fontsize=7)
    axes.set_xlabel("times the base: the loop by hand, the best loader loop, or (store) our run into memory")
    unique = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(unique.values(), unique.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)
