"""Build of the compiled core, which is two extensions; pyproject.toml declares everything else.

By default they are built for CPython's limited API of 3.11, so that one wheel serves 3.11
and every later version. Three switches, environment variables, are meant for developers:

CYLSTM_DEBUG=1
    No optimisation, C assertions on, debug information kept.
CYLSTM_SANITIZE=address,undefined
    Instrument with these sanitizers of the compiler (``thread`` likewise).
CYLSTM_COVERAGE=1
    Instrument for gcov, with lines that point into the Cython source.
"""

import os
import re
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

DEBUG = os.environ.get("CYLSTM_DEBUG", "0") not in ("", "0")
COVERAGE = os.environ.get("CYLSTM_COVERAGE", "0") not in ("", "0")
SANITIZERS = os.environ.get("CYLSTM_SANITIZE", "")
RELEASE = not (DEBUG or COVERAGE or SANITIZERS)

# Free-threaded interpreters have no stable ABI before 3.15, and other implementations none at all.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
STABLE_ABI = sys.implementation.name == "cpython" and not FREE_THREADED


def compile_arguments():
    """Flags of compilers that speak GCC's language, later ones overriding those of Python."""
    arguments = ["-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
    if RELEASE:
        # Beside the kernels as fast as -O3, and 27 kB less. Nothing unwinds through C code of ours
        # but the end of a thread, which does without: tables for that would be of no use.
        return ["-Os", "-g0", "-fno-asynchronous-unwind-tables", *arguments]
    arguments += ["-g", "-UNDEBUG", "-O0" if DEBUG or COVERAGE else "-O1"]
    if COVERAGE:
        arguments.append("--coverage")
    if SANITIZERS:
        arguments += [f"-fsanitize={SANITIZERS}", "-fno-omit-frame-pointer"]
    return arguments


def link_arguments():
    arguments = []
    if RELEASE and sys.platform.startswith("linux"):
        # By name, what was compiled of one function for each instruction set comes together: all
        # so alike that a wheel is 60 kB smaller.
        arguments += ["-Wl,-s", "-Wl,--sort-section=name"]
    if COVERAGE:
        arguments.append("--coverage")
    if SANITIZERS:
        arguments.append(f"-fsanitize={SANITIZERS}")
    return arguments


HOW_TO_GET_A_COMPILER = """
  Debian, Ubuntu:  sudo apt install gcc python3-dev
  Fedora:          sudo dnf install gcc python3-devel
  Alpine:          apk add gcc musl-dev python3-dev
  macOS:           xcode-select --install
  Windows:         the Build Tools for Visual Studio, "Desktop development with C++"
  conda:           conda install -c conda-forge c-compiler"""


def what_is_missing(command, include_dirs):
    """Why an extension could not be compiled, if that is plain to see, and what to install."""
    if command is not None and shutil.which(command) is None:
        return f"cylstm needs a C compiler, and {command!r} was not found:{HOW_TO_GET_A_COMPILER}"
    if not any(os.path.exists(os.path.join(path, "Python.h")) for path in include_dirs):
        missing = "the headers of Python, and Python.h was not found"
        return f"cylstm needs {missing}:{HOW_TO_GET_A_COMPILER}"
    return None


class BuildExt(build_ext):
    """Adds the flags above and keeps the library folder of the building Python out of the wheel.

    Where a compiler or Python.h is missing it says so, and what to install.
    """

    def build_extensions(self):
        command = getattr(self.compiler, "compiler_so", [None])[0]
        if command is not None and shutil.which(command) is None:  # before Cython takes its time
            raise PlatformError(what_is_missing(command, self.include_dirs))
        try:
            self.build_them()
        except (CompileError, PlatformError) as error:
            if self.compiler.compiler_type == "msvc" and isinstance(error, PlatformError):
                raise PlatformError(f"{error}{HOW_TO_GET_A_COMPILER}") from error
            reason = what_is_missing(command, self.include_dirs)
            if reason is None:
                raise
            raise PlatformError(reason) from error

    def build_them(self):
        if self.compiler.compiler_type != "msvc":
            for extension in self.extensions:
                extension.extra_compile_args += compile_arguments()
                extension.extra_link_args += link_arguments()
            # A Python built with a shared library in an unusual place links every extension with
            # that place as its run path. The extension needs no libpython; what the user gives in
            # LDFLAGS stays.
            own = (sysconfig.get_config_var("LDSHARED") or "").split()
            run_paths = {a for a in own if a.startswith(("-Wl,-rpath", "-Wl,-R", "-R"))}
            self.compiler.linker_so = [a for a in self.compiler.linker_so if a not in run_paths]
        self.extensions[0].extra_objects = self.compile_kernels(self.extensions[0])
        super().build_extensions()

    def compile_kernels(self, core):
        """kernels.c once for each instruction set and precision, side by side; the objects."""
        names = re.findall(r"F\((\w+),", Path("cylstm/_engine/isa/list.h").read_text())
        pairs = [(name, double) for name in dict.fromkeys(names) for double in (0, 1)]
        arguments = list(core.extra_compile_args)
        if RELEASE and self.compiler.compiler_type != "msvc":
            # A fifth smaller than with -O3, and as fast. The linker sorts sections.
            arguments += ["-O2", "-ffunction-sections"]

        def compile_pair(pair):
            name, double = pair
            return self.compiler.compile(
                ["cylstm/_engine/kernels.c"],
                output_dir=os.path.join(self.build_temp, f"{name}_{double}"),
                macros=[("LSTM_ISA", name), ("LSTM_DOUBLE", str(double))],
                include_dirs=core.include_dirs,
                extra_postargs=arguments,
                depends=core.depends,
            )

        with ThreadPoolExecutor(os.cpu_count()) as executor:
            return [name for names in executor.map(compile_pair, pairs) for name in names]


def extension(name, sources):
    """An extension of the package: each is built with the same flags, for the same ABI."""
    made = Extension(
        f"cylstm.{name}",
        sources=[f"cylstm/{name}.pyx", *sources],
        include_dirs=["cylstm"],
        depends=sorted([*glob("cylstm/*.px[di]"), *glob("cylstm/_engine/**/*.h", recursive=True)]),
        # A wheel is compressed as a whole, where texts that Cython compressed would only be larger.
        define_macros=[
            ("CYTHON_COMPRESS_STRINGS", "0"),
            *([("Py_LIMITED_API", "0x030b0000")] if STABLE_ABI else []),
        ],
        py_limited_api=STABLE_ABI,
    )
    made.cython_c_in_temp = True  # the generated C stays in the build folder
    made.cython_line_directives = COVERAGE
    return made


engine = sorted({*glob("cylstm/_engine/*.c")} - {"cylstm/_engine/kernels.c"})
extensions = [extension("_core", engine), extension("_blas", [])]

# Objects are reused by name and date, whatever flags they were compiled with: always compile anew.
options = {"build_ext": {"force": True}}
if STABLE_ABI:
    options["bdist_wheel"] = {"py_limited_api": "cp311"}

setup(ext_modules=extensions, cmdclass={"build_ext": BuildExt}, options=options)
