"""Runs one PEP 517 hook in the sandbox: reads /in/request.json, answers in /out/answer.json."""

import importlib
import json
import os
import sys
import traceback

SOURCE = "/src"
WHEELS = "/out/wheels"


def answer(**fields):
    with open("/out/answer.json", "w", encoding="utf-8") as file:
        json.dump(fields, file)


def load(request):
    # The directory of this file is of no use to a backend; the project's own is only where the
    # project says so (PEP 517, in-tree build backends).
    del sys.path[0]
    in_tree = []
    for name in request["backend_path"]:
        path = os.path.realpath(os.path.join(SOURCE, name))
        if path != SOURCE and not path.startswith(SOURCE + os.sep):
            raise ImportError(f"`backend-path` {name!r} leads out of the project")
        in_tree.append(path)
    sys.path[:0] = in_tree
    module, _, attributes = request["backend"].partition(":")
    backend = importlib.import_module(module)
    origin = os.path.realpath(getattr(backend, "__file__", None) or "/")
    if in_tree and not any(origin.startswith(path + os.sep) for path in in_tree):
        raise ImportError(f"{module!r} is not in `backend-path` but comes from {origin!r}")
    for attribute in filter(None, attributes.split(".")):
        backend = getattr(backend, attribute)
    return backend


def main():
    os.umask(0o022)
    with open("/in/request.json", encoding="utf-8") as file:
        request = json.load(file)
    os.chdir(SOURCE)
    sys.argv = ["setup.py"]
    try:
        backend = load(request)
    except BaseException:
        answer(failed="import", trace=traceback.format_exc())
        raise
    try:
        if request["hook"] == "get_requires_for_build_wheel":
            hook = getattr(backend, request["hook"], None)
            answer(requires=[str(one) for one in hook(None)] if hook else [])
        else:
            os.mkdir(WHEELS)
            answer(wheel=str(backend.build_wheel(WHEELS, None, None)))
    except BaseException:
        answer(failed="hook", trace=traceback.format_exc())
        raise


main()
