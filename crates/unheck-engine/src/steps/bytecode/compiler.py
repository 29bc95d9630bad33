"""Compiles modules to bytecode that is never checked against its source (PEP 552).

Run by the target's own interpreter, in a sandbox without network, as: compiler.py WORKERS IN OUT
Reads IN/order (fields ended by a zero byte: offset, length and path of each module) and IN/sources
(all of them, one after the other); each worker writes frames to OUT/N: number of the module, 1 or 0,
length, then its bytecode or why there is none. Nothing of the modules is run. The bytes depend on the
source, the path and the interpreter alone.
"""

import os
import struct
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from marshal import dumps

FRAME = struct.Struct("<IBI")
# Hash-based, and the hash is not looked at when the module is loaded.
FLAGS = (1).to_bytes(4, "little")


def compiled(source, path):
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    return MAGIC_NUMBER + FLAGS + source_hash(source) + dumps(code)


def work(jobs, given, out):
    with open(given + "/sources", "rb") as sources:
        for number, offset, length, path in jobs:
            sources.seek(offset)
            source = sources.read(length)
            try:
                ok, answer = 1, compiled(source, path)
            except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
                line = getattr(error, "lineno", None)
                place = f", line {line}" if line else ""
                ok, answer = 0, f"{type(error).__name__}{place}".encode()
            # At once, so that a crash at a later module takes nothing of this one with it.
            os.write(out, FRAME.pack(number, ok, len(answer)))
            while answer:
                answer = answer[os.write(out, answer) :]


def orders(given):
    with open(given + "/order", "rb") as file:
        fields = file.read().split(b"\0")
    count = len(fields) // 3
    for number in range(count):
        offset, length, path = fields[3 * number : 3 * number + 3]
        yield number, int(offset), int(length), os.fsdecode(path)


def main():
    workers, given, made = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jobs = list(orders(given))
    children = []
    for number in range(workers):
        child = os.fork()
        if child == 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            work(jobs[number::workers], given, os.open(f"{made}/{number}", flags, 0o644))
            os._exit(0)
        children.append(child)
    failed = 0
    for child in children:
        status = os.waitpid(child, 0)[1]
        failed = failed or (1 if status else 0)
    os._exit(failed)


main()
