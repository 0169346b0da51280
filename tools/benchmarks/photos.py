"""Draws JPEG files with the statistics of photographs: python photos.py DIR [MEGAPIXELS...]

A 1/f spectrum per channel, correlated between channels, quality 90, 4:2:0, from a fixed seed.
"""
import pathlib
import sys

import numpy
from PIL import Image


def photo(megapixels: float, seed: int) -> Image.Image:
    rng = numpy.random.default_rng(seed)
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = int(width * 3 / 4)
    frequency = numpy.hypot(numpy.fft.fftfreq(height)[:, None], numpy.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        spectrum = numpy.fft.rfft2(rng.standard_normal((height, width))) / frequency
        plane = numpy.fft.irfft2(spectrum, s=(height, width))
        planes.append((plane - plane.mean()) / plane.std())
    grey, red, blue = planes
    channels = [grey + 0.3 * red, grey, grey + 0.3 * blue]
    pixels = numpy.stack([numpy.clip(128 + 48 * c, 0, 255) for c in channels], axis=-1)
    return Image.fromarray(pixels.astype(numpy.uint8))


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [float(size) for size in sys.argv[2:]] or [1, 2, 3, 4, 6, 8, 10, 12]
    for seed, size in enumerate(sizes):
        photo(size, seed).save(folder / f"{size:g}mp.jpg", quality=90)


if __name__ == "__main__":
    main()
