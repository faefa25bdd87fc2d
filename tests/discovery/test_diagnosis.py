"""check_backend tells what a backend is and what is wrong with it, whatever that is, and nobody else suffers."""

import re
import subprocess
import sys

import numpy as np
import pytest

import probly.data_generator as fod
from probly.data_generator.discovery.requirements import fulfils
from tests.conftest import BACKENDS
from tests.discovery.broken_promises import BROKEN_PROMISES, hook
from tests.discovery.plugins import RULE_BREAKERS, SAYS
from tests.tiny import GOOD_BACKEND, build_wheel, install

DEVICES = GOOD_BACKEND + "\n@hookimpl\ndef available_devices():\n    return {}\n"
CRASHES = {
    "aborts": (
        "import os\nos.abort()\n",
        r"signal SIGABRT\): Fatal Python error: Aborted at .*tiny_aborts\.py, line 2",
    ),
    "segfaults": (
        "import ctypes\nctypes.string_at(0)\n",
        r"signal SIGSEGV\): Fatal Python error: Segmentation fault at .*, line \d+",
    ),
    "leaves": ("import os\nos._exit(0)\n", r"\(exit status 0\)"),
    "interrupts": ("raise KeyboardInterrupt\n", r"KeyboardInterrupt"),
    "kills": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", r"signal SIGKILL"),
    "aborts-late": (DEVICES.format("__import__('os').abort()"), r"signal SIGABRT"),
}
WRONG = {
    "no-list": (DEVICES.format("'cpu'"), r"available_devices failed: TypeError: expected a list of names, got 'cpu'"),
    "no-names": (DEVICES.format("[0, 1]"), r"expected a list of names, got \[0, 1\]"),
    "no-framework": (DEVICES.format("__import__('framework_of_nobody')"), r"No module named 'framework_of_nobody'"),
    "no-patience": (DEVICES.format("__import__('sys').exit(5)"), r"SystemExit: 5"),
    "misspelt-too": (
        GOOD_BACKEND + "\n@hookimpl\ndef is_out_of_memroy(error):\n    return True\n",
        r"unknown hook 'is_out_of_memroy'.*did you mean is_out_of_memory\?",
    ),
    "wraps-only": (
        GOOD_BACKEND + "\n@hookimpl(wrapper=True)\ndef forward(model):\n    return (yield)\n",
        r"lacks the hook forward",
    ),
}
WORKING = {
    "two-hooks": GOOD_BACKEND + "\ndel posterior_params\n",
    "looks-at-the-model": hook("""
        @hookimpl
        def iterate_batches(dataset, model):
            return iter(model.batches)
        """),
    "devices": DEVICES.format("['cpu', 'gpu:0']"),
    "silent": GOOD_BACKEND,
    "chatty": "import os\nprint('{')\nos.write(1, b'[1')\nimport sys\nsys.stderr.write('x' * 2**20)\n" + GOOD_BACKEND,
    "crashes-at-exit": "import atexit\nimport os\natexit.register(os.abort)\n" + GOOD_BACKEND,
    "hangs-at-exit": "import atexit\nimport time\natexit.register(time.sleep, 3600)\n" + GOOD_BACKEND,
}
SEEN = {**CRASHES, **WRONG, **BROKEN_PROMISES}
DAMAGED = {
    "no_metadata-1.dist-info": ("[probly.data_generator.backends]\nlost = lost\n", None),
    "no_pairs-1.dist-info": ("[probly.data_generator.backends]\nno pair\n", "Name: no-pairs\nVersion: 1\n"),
    "no_text-1.dist-info": (b"\xff\xfe[", "Name: no-text\nVersion: 1\n"),
    "no_version-1.dist-info": ("[probly.data_generator.backends]\nlost = lost\n", "Name: no-version\n"),
}


def needing(requirement):
    return {"requires": ["probly-data-generator", requirement]}


REQUIRING = {
    "missing": (needing("framework-of-nobody>=1"), r"It requires framework-of-nobody>=1, which is not installed; run:"),
    "too-old": (
        needing("old-framework>=2"),
        r'requires old-framework>=2, but 1\.5 is installed; run: pip install --upgrade "old-framework>=2"\.',
    ),
    "too-new": (needing("old-framework<1.4"), r"requires old-framework<1\.4, but 1\.5 is installed"),
    "variant-of-another-module": (needing("other>=1"), "requires other>=1, which is not installed"),
    "variant-too-old": (needing("varied>=2"), "requires varied>=2, but 1.6 is installed"),
    "core-too-old": (
        {"requires": ["probly-data-generator>=99"]},
        r"requires probly-data-generator>=99, but \d",
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install one distribution for everything that can be wrong, and some that work."""
    folder, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    sources = {**RULE_BREAKERS, **WORKING, **{name: source for name, (source, _) in SEEN.items()}}
    sources |= dict.fromkeys((*REQUIRING, "varies"), GOOD_BACKEND) | {"hangs": "import time\ntime.sleep(3600)\n"}
    wheels = [build_wheel(folder, "old-framework", {"old_framework.py": "Model = int"}, {}, version="1.5")]
    for name, module in (("varied-cpu", "varied"), ("varied-tools", "varied_tools"), ("other-cpu", "another")):
        wheels.append(build_wheel(folder, name, {f"{module}/__init__.py": ""}, {}, version="1.6"))
    for name, source in sources.items():
        module = f"tiny_{name.replace('-', '_')}"
        options = REQUIRING[name][0] if name in REQUIRING else {}
        if name == "imports-to-recognize":
            options = needing("old-framework")
        if name == "imports-to-list":
            options = needing("pytest")
        if name == "varies":
            options = needing("varied>=1.5")
        wheels.append(build_wheel(folder, f"tiny-{name}", {f"{module}.py": source}, {name: module}, **options))
    for name in ("tiny-first", "tiny-second"):
        module = f"{name.replace('-', '_')}_twice"  # which makes "twice" its main name
        names = {"twice": module, f"{name}-alone": module}
        wheels.append(build_wheel(folder, name, {f"{module}.py": GOOD_BACKEND}, names))
    install(target, *wheels)
    for name, (entry_points, metadata) in DAMAGED.items():
        (target / name).mkdir()
        content = entry_points if isinstance(entry_points, bytes) else entry_points.encode()
        (target / name / "entry_points.txt").write_bytes(content)
        if metadata:
            (target / name / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}")
    return target


@pytest.fixture
def installed(site, monkeypatch):
    """Put them on the import path of this process only: the process that checks has to get it from here."""
    monkeypatch.syspath_prepend(site)
    yield
    assert not [name for name in sys.modules if name.startswith("tiny_")], "the plugin was imported here"


@pytest.mark.parametrize("name", RULE_BREAKERS)
def test_a_plugin_that_breaks_a_rule_is_explained(name, installed):
    report = fod.check_backend(name)
    assert (report.name, report.distribution, report.version) == (name, f"tiny-{name}", "1.0")
    assert SAYS[name].replace("\\", "") in report.problem
    assert f"reinstall or uninstall tiny-{name}" in report.problem
    assert "\n" not in report.problem


@pytest.mark.parametrize("name", [*CRASHES, *WRONG])
def test_a_plugin_that_crashes_or_answers_nonsense_is_explained(name, installed):
    report = fod.check_backend(name)
    assert report.devices == ()
    says = {**CRASHES, **WRONG}[name][1]
    assert re.search(says, report.problem), report.problem


@pytest.mark.parametrize("name", BROKEN_PROMISES)
def test_a_plugin_that_breaks_a_promise_does_not_work(name, installed):
    report = fod.check_backend(name)
    assert str(report).startswith(f"{name}: does not work")
    assert re.search(BROKEN_PROMISES[name][1], report.problem), report.problem


def test_a_plugin_that_hangs_is_given_up(installed):
    report = fod.check_backend("hangs", timeout=0.5)
    assert "did not answer within 0.5 seconds" in report.problem


@pytest.mark.parametrize("name", REQUIRING)
def test_a_requirement_that_is_not_met_is_explained(name, installed):
    report = fod.check_backend(name)
    assert re.search(REQUIRING[name][1], report.problem), report.problem


def test_a_variant_of_what_is_required_will_do(installed):
    """Some frameworks have a second distribution of the same module, for machines without a GPU."""
    report = fod.check_backend("varies")
    assert report.problem is None
    assert report.frameworks == {"varied": "1.6"}


def test_what_works_is_reported_whole(installed):
    assert fod.check_backend("devices") == fod.BackendReport(
        "devices", ("devices",), "tiny-devices", "1.0", {}, ("cpu", "gpu:0"), None
    )


@pytest.mark.parametrize(
    "name", ["silent", "chatty", "crashes-at-exit", "hangs-at-exit", "two-hooks", "looks-at-the-model"]
)
def test_a_backend_that_tells_no_devices_prints_or_crashes_at_exit_works(name, installed):
    report = fod.check_backend(name)
    assert report.problem is None
    assert report.devices == ()


def test_names_without_a_backend_are_explained(installed):
    unknown = fod.check_backend("devises")
    assert unknown.problem.startswith("Unknown framework: devises (installed backends: ")
    assert "did you mean 'devices'" in unknown.problem
    assert (unknown.distribution, unknown.version) == (None, None)
    ambiguous = fod.check_backend("twice")
    assert "'twice': claimed by tiny-first 1.0 and tiny-second 1.0" in ambiguous.problem


def test_a_name_that_is_nobodys_hides_no_other_name(installed):
    listed = fod.list_backends()
    assert "twice" not in listed
    assert listed["tiny-first-alone"].distribution == "tiny-first"
    assert fod.check_backend("tiny-first-alone").problem is None


def test_damaged_metadata_hide_no_other_backend_and_are_named(installed):
    listed = fod.list_backends()
    assert {"numpy", "devices", "aborts", "too-old"} <= set(listed)
    assert "lost" not in listed
    problem = fod.check_backend("lost").problem
    assert "distributions that cannot be read" in problem
    assert all(name in problem for name in DAMAGED)


def test_broken_plugins_harm_neither_the_agnostic_backend_nor_a_run(site):
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import numpy as np, probly.data_generator as fod\n"
        "broken = [name for name in fod.list_backends() if name in ('aborts', 'segfaults', 'exits')]\n"
        "assert len(broken) == 3 and all(fod.check_backend(name).problem for name in broken)\n"
        "assert fod.check_backend('numpy').problem is None\n"
        "print(fod.FirstOrderDataGenerator(lambda x: x, backend='numpy').generate_distributions(np.eye(3)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "3 samples x 3 classes" in done.stdout


@pytest.mark.parametrize("name", BACKENDS)
def test_our_backends_work_and_their_frameworks_stay_out_of_this_process(name):
    code = (
        "import sys, probly.data_generator as fod\n"
        f"report = fod.check_backend({name!r})\n"
        "assert report.problem is None, report.problem\n"
        "assert report.devices and report.frameworks, report\n"
        f"assert {name!r} in report.aliases\n"
        "roots = {module.partition('.')[0].replace('_', '-') for module in sys.modules}\n"
        "assert not roots & (set(report.frameworks) - {'numpy'}), roots\n"
        "print(report)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith(": works")
    assert any(line.startswith("  devices       ") and "cpu" in line.lower() for line in lines)


def test_the_devices_are_those_of_the_error_message():
    devices = fod.check_backend("numpy").devices
    with pytest.raises(ValueError, match=", ".join(map(repr, devices))):
        fod.FirstOrderDataGenerator(np.exp, backend="numpy", device="gpu:7")


def test_a_report_can_be_read_and_not_changed(installed):
    report = fod.check_backend("too-old")
    first, *others = str(report).splitlines()
    assert first == "too-old: does not work"
    assert "  distribution  tiny-too-old 1.0" in others
    assert "  framework     old-framework 1.5" in others
    assert max(map(len, others)) <= 100
    with pytest.raises(AttributeError):
        report.problem = None


def test_without_another_interpreter_that_is_the_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "no other interpreter can be started" in fod.check_backend("numpy").problem


@pytest.mark.parametrize(
    ("version", "bounds", "fulfilled"),
    [
        ("2.13.0+cpu", ">=2.6", True),
        ("2.5.9", ">=2.6", False),
        ("2.6", ">=2.6.0", True),
        ("10.0", ">=9", True),
        ("3.0rc1", "<3", False),
        ("2.9", ">=2.6,<3", True),
        ("2.9", ">2.9", False),
        ("2.9", "<=2.9", True),
        ("1!1.0", ">=2.0", True),
        ("1.0", "~=2.0", True),
        ("1.0", "", True),
        ("2023.1b", " >= 2023 , < 2024", True),
    ],
)
def test_bounds_are_compared_by_number(version, bounds, fulfilled):
    assert fulfils(version, bounds) is fulfilled
