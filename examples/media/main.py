"""Makes a picture, a sound and a PDF, and lets libmagic say what they are."""

import argparse
import io
import json
import sys

import cv2
import magic
import numpy
import soundfile
import weasyprint


def picture():
    image = numpy.zeros((64, 64, 3), numpy.uint8)
    cv2.circle(image, (32, 32), 20, (0, 128, 255), -1)
    _, data = cv2.imencode(".png", image)
    return data.tobytes()


def sound():
    wave = numpy.sin(numpy.linspace(0, 440 * 2 * numpy.pi, 44_100))
    stream = io.BytesIO()
    soundfile.write(stream, wave, 44_100, format="FLAC")
    return stream.getvalue()


def document():
    return weasyprint.HTML(string="<h1>Out of heck</h1><p>Grüße, žluťoučký kůň</p>").write_pdf()


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    made = {"picture": picture(), "sound": sound(), "document": document()}
    kinds = {name: magic.from_buffer(data, mime=True) for name, data in made.items()}
    print(json.dumps(kinds))
    expected = {"picture": "image/png", "sound": "audio/flac", "document": "application/pdf"}
    return 0 if kinds == expected else 1


if __name__ == "__main__":
    sys.exit(main())
