"""Names, configs and custom objects: one mechanism for every module that has them.

A module with named things (activations, initializers, layers, ...) keeps one `Registry` and lets
its public `get`, `serialize` and `deserialize` call it. Classes that can be rebuilt from a config
derive from `Configurable`, which reads the list of arguments from the signature of `__init__`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cylstm._arguments import NamedArguments, near

__all__ = [
    "Configurable",
    "CustomObjectScope",
    "Registry",
    "custom_object_scope",
    "deserialize_object",
    "get_custom_objects",
    "serialize_object",
]

_GLOBAL_OBJECTS: dict[str, Any] = {}

# A context variable and not the plain dictionary, so that two threads that load models with custom
# objects of one name do not see each other's.
_custom_objects: ContextVar[dict[str, Any]] = ContextVar("custom_objects", default=_GLOBAL_OBJECTS)


def get_custom_objects() -> dict[str, Any]:
    """Return the dictionary of custom names: changes to it take effect at once.

    Within a `custom_object_scope` it is the dictionary of that scope, and changes end with it.

    Returns
    -------
    dict
        Name to class or function.

    Examples
    --------
    >>> from cylstm import activations
    >>> from cylstm.utils import get_custom_objects
    >>> def double(x):
    ...     return 2 * x
    >>> get_custom_objects()["double"] = double
    >>> activations.get("double") is double
    True
    >>> get_custom_objects().clear()
    """
    return _custom_objects.get()


class CustomObjectScope:
    """Make custom names known to `get` and `deserialize` within a `with` statement.

    A scope belongs to the thread (to the `contextvars` context) that entered it.

    Parameters
    ----------
    *custom_objects : dict
        Name to class or function. Later dictionaries win over earlier ones.

    Raises
    ------
    TypeError
        If an argument is not a dictionary.

    Examples
    --------
    >>> from cylstm import activations
    >>> from cylstm.utils import CustomObjectScope
    >>> def double(x):
    ...     return 2 * x
    >>> with CustomObjectScope({"double": double}):
    ...     activations.get("double") is double
    True
    """

    def __init__(self, *custom_objects: Mapping[str, Any]) -> None:
        for objects in custom_objects:
            if not isinstance(objects, Mapping):
                raise TypeError(
                    f"custom objects are given as a dict of names, got {objects!r}; "
                    "write {'MyName': MyClass}"
                )
        self.custom_objects = custom_objects
        self._tokens: list[Token[dict[str, Any]]] = []

    def __enter__(self) -> Self:
        known = dict(get_custom_objects())
        for objects in self.custom_objects:
            known.update(objects)
        self._tokens.append(_custom_objects.set(known))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _custom_objects.reset(self._tokens.pop())


def custom_object_scope(*custom_objects: Mapping[str, Any]) -> CustomObjectScope:
    """Return a `CustomObjectScope` for a `with` statement.

    Parameters
    ----------
    *custom_objects : dict
        Name to class or function.

    Returns
    -------
    CustomObjectScope
        A context manager.

    Examples
    --------
    >>> from cylstm import initializers
    >>> from cylstm.utils import custom_object_scope
    >>> class Halves(initializers.Constant):
    ...     def __init__(self, dtype="float32"):
    ...         super().__init__(0.5, dtype)
    >>> with custom_object_scope({"Halves": Halves}):
    ...     initializers.get("Halves")((3,)).tolist()
    [0.5, 0.5, 0.5]
    """
    return CustomObjectScope(*custom_objects)


def serialize_object(instance: Any) -> Any:
    """Turn an object or a function into what a config stores for it.

    Parameters
    ----------
    instance : object
        None, something with `get_config`, or something with a `__name__`.

    Returns
    -------
    None, dict or str
        `{"class_name": ..., "config": ...}` for an object with `get_config`, the name of a
        function.

    Raises
    ------
    ValueError
        If the object has neither.

    Examples
    --------
    >>> from cylstm import regularizers
    >>> from cylstm.utils import serialize_keras_object
    >>> serialize_keras_object(regularizers.l2(0.5))
    {'class_name': 'L1L2', 'config': {'l1': 0.0, 'l2': 0.5}}
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        return {"class_name": type(instance).__name__, "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return instance.__name__
    raise ValueError(
        f"cannot serialize {instance!r}: it has no get_config() and no __name__; "
        "give its class a get_config(), or use a function defined with def"
    )


def deserialize_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """Find a function by its name, or build an object from its config.

    Parameters
    ----------
    identifier : str or dict
        A name, or `{"class_name": ..., "config": {...}}`.
    module_objects : dict, optional
        Name to class or function: the built-in ones.
    custom_objects : dict, optional
        Further names, which win over `get_custom_objects()` and the built-in ones.
    printable_module_name : str, default "object"
        What to call the thing in an error.

    Returns
    -------
    object
        What has the name; for a config, what its class (or function) makes of the config.

    Raises
    ------
    ValueError
        If the name is unknown or the identifier is neither a name nor a config.

    Examples
    --------
    >>> from cylstm.utils import deserialize_keras_object
    >>> deserialize_keras_object({"class_name": "complex", "config": {"real": 1, "imag": 2}},
    ...                          module_objects={"complex": complex})
    (1+2j)
    """
    kind = printable_module_name
    known = [custom_objects or {}, get_custom_objects(), module_objects or {}]
    if isinstance(identifier, str):
        return _named(identifier, known, kind)
    if not isinstance(identifier, Mapping):
        raise ValueError(
            f"could not interpret serialized {kind}: {identifier!r}; "
            'expected a name or {"class_name": ..., "config": {...}}'
        )
    if not isinstance(identifier.get("config"), Mapping) or "class_name" not in identifier:
        raise ValueError(
            f"improper config format of {kind}: {identifier!r}; "
            'expected {"class_name": ..., "config": {...}}'
        )
    make = _named(identifier["class_name"], known, kind)
    config = dict(identifier["config"])
    with CustomObjectScope(custom_objects or {}):
        from_config = getattr(make, "from_config", None)
        if from_config is None:
            return make(**config)
        if "custom_objects" in inspect.signature(from_config).parameters:
            return from_config(config, custom_objects=dict(get_custom_objects()))
        return from_config(config)


def _named(name: object, known: Sequence[Mapping[str, Any]], kind: str) -> Any:
    """Look a name up, or say which known names are like it; the first mapping that has it wins."""
    if isinstance(name, str):
        for objects in known:
            if name in objects:
                return objects[name]
    raise ValueError(unknown_name_message(kind, name, [n for objects in known for n in objects]))


def unknown_name_message(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the text of the error about an unknown name, with the known names most like it."""
    names = {known_name.lower(): known_name for known_name in known}
    found = near(name, known)
    hint = ""
    if found:
        hint = "did you mean " + " or ".join(map(repr, found)) + "? "
    elif names:
        hint = "known are " + ", ".join(sorted(names.values())) + ". "
    return (
        f"unknown {kind}: {name!r}; {hint}"
        "A name of your own is made known by custom_objects or custom_object_scope."
    )


if TYPE_CHECKING:
    from typing import Protocol, TypeVar, overload

    _Found = TypeVar("_Found", covariant=True)

    class Get(Protocol[_Found]):
        """`Registry.get` as the public function of a module, where None is an error."""

        def __call__(self, identifier: Any) -> _Found: ...

    class GetOptional(Protocol[_Found]):
        """The same, where None stands for nothing."""

        @overload
        def __call__(self, identifier: None) -> None: ...
        @overload
        def __call__(self, identifier: Any) -> _Found: ...

    class Serialize(Protocol):
        """`Registry.serialize` as the public function of a module."""

        def __call__(self, instance: Any) -> Any: ...

    class Deserialize(Protocol[_Found]):
        """`Registry.deserialize` as the public function of a module."""

        def __call__(
            self, config: Any, custom_objects: Mapping[str, Any] | None = None
        ) -> _Found: ...


_REQUIRED = object()


class Registry:
    """The names of one kind of thing, with `get`, `serialize` and `deserialize`.

    Parameters
    ----------
    kind : str
        What the things are called in errors, such as "activation".
    objects : dict
        Name to class or function.
    aliases : dict, optional
        Further name to name in `objects`.
    instantiate : bool, default True
        Whether `get` calls what has the name (classes, and functions that return instances), or
        returns it as it is (activations, losses, metrics).
    default : object, optional
        What `get(None)` returns; without it None is an error.
    base : type, optional
        Where given, `get` returns instances of it unchanged, and refuses other callables.
    ignore_case : bool, default False
        Whether "ADAM" is "Adam".

    Examples
    --------
    >>> registry = Registry("shape", {"Square": dict}, {"quad": "Square"})
    >>> registry.get("quad")
    {}
    >>> registry.deserialize({"class_name": "Square", "config": {"side": 3}})
    {'side': 3}
    """

    def __init__(
        self,
        kind: str,
        objects: Mapping[str, Any],
        aliases: Mapping[str, str] | None = None,
        *,
        instantiate: bool = True,
        default: Any = _REQUIRED,
        base: type | None = None,
        ignore_case: bool = False,
    ) -> None:
        self.kind = kind
        self.objects = dict(objects)
        self.aliases = dict(aliases or {})
        self.instantiate = instantiate
        self.default = default
        self.base = base
        self.ignore_case = ignore_case
        self._names = self.objects | {a: self.objects[name] for a, name in self.aliases.items()}
        self._spelling = {name.lower(): name for name in self._names}

    @property
    def names(self) -> list[str]:
        """The names that `get` knows, aliases included."""
        return list(self._names)

    def get(self, identifier: Any) -> Any:
        """Return what a name, a config or a callable stands for.

        Parameters
        ----------
        identifier : str, dict, callable or None
            A name; a config `{"class_name": ..., "config": {...}}`; a class, which is instantiated
            without arguments; or another callable, which is returned unchanged. None is accepted
            where something is optional.

        Returns
        -------
        object
            The instance or function.

        Raises
        ------
        ValueError
            If the name is unknown, or the identifier is of another type.

        Examples
        --------
        >>> from cylstm import activations, constraints, regularizers
        >>> activations.get("tanh") is activations.tanh
        True
        >>> regularizers.get("l2")
        L1L2(l1=0.0, l2=0.01)
        >>> constraints.get({"class_name": "MaxNorm", "config": {"max_value": 3}})
        MaxNorm(max_value=3, axis=0)
        """
        if identifier is None and self.default is not _REQUIRED:
            return self.default
        if isinstance(identifier, Mapping):
            return self.deserialize(identifier)
        if isinstance(identifier, str):
            if self.instantiate:
                return self.deserialize({"class_name": identifier, "config": {}})
            return self.deserialize(identifier)
        if inspect.isclass(identifier) and self.instantiate:
            return identifier()
        if callable(identifier) if self.base is None else isinstance(identifier, self.base):
            return identifier
        raise ValueError(
            f"could not interpret {self.kind} identifier: {identifier!r}; expected a name, a "
            f"config or {'a callable' if self.base is None else 'an instance'}"
        )

    def serialize(self, instance: Any) -> Any:
        """Return the config of an object, or the name of a function.

        Parameters
        ----------
        instance : object
            Something with `get_config` or a `__name__`, or None.

        Returns
        -------
        dict, str or None
            What `deserialize` takes; JSON can hold it.

        Raises
        ------
        ValueError
            If the object has neither.

        Examples
        --------
        >>> from cylstm import activations, initializers
        >>> initializers.serialize(initializers.Identity(0.5))
        {'class_name': 'Identity', 'config': {'gain': 0.5, 'dtype': 'float32'}}
        >>> activations.serialize(activations.hard_sigmoid)
        'hard_sigmoid'
        """
        return serialize_object(instance)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Return what a name or config stands for.

        Parameters
        ----------
        config : dict or str
            What `serialize` returned, in this or another version of Keras 2.
        custom_objects : dict, optional
            Name to class or function, for what the package does not have; see also
            `cylstm.utils.custom_object_scope`.

        Returns
        -------
        object
            The instance or function.

        Raises
        ------
        ValueError
            If the name is unknown or the config has another form.
        TypeError
            If the config names an argument that the class does not have.

        Examples
        --------
        >>> from cylstm import activations, regularizers
        >>> regularizers.deserialize({"class_name": "L1L2", "config": {"l1": 0.5}})
        L1L2(l1=0.5, l2=0.0)
        >>> activations.deserialize("double", {"double": lambda x: 2 * x})(4)
        8
        """
        if self.ignore_case:
            config = self._respelled(config, custom_objects or {})
        return deserialize_object(config, self._names, custom_objects, self.kind)

    def _respelled(self, config: Any, custom_objects: Mapping[str, Any]) -> Any:
        """Spell a built-in name as it is registered; leave the custom names alone."""
        name = config.get("class_name") if isinstance(config, Mapping) else config
        if not isinstance(name, str) or name in custom_objects or name in get_custom_objects():
            return config
        spelled = self._spelling.get(name.lower(), name)
        return {**config, "class_name": spelled} if isinstance(config, Mapping) else spelled


class Configurable(NamedArguments):
    """Base of classes whose config is what their constructor was given.

    `__init__` stores each argument under its own name; `get_config` reads the names from the
    signature, so that no second list of arguments exists.

    Examples
    --------
    >>> class Scale(Configurable):
    ...     def __init__(self, factor=2.0, axis=None):
    ...         self.factor = factor
    ...         self.axis = axis
    >>> Scale(factor=3.0)
    Scale(factor=3.0, axis=None)
    >>> Scale.from_config(Scale(factor=3.0).get_config()).factor
    3.0
    """

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the object, as values that JSON can hold.

        Returns
        -------
        dict
            Argument name to value.
        """
        return {name: plain(getattr(self, name)) for name in argument_names(type(self))}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build the object that a config describes.

        Parameters
        ----------
        config : dict
            What `get_config` returned. Missing arguments take their defaults.

        Returns
        -------
        Configurable
            A new instance.

        Raises
        ------
        TypeError
            If the config names an argument that the class does not have.
        """
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def argument_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the arguments of the ``__init__`` of a class, without `*args` and `**kwargs`."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind not in variadic)


def plain(value: Any) -> Any:
    """Turn NumPy scalars and arrays into Python numbers and lists."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
