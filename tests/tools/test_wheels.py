"""Wheels are checked as they say, and what is written down more than once is so everywhere."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import cylstm
from tools import build_wheel, try_wheel, try_wheel_aarch64

CHECKOUT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = yaml.safe_load((CHECKOUT / "tools/conda/recipe.yaml").read_text(encoding="utf-8"))
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (CHECKOUT / ".github/workflows").glob("*.yml")
}
NATIVE = "cylstm-1.0-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"


def wheel_of(folder, sizes, name=NATIVE):
    """A wheel, stored, with files of these sizes."""
    with zipfile.ZipFile(folder / name, "w") as archive:
        for number, size in enumerate(sizes):
            archive.writestr(f"{number}", bytes(size))
    return folder / name


@pytest.mark.parametrize(
    "name",
    [
        NATIVE,
        "cylstm-1.0-cp311-abi3-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "cylstm-1.0-cp311-abi3-musllinux_1_2_x86_64.whl",
    ],
)
def test_tags_that_serve_all(name):
    build_wheel.check_tags(Path(name))


@pytest.mark.parametrize(
    "name",
    [
        "cylstm-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "cylstm-1.0-cp312-abi3-manylinux_2_17_x86_64.whl",
        "cylstm-1.0-cp311-abi3-manylinux_2_34_x86_64.whl",
        "cylstm-1.0-cp311-abi3-linux_x86_64.whl",
        "other-1.0-cp311-abi3-manylinux_2_17_x86_64.whl",
    ],
)
def test_tags_that_serve_some(name):
    with pytest.raises(build_wheel.CheckError, match=re.escape(name)):
        build_wheel.check_tags(Path(name))


def test_sizes_at_the_limits_and_above(tmp_path, monkeypatch):
    wheel = wheel_of(tmp_path, [3000, 2000])
    monkeypatch.setattr(build_wheel, "WHEEL_LIMIT", wheel.stat().st_size)
    monkeypatch.setattr(build_wheel, "INSTALLED_LIMIT", 5000)
    assert build_wheel.check_sizes(wheel).endswith(" bytes, 5,000 installed")
    monkeypatch.setattr(build_wheel, "INSTALLED_LIMIT", 4999)
    with pytest.raises(build_wheel.CheckError, match="5,000 installed"):
        build_wheel.check_sizes(wheel)
    monkeypatch.setattr(build_wheel, "INSTALLED_LIMIT", 5000)
    monkeypatch.setattr(build_wheel, "WHEEL_LIMIT", wheel.stat().st_size - 1)
    with pytest.raises(build_wheel.CheckError, match="the limits are"):
        build_wheel.check_sizes(wheel)


def test_a_wheel_that_is_deflated_anew_has_the_same_files(tmp_path):
    def made(name, text="text", date=(2020, 1, 1, 0, 0, 0), mode=0o644, method=zipfile.ZIP_STORED):
        entry = zipfile.ZipInfo("a.py", date)
        entry.external_attr, entry.compress_type = mode << 16, method
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(entry, text)
        return tmp_path / name

    first = made("first.whl")
    build_wheel.check_files(first, made("same.whl", method=zipfile.ZIP_DEFLATED))
    for other in (
        made("text.whl", text="other"),
        made("date.whl", date=(2020, 1, 2, 0, 0, 0)),
        made("mode.whl", mode=0o755),
        wheel_of(tmp_path, [4]),
    ):
        with pytest.raises(build_wheel.CheckError, match="differ"):
            build_wheel.check_files(first, other)
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(first.read_bytes().replace(b"text", b"tExt"))
    with pytest.raises(build_wheel.CheckError, match=r"a\.py is damaged"):
        build_wheel.check_files(first, damaged)


def test_a_wheel_that_is_deflated_anew_names_no_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "old.whl", "w") as archive:
        archive.mkdir("a")
        archive.writestr("a/b.py", "text")
    new = build_wheel.deflated(tmp_path / "old.whl", tmp_path / "new")
    with zipfile.ZipFile(new) as archive:
        assert archive.namelist() == ["a/b.py"]
        assert archive.read("a/b.py") == b"text"


def test_a_compiler_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(build_wheel.CheckError, match="musl-gcc was not found"):
        build_wheel.environment_for(build_wheel.TARGETS["musl"])


def test_a_tool_that_fails_says_what_it_said():
    program = "print('a reason'); raise SystemExit(3)"
    with pytest.raises(build_wheel.CheckError, match="failed:\na reason"):
        build_wheel.quietly([sys.executable, "-c", program])


def test_two_builds_that_differ_are_refused(tmp_path):
    wheels = []
    for number, name in enumerate([NATIVE, NATIVE, NATIVE, NATIVE.replace("1.0", "1.1")]):
        wheels.append(tmp_path / str(number) / name)
        wheels[-1].parent.mkdir()
        wheels[-1].write_bytes(b"2" if number == 2 else b"1")
    build_wheel.check_same(wheels[0], wheels[1])
    for other in wheels[2:]:
        with pytest.raises(build_wheel.CheckError, match="two builds differ"):
            build_wheel.check_same(wheels[0], other)


def test_the_oldest_releases_are_those_that_are_allowed():
    text = '[project]\ndependencies = ["numpy>=1.26", "scipy>=1.11", "one-more>=0.5.1"]'
    assert try_wheel.oldest(text) == ["numpy==1.26.*", "scipy==1.11.*", "one-more==0.5.1.*"]
    with pytest.raises(ValueError, match="NAME>=VERSION"):
        try_wheel.oldest('[project]\ndependencies = ["numpy>=1.26,<3"]')
    pinned = try_wheel.oldest((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"numpy==1.26.*", "scipy==1.11.*"} <= set(pinned)


def test_what_the_tests_need_is_known_by_name():
    text = '[project.optional-dependencies]\ntest = ["one-more>=2", "pyfive>=1.2,<1.4"]'
    found = try_wheel.needed_by_tests(text)
    assert found == {"one-more": "one-more>=2", "pyfive": "pyfive>=1.2,<1.4"}


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a program of a shell")
def test_what_has_no_wheel_is_left_out(tmp_path):
    """A stand-in for an interpreter whose pip finds no `other`, nor what is together with it."""
    log = tmp_path / "log"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {log}\ncase "$*" in *other*) exit 1;; esac\n')
    python.chmod(0o755)
    assert try_wheel.install(str(python), "a.whl", [], {"one": "one>=1"}, os.environ) == []
    needed = {"one": "one>=1", "other": "other>=2", "more": "more"}
    assert try_wheel.install(str(python), "a.whl", [], needed, os.environ) == ["other"]
    asked = [line.partition(":all: ")[2] for line in log.read_text().splitlines()]
    together = "a.whl one>=1 other>=2 more"
    alone = ["a.whl one>=1", "a.whl other>=2", "a.whl more"]
    assert asked == ["a.whl one>=1", together, "a.whl", *alone]


def test_tests_without_what_was_left_out_are_skipped(tmp_path):
    (tmp_path / "test_import.py").write_text("import absent_1\n")
    (tmp_path / "test_more.py").write_text(
        "import pytest\n"
        "def test_in_a_test():\n    import absent_2\n"
        "def test_said_by_another():\n"
        "    try:\n        import absent_2\n"
        "    except ImportError as error:\n        raise RuntimeError('no file') from error\n"
        "def test_that_fails():\n    assert 'absent_1' == 'absent_2'\n"
        "def test_without_another():\n    import absent_3\n"
        "def test_that_passes():\n    pass\n"
    )
    paths = [str(CHECKOUT / "tools")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "left_out", "-p", "no:cacheprovider", "."],
        env=os.environ | {"LEFT_OUT": "absent_1,absent_2", "PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 failed, 1 passed, 3 skipped" in done.stdout, done.stdout


def test_pythons_that_run(tmp_path):
    assert try_wheel.runs(sys.executable)
    assert not try_wheel.runs(str(tmp_path / "python3.11"))
    selects = tmp_path / "python3.12"
    selects.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    selects.chmod(0o755)
    assert os.name == "nt" or not try_wheel.runs(str(selects))


def test_a_wheel_that_is_not_there_is_said_before_anything_is_installed(tmp_path):
    command = [sys.executable, CHECKOUT / "tools/try_wheel.py", tmp_path / "none.whl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no wheel" in done.stderr


def test_tests_for_the_emulator_exist():
    for path, _, name in (test.partition("::") for test in try_wheel_aarch64.TESTS):
        assert f"def {name}" in (CHECKOUT / path).read_text(encoding="utf-8")


def test_pythons_are_the_same_everywhere():
    """Those that a wheel is tried with, that cibuildwheel tests, and that the workflow tests."""
    built = PYPROJECT["tool"]["cibuildwheel"]["build"]
    plain = [f"cp{version.replace('.', '')}-*" for version in try_wheel.SUPPORTED]
    assert [name for name in built if "t" not in name] == plain
    free = {re.sub(r"cp(\d)(\d+t)-\*", r"\1.\2", name) for name in built if "t" in name}
    matrix = WORKFLOWS["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert set(matrix) == {*try_wheel.SUPPORTED, *free}
    first = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert try_wheel.SUPPORTED[0] == first
    assert RECIPE["build"]["skip"] == f'match(python, "<{first}")'
    limited = f"0x03{int(first.split('.')[1]):02x}0000"
    setup = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    assert f'"Py_LIMITED_API", "{limited}"' in setup
    assert f'{{"py_limited_api": "cp{first.replace(".", "")}"}}' in setup


def test_the_date_in_wheels_is_one():
    given = PYPROJECT["tool"]["cibuildwheel"]["environment"]
    assert given == {"SOURCE_DATE_EPOCH": build_wheel.EPOCH}


def spaced(requirements):
    """Requirements as conda writes them, in lower case."""
    return {re.sub(r"(?<=\w)(?=[<>=])", " ", r, count=1).lower() for r in requirements}


def test_the_recipe_is_what_pyproject_says():
    project = PYPROJECT["project"]
    assert RECIPE["context"]["version"] == cylstm.__version__
    assert set(RECIPE["requirements"]["run"]) == {"python", *spaced(project["dependencies"])}
    building = spaced(PYPROJECT["build-system"]["requires"])
    assert set(RECIPE["requirements"]["host"]) == {"python", "pip", *building}
    (cross,) = [entry for entry in RECIPE["requirements"]["build"] if isinstance(entry, dict)]
    assert {r for r in cross["then"] if " >=" in r} < building
    assert (RECIPE["about"]["summary"], RECIPE["about"]["license"]) == (
        project["description"],
        project["license"],
    )


def test_workflows_call_what_exists():
    """Scripts and extras in the commands of workflows; everything is published that is built."""
    steps = [
        step
        for workflow in WORKFLOWS.values()
        for job in workflow["jobs"].values()
        for step in job["steps"]
    ]
    commands = "\n".join(step.get("run", "") for step in steps)
    scripts = re.findall(r"(?:^|python )((?:tools|\.ci)/\S+)", commands, re.MULTILINE)
    assert {"tools/build_wheel.py", "tools/try_wheel.py", ".ci/run"} == set(scripts)
    extras = set(re.findall(r"\[(\w+)\]'", commands))
    assert extras <= set(PYPROJECT["project"]["optional-dependencies"])
    assert extras >= {"test", "wheel"}
    jobs = WORKFLOWS["wheels"]["jobs"]
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
