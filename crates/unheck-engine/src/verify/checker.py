"""Imports modules and loads objects of the root it runs in; one JSON line per result.

Run as: python checker.py INPUT. Every job runs in a forked child, which a crash ends without
ending the check. Python 3.8 and newer. Trimming may have left nearly all of the standard library
out, so that nothing is imported but what every interpreter has: no json, no ctypes, no select.
"""

import os
import sys
import time

TAIL = 12
SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
OUT = os.dup(1)


def text_of(value):
    """JSON of texts, numbers, truths, lists and dictionaries of them."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (text_of(k), text_of(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(text_of(one) for one in value)
    quoted = []
    for letter in str(value):
        code = ord(letter)
        if letter in '"\\':
            quoted.append("\\" + letter)
        elif 0xD800 <= code < 0xE000:
            quoted.append("?")
        elif code < 0x20:
            quoted.append("\\u%04x" % code)
        else:
            quoted.append(letter)
    return '"%s"' % "".join(quoted)


def value_of(text):
    """What `text_of` and the order's writer made; nobody else writes here."""
    return eval(text, {"__builtins__": {}, "true": True, "false": False, "null": None})


def say(record):
    data = (text_of(record) + "\n").encode()
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
        before, found, _ = str(one).partition(": cannot open shared object file")
        if found:
            for letter in "'\":":
                before = before.replace(letter, " ")
            library = (before.split() or [None])[-1]
    return {
        "ok": False,
        "type": type(error).__name__,
        "message": str(error)[:2000],
        "missing": missing,
        "library": library,
        "left_out": left_out,
        "tail": [line[:400] for line in lines[-TAIL:]],
    }


class Probe:
    """What the import system wants to know of an extension module."""

    name = "unheck_probe"

    def __init__(self, origin):
        self.origin = origin


def load_object(name):
    import _imp

    # RTLD_LAZY; ctypes, which may have been left out, always asks for RTLD_NOW.
    sys.setdlopenflags(1)
    try:
        _imp.create_dynamic(Probe(name))
    except ImportError as error:
        # It was loaded, and is asked for a function that no object has.
        if "does not define module export function" not in str(error):
            raise


def find(name):
    """Whether a module is there, without importing it."""
    try:
        from importlib.util import find_spec
    except ImportError:
        parent = name.rpartition(".")[0]
        path = None
        if parent:
            __import__(parent)
            path = sys.modules[parent].__path__
        finders = (finder.find_spec(name, path) for finder in sys.meta_path)
        return any(spec is not None for spec in finders)
    return find_spec(name) is not None


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
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            if not find(name):
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
    try:
        import faulthandler

        faulthandler.enable(output)
    except ImportError:
        pass
    for index, job in enumerate(jobs):
        os.write(pipe, b"%d\n" % index)
        record = text_of(work(job)).encode()
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
        self.output = open(os.memfd_create("output"), "w+b")
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            try:
                child(self.jobs, write, self.output.fileno())
            finally:
                os._exit(70)
        os.close(write)
        os.set_blocking(read, False)
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
        """Takes what came; False when the child ended, None when nothing came."""
        try:
            data = os.read(self.pipe, 65536)
        except BlockingIOError:
            return None
        self.buffer += data
        while b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            self.since = time.monotonic()
            if line[:1] == b"=":
                self.finish(self.current, value_of(line[1:].decode()))
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
                reason = "killed by signal %d" % number
                if number in SIGNALS:
                    reason += " (%s)" % SIGNALS[number]
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
            os.killpg(self.pid, 9)
        except OSError:
            os.kill(self.pid, 9)


def run(lists, workers, timeout):
    """Runs each list of jobs in a child of its own, so many at a time."""
    waiting = [jobs for jobs in lists if jobs]
    running, results = [], []
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(Worker(waiting.pop(0), timeout))
        quiet = True
        for worker in list(running):
            came = worker.read()
            alive = True
            if came is not None:
                quiet = False
                alive = came or worker.ended()
            elif time.monotonic() - worker.since > timeout:
                worker.kill()
                alive = worker.ended("it was not done after %d seconds" % timeout, "late")
            if not alive:
                running.remove(worker)
                results.extend(worker.all())
        if quiet and running:
            time.sleep(0.002)
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


def load_what_ships():
    """Bytecode that ships is loaded; other modules are compiled into the prefix, once for all runs."""
    external = sys.modules["_frozen_importlib_external"]
    elsewhere = external.cache_from_source

    def cache_from_source(path, *more, **options):
        head, _, name = os.fspath(path).rpartition("/")
        stem = name.rpartition(".")[0] or name
        beside = "%s/__pycache__/%s.%s.pyc" % (head, stem, sys.implementation.cache_tag)
        return beside if os.path.exists(beside) else elsewhere(path, *more, **options)

    external.cache_from_source = cache_from_source


def main():
    load_what_ships()
    with open(sys.argv[1], encoding="utf-8") as file:
        order = value_of(file.read())
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
