"""Sends one text through an XML tree, a cipher and a picture, and asks for a database."""

import argparse
import io
import json
import sys

import psycopg2
from cryptography.fernet import Fernet
from lxml import etree
from PIL import Image


def through_xml(text):
    root = etree.Element("text")
    root.text = text
    return etree.fromstring(etree.tostring(root)).text


def through_cipher(text):
    cipher = Fernet(Fernet.generate_key())
    return cipher.decrypt(cipher.encrypt(text.encode())).decode()


def through_picture(text):
    data = text.encode()
    picture = Image.frombytes("L", (len(data), 1), data)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return Image.open(io.BytesIO(stream.getvalue())).tobytes().decode()


def database():
    try:
        psycopg2.connect("host=127.0.0.1 port=1 connect_timeout=1")
    except psycopg2.OperationalError as error:
        return str(error).splitlines()[0]
    return "connected"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="out of heck")
    arguments = parser.parse_args()
    text = through_picture(through_cipher(through_xml(arguments.text)))
    print(json.dumps({"text": text, "libpq": psycopg2.__libpq_version__, "database": database()}))
    return 0 if text == arguments.text else 1


if __name__ == "__main__":
    sys.exit(main())
