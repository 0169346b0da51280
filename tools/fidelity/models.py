"""Logits and gradients of tiny random models of every family beside transformers, fp32.

    python models.py CAPRL_PROBE [FAMILY...]

Prints one JSON row {what, measured, target, holds} a line.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers
from families import FAMILIES, Family
from PIL import Image
from safetensors.torch import load_file

LOGITS, GRADIENTS = 2e-5, 1e-4


def randomize(model: torch.nn.Module) -> None:
    """Larger than an initialisation in the weights that make attention uneven, but logits of ordinary size."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(1 + 0.1 * noise)
            elif "embed" in name:
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)


def make_images(folder: pathlib.Path) -> list[pathlib.Path]:
    rng = numpy.random.default_rng(4)
    files = []
    for i, (width, height) in enumerate([(61, 97), (130, 45), (83, 83)]):
        file = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, size=(height, width, 3), dtype=numpy.uint8)).save(file)
        files.append(file)
    return files


def cases(family: Family, processor, images: list[pathlib.Path]) -> dict:
    """Name → (prompt ids, response ids, image files, model inputs)."""
    rng = numpy.random.default_rng(5)
    words = lambda n: rng.integers(0, family.num_words, size=n).tolist()
    made = {"text": (words(1), words(40), [], {})}
    for name, files in {"1 image": images[:1], "3 images": images}.items() if family.image_ids else ():
        inputs = processor(images=[Image.open(f) for f in files], return_tensors="pt")
        prompt = words(3)
        for tokens in family.image_tokens(inputs):
            prompt += tokens + words(2)
        made[name] = (prompt, words(30), files, inputs)
    return made


def compare(own: dict, model, prompt, response, inputs, family) -> tuple[float, float]:
    ids = torch.tensor([prompt + response])
    model.zero_grad()
    logits = model(input_ids=ids, **family.model_inputs(ids, inputs)).logits[0, len(prompt) - 1:-1]
    torch.nn.functional.cross_entropy(logits, torch.tensor(response)).backward()
    distance = (own["logits"] - logits.detach()).abs().max().item()
    worst = 0.0
    theirs = family.gradients(model)
    assert set(theirs) == set(own) - {"logits"}, sorted(set(theirs) ^ (set(own) - {"logits"}))[:6]
    for name, gradient in theirs.items():
        scale = gradient.norm().item()
        difference = (own[name] - gradient).norm().item()
        # A gradient that is zero up to rounding (a bias before a softmax, say) has no relative size.
        worst = max(worst, difference / scale if scale > 1e-6 else difference)
    return distance, worst


def check(program: str, family: Family, folder: pathlib.Path) -> None:
    model_dir = folder / "model"
    model = getattr(transformers, family.model_class)(family.config()).float().eval()
    randomize(model)
    family.save(model, model_dir)
    processor = family.image_processor(model_dir) if family.image_ids else None
    rows = cases(family, processor, make_images(folder))
    with open(folder / "rows.jsonl", "w") as file:
        for name, (prompt, response, images, _) in rows.items():
            file.write(json.dumps({"id": name, "prompt_ids": prompt, "response_ids": response,
                                   "images": [str(i) for i in images]}) + "\n")
    subprocess.run([program, "loss", model_dir, folder / "rows.jsonl", folder / "out"], check=True)
    results = [compare(load_file(folder / "out" / f"{name}.safetensors"), model, prompt, response, inputs, family)
               for name, (prompt, response, _, inputs) in rows.items()]
    logits, gradients = max(r[0] for r in results), max(r[1] for r in results)
    for what, value, target in (("logits, max difference", logits, LOGITS),
                                ("gradients of every parameter, relative", gradients, GRADIENTS)):
        print(json.dumps({"what": f"{family.name} ({', '.join(rows)}): {what}", "measured": f"{value:.2g}",
                          "target": f"≤ {target:g}", "holds": value <= target}), flush=True)


def main() -> None:
    program, *names = sys.argv[1:]
    torch.set_num_threads(2)
    for family in FAMILIES:
        if names and family.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            check(program, family, pathlib.Path(folder))


if __name__ == "__main__":
    main()
