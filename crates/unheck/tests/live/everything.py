"""Asks everything of a relocatable Python that breaks when it is moved; prints one JSON object."""

import argparse
import concurrent.futures
import ctypes
import ctypes.util
import datetime
import hashlib
import json
import locale
import multiprocessing
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import zoneinfo


def square(number):
    return number * number, sys.executable


def pooled(method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        return sorted(pool.map(square, range(4)))


def child(*words):
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def facts(arguments):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = "import sys, json, main; print(json.dumps([sys.executable, sys.prefix, sys.version, main.__file__]))"
    os.environ["TZ"] = "Europe/Vienna"
    time.tzset()
    libssl = ctypes.util.find_library("ssl")
    loaded = ctypes.CDLL(libssl)
    loaded.OpenSSL_version.restype = ctypes.c_char_p
    with open("/proc/self/maps") as maps:
        mapped = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line and "r-xp" in line}
    return {
        "root": root,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "path": sys.path,
        "child": json.loads(child("-c", program)),
        # It ignores the variable that keeps bytecode out of the tree.
        "isolated child": child("-I", "-B", "-c", "import ssl; print(ssl.OPENSSL_VERSION)"),
        "module child": child("-m", "json.tool", "--help").split("\n")[0][:6],
        "spawn": pooled("spawn"),
        "forkserver": pooled("forkserver"),
        "certificates": ssl.create_default_context().cert_store_stats()["x509_ca"],
        "localhost": socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)[0][4][0],
        "resolved": [socket.getaddrinfo(name, 443)[0][4][0] for name in arguments.resolve],
        "encoding": [sys.getfilesystemencoding(), locale.getpreferredencoding(), sys.stdout.encoding],
        "vienna": datetime.datetime(2026, 6, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Vienna")).isoformat(),
        "local hour": time.localtime(0).tm_hour,
        "libssl": libssl,
        "libssl says": loaded.OpenSSL_version(0).decode(),
        "unknown library": ctypes.util.find_library(arguments.absent),
        "digest": hashlib.new("sha3_256", b"x").hexdigest()[:8],
        "sqlite": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0],
        "foreign": sorted(name for name in mapped if not name.startswith(root + "/")),
        "environment": sorted(os.environ),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--resolve", action="append", default=[])
    # Not a word that a build could look for.
    parser.add_argument("--absent", default="a" * 20)
    print(json.dumps(facts(parser.parse_args())))


if __name__ == "__main__":
    main()
