"""Runs pip and uv inside an image that has them; the host needs neither, nor a Python."""

import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SITE = "/tmp/site"


def call(*command):
    subprocess.run(command, check=True, stdout=sys.stderr)


def install(tool):
    """Installs what the lock names, as the tool itself understands it."""
    lock = shutil.copy(HERE / "lock.txt", "/tmp/pylock.live.toml")
    tools = {"pip": [sys.executable, "-m", "pip"], "uv": ["uv", "pip"]}
    call(*tools[tool], "install", "--target", SITE, "-r", lock)
    found = importlib.metadata.distributions(path=[SITE])
    installed = {re.sub("[-_.]+", "-", one.name).lower(): one.version for one in found}
    code = "import fastapi, uvicorn, pydantic_core, uvloop, yaml"
    imports = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": SITE})
    print(json.dumps({"installed": installed, "imports": imports.returncode == 0}))


def lock():
    """Locks a project with uv, and gives back every form in which uv writes that down."""
    shutil.copytree(HERE / "project", "/tmp/project")
    os.chdir("/tmp/project")
    call("uv", "lock")
    found = {"uv.lock": pathlib.Path("uv.lock").read_text()}
    for name, form in {"requirements.txt": "requirements.txt", "pylock.toml": "pylock.toml"}.items():
        path = pathlib.Path("/tmp", name)
        call("uv", "export", "--frozen", "--no-emit-project", "--format", form, "-o", str(path))
        found[name] = path.read_text()
    print(json.dumps(found))


def main():
    os.environ.update(HOME="/tmp", UV_CACHE_DIR="/tmp/cache", UV_PYTHON_DOWNLOADS="never")
    authorities = HERE / "authorities.crt"
    if authorities.exists():
        os.environ.update(SSL_CERT_FILE=str(authorities), PIP_CERT=str(authorities))
    if sys.argv[1:2] == ["install"]:
        install(sys.argv[2])
    elif sys.argv[1:2] == ["lock"]:
        lock()
    else:
        print(__doc__)


if __name__ == "__main__":
    main()
