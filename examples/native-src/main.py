"""Uses five distributions that were compiled from source, and says which system libraries they run with."""

import argparse
import io
import json
import sys

import cairo
import ldap
import ldap.dn
import MySQLdb
import psycopg2
from lxml import etree


def through_xml(name):
    greeting = etree.Element("greeting", to=name)
    return etree.fromstring(etree.tostring(greeting)).xpath("string(/greeting/@to)")


def drawn(text):
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, 200, 40)
    context = cairo.Context(surface)
    context.move_to(4, 30)
    context.text_path(text)
    context.fill()
    stream = io.BytesIO()
    surface.write_to_png(stream)
    return stream.getvalue()[:8] == b"\x89PNG\r\n\x1a\n"


def refused(connect, error):
    try:
        connect()
    except error as reason:
        return str(reason).splitlines()[0]
    return "connected"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="world")
    arguments = parser.parse_args()
    facts = {
        "name": through_xml(arguments.name),
        "drawn": drawn(arguments.name),
        "libpq": psycopg2.__libpq_version__,
        "libxml2": ".".join(map(str, etree.LIBXML_VERSION)),
        "libxslt": ".".join(map(str, etree.LIBXSLT_VERSION)),
        "mysql": MySQLdb.get_client_info(),
        "cairo": cairo.cairo_version_string(),
        "ldap": ldap.dn.explode_dn("cn=heck,dc=example"),
        "postgres": refused(
            lambda: psycopg2.connect("host=127.0.0.1 port=1 connect_timeout=1"), psycopg2.OperationalError
        ),
        "mariadb": refused(lambda: MySQLdb.connect(host="127.0.0.1", port=1), MySQLdb.OperationalError),
    }
    print(json.dumps(facts))
    return 0 if facts["name"] == arguments.name else 1


if __name__ == "__main__":
    sys.exit(main())
