"""Writes `builtins.txt`: what `dir()` answers for classes of the standard library.

Only classes whose instances have no further attributes: those that set some in `__init__` would
be told incompletely. Run it with the newest CPython that is supported: `python3 builtins.py > builtins.txt`.
"""

import abc
import builtins
import collections
import collections.abc
import contextlib
import decimal
import datetime
import enum
import io
import numbers
import pathlib
import typing

MODULES = [
    abc, builtins, collections, collections.abc, contextlib, datetime, decimal, enum, io, numbers,
    pathlib, typing,
]
UNTOLD = {"contextlib.ExitStack", "contextlib.AsyncExitStack", "enum.property", "enum.auto"}
# Hidden by metaclasses, or descriptors that `dir()` leaves out.
MORE = {
    "enum.Enum": ["name", "value", "_name_", "_value_", "_missing_", "_generate_next_value_", "_sort_order_"],
    "BaseException": ["__notes__", "add_note"],
    "object": ["__dict__", "__weakref__", "__module__", "__annotations__", "__slots__"],
    "type": ["__name__", "__qualname__", "__bases__", "__mro__", "mro", "__subclasses__", "__dict__"],
}

own = set(dir(object))
print("functions:", " ".join(sorted(n for n in vars(builtins) if not isinstance(getattr(builtins, n), type))))
for module in MODULES:
    for name, value in sorted(vars(module).items()):
        if not isinstance(value, type) or name.startswith("_"):
            continue
        full = name if module is builtins else f"{module.__name__}.{name}"
        if full in UNTOLD:
            continue
        attributes = set(dir(value)) - (own if full != "object" else set())
        for base in value.__mro__:
            base_name = base.__name__ if base.__module__ == "builtins" else f"{base.__module__}.{base.__name__}"
            attributes.update(MORE.get(base_name, []) if base_name not in ("object", "type") else [])
        attributes.update(MORE.get(full, []))
        print(f"{full}: {' '.join(sorted(attributes))}".rstrip())
