"""Image preprocessing beside transformers: bit-equal to its Pillow path, measured distance to its torchvision path.

    python images.py CAPRL_PROBE MODEL_DIR [PHOTO...]

MODEL_DIR holds a preprocessor_config.json. Random sizes are drawn from a fixed seed; photographs are decoded by both sides.
Prints one JSON row {what, measured, target, holds} a line.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from PIL import Image
from transformers import AutoImageProcessor

RANDOM_SIZES = 500


class Probe:
    def __init__(self, program: str, model_dir: str):
        self.process = subprocess.Popen([program, "patches", model_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def patches(self, file: pathlib.Path) -> numpy.ndarray:
        self.process.stdin.write(f"{file}\n".encode())
        self.process.stdin.flush()
        head = json.loads(self.process.stdout.readline())
        rows = int(numpy.prod(head["grid"]))
        data = self.process.stdout.read(4 * rows * head["columns"])
        return numpy.frombuffer(data, dtype=numpy.float32).reshape(rows, head["columns"])


def random_image(rng: numpy.random.Generator) -> Image.Image:
    """Sides from 28 to 1500 with an aspect ratio below 200, content from noise to smooth."""
    width, height = (int(x) for x in numpy.exp(rng.uniform(numpy.log(28), numpy.log(1500), size=2)))
    coarse = rng.integers(0, 256, size=(max(1, height // int(rng.integers(1, 40))), max(1, width // int(rng.integers(1, 40))), 3))
    return Image.fromarray(coarse.astype(numpy.uint8)).resize((width, height), Image.Resampling.NEAREST)


def compare(probe: Probe, pillow, torchvision, file: pathlib.Path) -> tuple[bool, float, float]:
    own = probe.patches(file)
    with Image.open(file) as image:
        image = image.convert("RGB")
        exact = numpy.asarray(pillow(images=[image], return_tensors="np")["pixel_values"], dtype=numpy.float32)
        fast = torchvision(images=[image], return_tensors="pt")["pixel_values"].numpy()
    difference = numpy.abs(own - fast)
    return own.tobytes() == exact.tobytes(), float(difference.mean()), float(difference.max())


def report(what: str, results: list[tuple[bool, float, float]], at_least: int) -> None:
    equal = sum(r[0] for r in results)
    rows = [{"what": f"{what}: bit-equal to Pillow's path", "measured": f"{equal} of {len(results)}",
             "target": f"all of at least {at_least}", "holds": equal == len(results) >= at_least},
            {"what": f"{what}: distance to torchvision's path, normalised values",
             "measured": f"mean {max(r[1] for r in results):.2g}, max {max(r[2] for r in results):.2g} (worst image)",
             "target": "documented", "holds": True}]
    for row in rows:
        print(json.dumps(row), flush=True)


def main() -> None:
    program, model_dir, *photos = sys.argv[1:]
    probe = Probe(program, model_dir)
    pillow = AutoImageProcessor.from_pretrained(model_dir, backend="pil")
    torchvision = AutoImageProcessor.from_pretrained(model_dir, backend="torchvision")
    rng = numpy.random.default_rng(20)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(RANDOM_SIZES):
            file = pathlib.Path(folder) / "image.png"
            random_image(rng).save(file)
            results.append(compare(probe, pillow, torchvision, file))
    report("resize and normalise, random sizes", results, RANDOM_SIZES)
    if photos:
        report("resize and normalise, photographs", [compare(probe, pillow, torchvision, pathlib.Path(p)) for p in photos], 20)


if __name__ == "__main__":
    main()
