"""Names modules that unheck left out, at the end of sys.meta_path."""


def _left_out(name, text):
    """Why a module was left out; None where it was not."""
    path = name.replace(".", "/")
    # Below lib-dynload, the standard library's or the distributions' directory.
    for start in ("lib-dynload/", "-packages/", "python%d.%d/" % __import__("sys").version_info[:2]):
        for end in (".py\n", "/", ".cpython-", ".abi3.so\n", ".so\n"):
            at = text.find(start + path + end)
            if at >= 0:
                return text[text.rindex("\n# ", 0, at) + 3 : at].split("\n", 1)[0]
    return None


def find_spec(name, path=None, target=None):
    import sys

    # Only an import statement, or what works like one, is told; a question gets its answer.
    caller = sys._getframe(1)
    caller = caller.f_back if caller.f_code.co_name == "_find_spec" else None
    if caller is None or caller.f_code.co_name != "_find_and_load_unlocked":
        return None
    try:
        with open(__file__[: __file__.rindex(".")] + ".txt", encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        return None
    reason = _left_out(name, text)
    if reason is None:
        return None
    if reason.startswith("`leave-out`"):
        message = "`%s` was left out by unheck because `leave-out` asks for it; take it out of there to keep it"
        raise ModuleNotFoundError(message % name, name=name)
    level = text.split("\n", 1)[0]
    raise ModuleNotFoundError(
        "`%s` was left out by unheck's `--trim %s`; keep it with `--keep %s` "
        '(or `keep = ["%s"]` in [tool.unheck])' % (name, level, name, name),
        name=name,
    )


def find_distributions(*args, **kwargs):
    return ()


def invalidate_caches():
    pass
