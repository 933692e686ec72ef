"""Build of the compiled core; everything else is declared in pyproject.toml.

By default the extension is built for CPython's limited API of 3.11, so that one wheel serves 3.11
and every later version. Three switches, environment variables, are meant for developers:

CYLSTM_DEBUG=1
    No optimisation, C assertions on, debug information kept.
CYLSTM_SANITIZE=address,undefined
    Instrument with these sanitizers of the compiler (``thread`` likewise).
CYLSTM_COVERAGE=1
    Instrument for gcov, with lines that point into the Cython source.
"""

import os
import sys
import sysconfig
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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
        return ["-O3", "-g0", *arguments]
    arguments += ["-g", "-UNDEBUG", "-O0" if DEBUG or COVERAGE else "-O1"]
    if COVERAGE:
        arguments.append("--coverage")
    if SANITIZERS:
        # Python's own flags define signed overflow, which the sanitizer is to find
        arguments += [f"-fsanitize={SANITIZERS}", "-fno-omit-frame-pointer", "-fno-wrapv"]
    return arguments


def link_arguments():
    arguments = []
    if RELEASE and sys.platform.startswith("linux"):
        arguments.append("-Wl,-s")
    if COVERAGE:
        arguments.append("--coverage")
    if SANITIZERS:
        arguments.append(f"-fsanitize={SANITIZERS}")
    return arguments


class BuildExt(build_ext):
    """Adds the flags above and keeps the library folder of the building Python out of the wheel."""

    def build_extensions(self):
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
        super().build_extensions()


core = Extension(
    "cylstm._core",
    sources=["cylstm/_core.pyx", *sorted(glob("cylstm/_simd/*.c"))],
    include_dirs=["cylstm"],
    depends=[*sorted(glob("cylstm/*.px[di]")), *sorted(glob("cylstm/_simd/*.h"))],
    define_macros=[("Py_LIMITED_API", "0x030b0000")] if STABLE_ABI else [],
    py_limited_api=STABLE_ABI,
)
core.cython_c_in_temp = True  # the generated C stays in the build folder
core.cython_line_directives = COVERAGE

# Objects are reused by name and date, whatever flags they were compiled with: always compile anew.
options = {"build_ext": {"force": True}}
if STABLE_ABI:
    options["bdist_wheel"] = {"py_limited_api": "cp311"}

setup(ext_modules=[core], cmdclass={"build_ext": BuildExt}, options=options)
