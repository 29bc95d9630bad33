"""Uses those parts of the standard library that need something of the system."""

import argparse
import ctypes
import ctypes.util
import datetime
import json
import pwd
import os
import socket
import sqlite3
import ssl
import sys
import zoneinfo


def facts():
    database = sqlite3.connect(":memory:")
    (answer,) = database.execute("select 6 * 7").fetchone()
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    noon = datetime.datetime(2026, 6, 1, 12, tzinfo=zoneinfo.ZoneInfo("UTC"))
    return {
        "python": sys.version.split()[0],
        "openssl": ssl.OPENSSL_VERSION,
        "trusted certificates": ssl.create_default_context().cert_store_stats()["x509_ca"],
        "sqlite": sqlite3.sqlite_version,
        "sqlite says": answer,
        "strlen": libc.strlen(b"hello"),
        "noon in Vienna": noon.astimezone(zoneinfo.ZoneInfo("Europe/Vienna")).isoformat(),
        "https port": socket.getservbyname("https"),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "encoding": sys.getfilesystemencoding(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    found = facts()
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    healthy = found["sqlite says"] == 42 and found["strlen"] == 5 and found["trusted certificates"] > 100
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
