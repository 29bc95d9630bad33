"""Names modules that unheck left out, at the end of sys.meta_path."""


def _is_left_out(name, text):
    path = name.replace(".", "/")
    # Below lib-dynload, the standard library's or the distributions' directory.
    for start in ("lib-dynload/", "-packages/", "python%d.%d/" % __import__("sys").version_info[:2]):
        for end in (".py\n", "/", ".cpython-", ".abi3.so\n", ".so\n"):
            if start + path + end in text:
                return True
    return False


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
    if not _is_left_out(name, text):
        return None
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
