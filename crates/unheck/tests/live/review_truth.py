"""Asks CPython which of the names of `review_pairs.txt`, one a line on standard input, one version of a library has:
`PYTHONPATH=INSTALLED python3.11 review_truth.py`. A name is a hard break when the old version answers `ok` and the
new one `absent`."""
import importlib, inspect, sys, warnings
warnings.simplefilter("ignore")

def find(path):
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        try:
            value = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(error.name + ".")):
                continue
            return "error", f"{name}: {error!r}"
        except BaseException as error:
            if end > 1 and isinstance(error, AttributeError):
                continue
            return "error", f"{name}: {error!r}"
        for part in parts[end:]:
            try:
                value = getattr(value, part)
            except AttributeError as error:
                return "absent", str(error)
            except BaseException as error:
                return "error", repr(error)
        return "ok", value
    return "absent", "no module"

def ask(line):
    name, _, call = line.partition("(")
    state, value = find(name)
    if not call or state != "ok":
        return state, value if state != "ok" else ""
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError) as error:
        return "error", repr(error)
    names = [one.rstrip("=)") for one in call.split(",")]
    anything = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    good = all(n in parameters and parameters[n].kind not in (0, 2) or anything for n in names)
    return ("ok" if good else "absent"), ""

for line in sys.stdin:
    state, why = ask(line.strip())
    print(state, line.strip(), str(why)[:150].replace("\n", " "), sep="\t")
