"""The file of all figures, and the page that is written from it."""

import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

import report

PACKAGES = (
    "numpy",
    "torch",
    "jax",
    "flax",
    "tensorflow",
    "keras",
    "scikit-learn",
    "lightning",
    "transformers",
    "pillow",
)
PAGE = Path(__file__).with_name("RESULTS.md")
TITLES = {
    "rows": "Our runs against the others",
    "guide": "The guide's table",
    "scaling": "Scaling",
    "startup": "Start-up",
    "formats": "Formats",
}
NOTES = {
    "rows": (
        "Ratios of times: 1.05 means 5 % longer than the base. Milliseconds are those of the base; microseconds are "
        "what our run adds to each batch."
    ),
    "guide": (
        "10,000 samples, 10 classes, batch 64. The guide's figures are of a GPU and a model that it does not name; "
        "ours are of this machine's CPU. Peak memory is that of the whole process, framework and samples included."
    ),
    "scaling": (
        "The agnostic backend with a model that returns its input, 10 classes, batch 256, from mapped files to a "
        "store, with labels and keys. Anonymous memory is what a process has beside mapped files."
    ),
    "startup": "Medians of fresh processes.",
    "formats": (
        "10 classes. Plain code writes the numbers with the format's own library (for .json: json.dump; for .fod: "
        "np.save) and neither checks nor syncs; ours is on the disk, whole or not at all, when it returns."
    ),
}


def machine():
    """Return what the figures were measured on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "thread_settings": {name: os.environ[name] for name in os.environ if name.endswith("_NUM_THREADS")},
        "date": time.strftime("%Y-%m-%d"),
    }


def load(path):
    """Return the figures so far."""
    return json.loads(path.read_text()) if path.exists() else {}


def merged(before, new):
    """Return all figures: those of a part or a comparison that was measured again replace the old ones."""
    found = {**before, **new, "settings": {**before.get("settings", {}), **new.get("settings", {})}}
    rows = {row["row"]: row for row in (*before.get("rows", ()), *new.get("rows", ()))}
    return {**found, "rows": list(rows.values())}


def save(path, found):
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def write_page(found):
    """Write RESULTS.md from the figures; what a person added below its last heading stays."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    settings = "; ".join(f"{name}: {values}" for name, values in found["settings"].items())
    lines = (
        f"- Date: {machine['date']}",
        f"- Machine: {machine['processor']}, {machine['cores']} cores, {machine['system']}",
        f"- Python {machine['python']}; {versions}",
        f"- Threads: the frameworks' defaults; {settings}",
    )
    parts = [
        "# Results\n",
        "Written by `python benchmarks/bench.py --write-results`; [README.md](README.md) tells how to read it.\n",
        "\n".join(lines) + "\n",
    ]
    for name, table in report.TABLES.items():
        if found.get(name):
            parts.append(f"## {TITLES[name]}\n\n{NOTES[name]}\n\n{report.as_markdown(*table(found[name]))}\n")
    parts.append(_accelerator_section())
    PAGE.write_text("\n".join(parts))


def _accelerator_section():
    heading = "## Accelerators\n"
    text = PAGE.read_text() if PAGE.exists() else ""
    kept = text.partition(heading)[2]
    return heading + (kept or "\nNot measured: no machine with one was at hand.\n")
