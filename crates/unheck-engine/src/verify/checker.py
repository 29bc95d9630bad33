"""Imports modules and loads objects of the root it runs in; one JSON line per result.

Run as: python checker.py INPUT. Every job runs in a forked child, which a crash ends without
ending the check. Python 3.8 and newer, standard library only.
"""

import json
import os
import re
import select
import signal
import sys
import tempfile
import time

TAIL = 12
OUT = os.dup(1)


def say(record):
    data = (json.dumps(record) + "\n").encode()
    while data:
        data = data[os.write(OUT, data):]


def chain(error):
    """The error and what it came from, at most 16."""
    found = []
    while error is not None and len(found) < 16 and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def failure(error):
    import traceback

    lines = []
    trace = error.__traceback__ and error.__traceback__.tb_next
    for text in traceback.format_exception(type(error), error, trace, chain=False):
        lines.extend(text.rstrip("\n").split("\n"))
    lines = [line for line in lines if line and "<frozen importlib" not in line]
    missing = None
    library = None
    left_out = None
    for one in chain(error):
        if isinstance(one, ModuleNotFoundError) and "was left out by unheck" in str(one):
            left_out = left_out or one.name
        if missing is None and isinstance(one, ModuleNotFoundError) and isinstance(error, ImportError):
            missing = one.name
        found = re.search(r"([^\s:'\"]+): cannot open shared object file", str(one))
        if found:
            library = found.group(1)
    return {
        "ok": False,
        "type": type(error).__name__,
        "message": str(error)[:2000],
        "missing": missing,
        "library": library,
        "left_out": left_out,
        "tail": [line[:400] for line in lines[-TAIL:]],
    }


def load_object(name):
    import ctypes

    this = ctypes.CDLL(None)
    dlopen, dlerror = this.dlopen, this.dlerror
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    dlerror.restype = ctypes.c_char_p
    # RTLD_LAZY | RTLD_LOCAL; ctypes itself always asks for RTLD_NOW.
    if not dlopen(os.fsencode(name), 1):
        raise OSError((dlerror() or b"unknown error").decode("utf-8", "replace"))


def work(job):
    kind, name = job["kind"], job["name"]
    try:
        if kind == "module":
            __import__(name)
        elif kind == "entry":
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            __import__(name)
            target = sys.modules[name]
            for part in filter(None, job.get("attribute", "").split(".")):
                target = getattr(target, part)
        elif kind == "found":
            import importlib.util

            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            if importlib.util.find_spec(name) is None:
                raise ModuleNotFoundError("No module named %r" % name, name=name)
        elif kind == "object":
            load_object(name)
        elif kind == "source":
            with open(name, "rb") as file:
                compile(file.read(), name, "exec", dont_inherit=True)
        return {"ok": True}
    except BaseException as error:  # SystemExit and worse are answers too
        return failure(error)


def child(jobs, pipe, output):
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.setsid()
    os.close(OUT)
    import faulthandler

    faulthandler.enable(output)
    for index, job in enumerate(jobs):
        os.write(pipe, b"%d\n" % index)
        record = json.dumps(work(job)).encode()
        os.write(pipe, b"=" + record + b"\n")
    os._exit(0)


class Worker:
    def __init__(self, jobs, timeout):
        self.jobs = jobs
        self.timeout = timeout
        self.results = []
        self.start()

    def start(self):
        self.current = None
        self.buffer = b""
        self.since = time.monotonic()
        self.output = tempfile.TemporaryFile()
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            try:
                child(self.jobs, write, self.output.fileno())
            finally:
                os._exit(70)
        os.close(write)
        self.pipe = read

    def printed(self):
        size = self.output.seek(0, 2)
        self.output.seek(max(0, size - 4000))
        lines = self.output.read().decode("utf-8", "replace").split("\n")
        lines = [line for line in lines if line and "<frozen importlib" not in line and __file__ not in line]
        return [line[:400] for line in lines[-TAIL:]]

    def finish(self, index, result):
        self.results.append((self.jobs[index], result))

    def read(self):
        """Takes what came; False when the child ended."""
        data = os.read(self.pipe, 65536)
        self.buffer += data
        while b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            self.since = time.monotonic()
            if line[:1] == b"=":
                self.finish(self.current, json.loads(line[1:]))
                self.current = None
            else:
                self.current = int(line)
        return bool(data)

    def ended(self, reason=None, type="died"):
        """The child is gone; starts another for what is left. False when nothing is."""
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        if reason is None:
            if os.WIFSIGNALED(status):
                number = os.WTERMSIG(status)
                try:
                    reason = "killed by signal %d (%s)" % (number, signal.Signals(number).name)
                except ValueError:
                    reason = "killed by signal %d" % number
            else:
                reason = "ended the process with exit code %d" % os.WEXITSTATUS(status)
        if self.current is None:
            left = self.jobs[len(self.results):] if self.results else self.jobs
            if left and status != 0:
                # Died between two jobs: the next one is blamed, so that there is an end.
                self.results.append((left[0], {"ok": False, "type": "died", "message": reason, "tail": self.printed()}))
                left = left[1:]
            else:
                left = []
        else:
            result = {"ok": False, "type": type, "message": reason, "tail": self.printed()}
            self.finish(self.current, result)
            left = self.jobs[self.current + 1:]
        self.output.close()
        if not left:
            return False
        self.kept = getattr(self, "kept", []) + self.results
        self.results = []
        self.jobs = left
        self.start()
        return True

    def all(self):
        return getattr(self, "kept", []) + self.results

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            os.kill(self.pid, signal.SIGKILL)


def run(lists, workers, timeout):
    """Runs each list of jobs in a child of its own, so many at a time."""
    waiting = [jobs for jobs in lists if jobs]
    running, results = [], []
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(Worker(waiting.pop(0), timeout))
        ready, _, _ = select.select([worker.pipe for worker in running], [], [], 1.0)
        for worker in list(running):
            alive = True
            if worker.pipe in ready:
                alive = worker.read() or worker.ended()
            elif time.monotonic() - worker.since > timeout:
                worker.kill()
                alive = worker.ended("it was not done after %d seconds" % timeout, "late")
            if not alive:
                running.remove(worker)
                results.extend(worker.all())
    return results


def hopeless(result, known={}):
    """Whether another try must end the same: the module that was not found is nowhere."""
    missing = result.get("missing")
    if not missing or result.get("type") != "ModuleNotFoundError":
        return False
    top = missing.split(".")[0]
    if top not in known:
        import importlib.util

        try:
            known[top] = importlib.util.find_spec(top) is None
        except (ImportError, ValueError):
            known[top] = False
    return known[top]


def again(results):
    """What failed once more, in a process that has imported only its own distribution."""
    failed = {}
    modules = {}
    for job, result in results:
        group = job["group"]
        if result.get("type") == "late" or hopeless(result):
            continue
        if not result["ok"] and job["kind"] in ("module", "object"):
            failed.setdefault(group, []).append(job)
        elif job["kind"] == "module":
            modules.setdefault(group, []).append(job)
    lists = []
    for group, jobs in sorted(failed.items()):
        for job in jobs:
            before = [] if job["kind"] == "module" else modules.get(group, [])
            lists.append(before + [job])
    return lists


def key(job):
    return (job["kind"], job["group"], job["name"])


def main():
    with open(sys.argv[1], "rb") as file:
        order = json.load(file)
    del sys.path[0]
    workers, timeout = order["workers"], order["timeout"]
    results = run(order["lists"], workers, timeout)
    best = {key(job): result for job, result in results}
    for job, result in run(again(results), workers, timeout):
        if result["ok"]:
            best[key(job)] = result
    for (kind, group, name), result in best.items():
        if result["ok"]:
            result = {"ok": True}
        say(dict(result, kind=kind, group=group, name=name))
    names = getattr(sys, "stdlib_module_names", sys.builtin_module_names)
    say({"kind": "end", "group": "", "name": "", "ok": True, "stdlib": sorted(names)})


main()
