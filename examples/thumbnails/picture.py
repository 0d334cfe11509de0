"""Paints the demo's input: a landscape as a camera stores it, lying on its side with an EXIF note."""

import io
import random

from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1200, 1600
# EXIF: orientation, and its value for "turn by 90 degrees clockwise to see it upright".
ORIENTATION, ROTATED = 0x0112, 6


def paint():
    """A JPEG of WIDTH x HEIGHT pixels when seen upright."""
    chance = random.Random(7)
    sky = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    picture = Image.merge("RGB", [sky.point(lambda v: 60 + v * 3 // 4), sky.point(lambda v: 110 + v // 2), sky.point(lambda v: 200 - v // 4)])
    draw = ImageDraw.Draw(picture)
    draw.ellipse((780, 180, 1000, 400), fill=(255, 236, 170))
    for layer, colour in enumerate([(92, 112, 150), (62, 92, 110), (38, 70, 66), (22, 46, 38)]):
        base = 800 + layer * 190
        ridge = [(x, base + chance.randint(-110, 60)) for x in range(0, WIDTH + 1, 80)]
        draw.polygon([*ridge, (WIDTH, HEIGHT), (0, HEIGHT)], fill=colour)
    picture = picture.filter(ImageFilter.GaussianBlur(2))
    noise = Image.effect_noise((WIDTH, HEIGHT), 24).convert("RGB")
    picture = Image.blend(picture, noise, 0.06)
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED
    out = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()
