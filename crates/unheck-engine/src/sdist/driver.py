"""Runs one PEP 517 hook in the sandbox: reads /in/request.json, answers in /out/answer.json."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import traceback

WHEELS = "/out/wheels"
METADATA = "/out/metadata"
SOURCE = "/src"


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


def prepare(request):
    # The crates of a Rust project, for a cargo that has no network.
    if os.path.exists("/in/cargo.toml"):
        home = os.environ["CARGO_HOME"]
        os.makedirs(home, exist_ok=True)
        shutil.copyfile("/in/cargo.toml", os.path.join(home, "config.toml"))
    # The user's own steps, as configured, before the backend sees the source tree.
    for line in request["script"]:
        subprocess.run(["/bin/sh", "-ec", line], check=True, stdin=subprocess.DEVNULL)


def call(backend, request):
    settings = request["config_settings"] or None
    if request["hook"] == "get_requires_for_build_wheel":
        hook = getattr(backend, request["hook"], None)
        answer(requires=[str(one) for one in hook(settings)] if hook else [])
    elif request["hook"] == "prepare_metadata_for_build_wheel":
        hook = getattr(backend, request["hook"], None)
        os.mkdir(METADATA)
        answer(metadata=str(hook(METADATA, settings)) if hook else "")
    else:
        os.mkdir(WHEELS)
        answer(wheel=str(backend.build_wheel(WHEELS, settings, None)))


def main():
    global SOURCE
    os.umask(0o022)
    with open("/in/request.json", encoding="utf-8") as file:
        request = json.load(file)
    SOURCE = os.path.normpath(os.path.join(SOURCE, request["subdirectory"]))
    os.chdir(SOURCE)
    sys.argv = ["setup.py"]
    try:
        prepare(request)
    except BaseException:
        answer(failed="script", trace=traceback.format_exc())
        raise
    try:
        backend = load(request)
    except BaseException:
        answer(failed="import", trace=traceback.format_exc())
        raise
    try:
        call(backend, request)
    except BaseException:
        answer(failed="hook", trace=traceback.format_exc())
        raise


main()
