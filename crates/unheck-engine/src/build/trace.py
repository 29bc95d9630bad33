"""Records the files that a Python process opens; on PYTHONPATH as sitecustomize."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def start():
    name = os.path.join(HERE, "out", "%d" % os.getpid())
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    state = {"file": os.open(name, flags, 0o666), "busy": False}
    seen = set()

    def note(path):
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or not path or path in seen or "\n" in path:
            return
        seen.add(path)
        line = os.fsencode(os.path.abspath(path)) + b"\n"
        try:
            os.write(state["file"], line)
        except OSError:  # the program closed every file that it did not know
            state["file"] = os.open(name, flags, 0o666)
            os.write(state["file"], line)

    def hook(event, args):
        if state["busy"]:
            return
        state["busy"] = True
        try:
            if event == "open":
                note(args[0])
            elif event == "import" and len(args) > 1:
                note(args[1])
        except OSError:
            pass
        finally:
            state["busy"] = False

    for module in list(sys.modules.values()):
        note(getattr(module, "__file__", None))
        note(getattr(getattr(module, "__spec__", None), "origin", None))
    sys.addaudithook(hook)


start()
# What the artifact's own sitecustomize does is done as well.
sys.path[:] = [path for path in sys.path if path != HERE]
sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize  # noqa: F401
except ImportError:
    pass
