"""The public names of the package with their signatures, as recorded in data/public_names.txt.

python tests/public_names.py      # writes the record anew
python tests/public_names.py -    # prints what it would be

Without CYLSTM_TORCH=1, modules that need PyTorch keep the part of the record that they have.

A name is recorded in full once: where it is defined, if that module is public. Elsewhere it is said
what it is the same as. Of a class those members are recorded that it defines itself.
"""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

from with_torch import NEEDING_IT, importable

import cylstm

RECORD = Path(__file__).parent / "data" / "public_names.txt"
SPECIAL = ("__call__", "__enter__", "__exit__", "__getitem__", "__iter__", "__len__")


def public_modules():
    """Every module whose name has no underscore in front of any part, by name."""
    names = ["cylstm", *(m.name for m in pkgutil.walk_packages(cylstm.__path__, "cylstm."))]
    return {n: importlib.import_module(n) for n in importable(sorted(names)) if "._" not in n}


def record():
    """The text of the record."""
    modules = public_modules()
    homes = homes_of(modules)
    lines = []
    for module_name in sorted({*modules, *NEEDING_IT}):
        lines += ["", module_name]
        if module_name not in modules:
            lines += recorded(module_name)
            continue
        module = modules[module_name]
        for name in sorted(module.__all__):
            value = getattr(module, name)
            home = homes.get(id(value), (module_name, name))
            if home == (module_name, name):
                lines += ["    " + line for line in described(name, value)]
            else:
                place = home[1] if home[0] == module_name else ".".join(home)
                lines.append(f"    {name} = {place}")
    return "\n".join(lines[1:]) + "\n"


def recorded(module_name):
    """The lines of a module in the record as it stands."""
    text = RECORD.read_text(encoding="utf-8")
    return text.partition(f"\n{module_name}\n")[2].partition("\n\n")[0].splitlines()


def homes_of(modules):
    """Of each class and function by identity, the module and the name that it is recorded under."""
    found = {}
    for module_name, module in modules.items():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                foreign = getattr(value, "__module__", None) != module_name
                renamed = getattr(value, "__name__", None) != name
                found.setdefault(id(value), []).append(
                    (foreign, renamed, module_name.count("."), module_name, name)
                )
    return {identity: min(places)[3:] for identity, places in found.items()}


def described(name, value):
    """The lines of one name."""
    if inspect.ismodule(value):
        return [f"{name}: module"]
    if inspect.isclass(value):
        return described_class(name, value)
    if inspect.isroutine(value):
        return [f"def {name}{signature(value)}"]
    return [f"{name}: {type(value).__name__}"]


def described_class(name, cls):
    bases = [base.__name__ for base in cls.__bases__ if base is not object]
    ours = [base for base in cls.__mro__ if base.__module__.split(".")[0] == "cylstm"]
    made = any({"__init__", "__new__"} & set(vars(base)) for base in ours)
    lines = [f"class {name}({', '.join(bases)})" + (f": {signature(cls)}" if made else "")]
    for member in sorted(vars(cls)):
        if member[0] != "_" or member in SPECIAL:
            lines.append("    " + described_member(member, inspect.getattr_static(cls, member)))
    return lines


def described_member(name, value):
    if isinstance(value, property):
        returned = inspect.signature(value.fget).return_annotation
        return f"property {name}: {shown(returned)}" + (", to be set" if value.fset else "")
    if isinstance(value, classmethod | staticmethod):
        return f"{type(value).__name__} {name}{signature(value.__func__)}"
    if inspect.isfunction(value):
        return f"def {name}{signature(value)}"
    if isinstance(value, bool | int | float | str | tuple | None):
        return f"{name} = {value!r}"
    slot = inspect.isdatadescriptor(value) and not hasattr(value, "__dict__")
    return name if slot else f"{name}: {type(value).__name__}"


def signature(function):
    """Parameters and result, without quotes around annotations and addresses of defaults."""
    found = inspect.signature(function)
    parameters = [p.replace(annotation=shown(p.annotation)) for p in found.parameters.values()]
    text = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    text = re.sub(r"<(\w+) ([\w.<>]+) at 0x\w+>", r"<\1 \2>", text)
    returned = found.return_annotation
    return text if returned is found.empty else f"{text} -> {shown(returned)}"


class Shown(str):
    """An annotation as it is written."""

    def __repr__(self):
        return str(self)


def shown(annotation):
    if annotation is inspect.Parameter.empty:
        return annotation
    if isinstance(annotation, str):
        return Shown(annotation)
    return Shown(annotation.__name__ if inspect.isclass(annotation) else annotation)


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.buffer.write(record().encode())
    else:
        RECORD.write_text(record(), encoding="utf-8")
