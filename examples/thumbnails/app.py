"""Makes thumbnails of a JPEG: the event carries the picture and the sizes, the result the thumbnails."""

import base64
import io
import logging

from PIL import Image, ImageOps

logging.getLogger().setLevel(logging.INFO)

EDGE_MAX = 4096
SIZES_MAX = 16


def handler(event, context):
    """event: {"image": base64 JPEG, "sizes": [longest edge in pixels, ...]}"""
    sizes = event["sizes"]
    if not 0 < len(sizes) <= SIZES_MAX or not all(0 < size <= EDGE_MAX for size in sizes):
        raise ValueError(f"sizes must be 1 to {SIZES_MAX} numbers from 1 to {EDGE_MAX}")
    with Image.open(io.BytesIO(base64.b64decode(event["image"]))) as original:
        # Cameras store pictures lying and note in EXIF how to turn them.
        upright = ImageOps.exif_transpose(original).convert("RGB")
    logging.info("read a picture of %d x %d pixels", *upright.size)
    return {"original": list(upright.size), "thumbnails": [thumbnail(upright, size) for size in sizes]}


def thumbnail(picture, longest_edge):
    """The picture fitted into a square, its proportions kept."""
    small = picture.copy()
    small.thumbnail((longest_edge, longest_edge), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85, optimize=True)
    logging.info("made %d x %d pixels in %d bytes", *small.size, out.tell())
    return {"width": small.width, "height": small.height, "image": base64.b64encode(out.getvalue()).decode()}
