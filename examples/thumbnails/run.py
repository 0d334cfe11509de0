"""Invokes the function with a JPEG, writes the thumbnails and checks them.

usage: run.py [picture.jpg]
"""

import base64
import io
import json
import pathlib
import sys

from PIL import Image, ImageOps

import picture
from settings import FUNCTION, client

OUT = pathlib.Path(__file__).parent / "out"
SIZES = [64, 256, 800]


def main():
    source = pathlib.Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else picture.paint()
    OUT.mkdir(exist_ok=True)
    (OUT / "original.jpg").write_bytes(source)
    event = {"image": base64.b64encode(source).decode(), "sizes": SIZES}
    answer = client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event).encode(), LogType="Tail")
    result = json.load(answer["Payload"])
    print("--- log of the function")
    print(base64.b64decode(answer["LogResult"]).decode().rstrip())
    print("---")
    if "FunctionError" in answer:
        sys.exit(f"the function failed: {json.dumps(result, indent=2)}")
    for size, thumbnail in zip(SIZES, result["thumbnails"], strict=True):
        path = OUT / f"thumbnail-{size}.jpg"
        path.write_bytes(base64.b64decode(thumbnail["image"]))
        check(path, size, thumbnail, upright_size(source))
        print(f"wrote {path} ({thumbnail['width']} x {thumbnail['height']})")


def upright_size(source):
    """Width and height of the picture as a viewer shows it."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(source))).size


def check(path, size, told, original):
    """A thumbnail is as large as it was told, fits the square, and keeps the proportions."""
    with Image.open(path) as image:
        assert image.format == "JPEG" and image.size == (told["width"], told["height"]), (path, image.size, told)
        assert max(image.size) == min(size, max(original)), (path, image.size)
        assert abs(image.width / image.height - original[0] / original[1]) < 0.02, (path, image.size, original)


if __name__ == "__main__":
    main()
