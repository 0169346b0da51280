"""Makes tests/golden/models/families.{json,safetensors}: what transformers (5.17, fp32) computes with a tiny model of every family.

Run:  python tools/golden/families.py tests/golden/models

Weights and pixels are not stored: both sides make them from names and places (`values`). Of each gradient there are two numbers, its
norm and its product with such values.
"""
import json
import math
import pathlib
import sys
import tempfile

import numpy
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fidelity"))
from families import FAMILIES, IDS, InternVl  # noqa: E402

PROMPT, RESPONSE, MERGE = 9, 24, 2
GRIDS = {"text": [], "image": [(1, 4, 6)], "images": [(1, 4, 4), (1, 6, 10), (1, 2, 2)]}
TILES = {"text": [], "image": [(3, 4, 4)], "images": [(1, 4, 4), (4, 4, 4)]}


def uniform(name: str, count: int) -> numpy.ndarray:
    """Numbers from -0.5 to 0.5: SplitMix64 of (FNV-1a of the name) + place, 24 bits of it."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        x = numpy.uint64(seed) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        x = x ^ (x >> numpy.uint64(31))
    return (x >> numpy.uint64(40)).astype(numpy.float64) / 2**24 - 0.5


def values(name: str, shape) -> torch.Tensor:
    """The weights of a parameter: uneven attention, but logits of ordinary size."""
    u = uniform(name, math.prod(shape))
    if name.endswith("bias"):
        u = 0.3 * u
    elif len(shape) == 1:
        u = 1 + 0.3 * u
    elif "embed" in name and len(shape) == 2:
        u = 0.7 * u
    else:
        u = u * (3.4 / math.sqrt(math.prod(shape[1:])))
    return torch.from_numpy(u.astype(numpy.float32)).reshape(tuple(shape))


def prompt_of(family, grids, merged) -> list[int]:
    ids = [3, 5]
    for t, h, w in grids:
        tokens = t * h * w // merged
        ids += [IDS["vision_start_token_id"]] + [IDS["image_token_id"]] * tokens + [IDS["vision_end_token_id"], 7]
    return ids + list(range(11, 11 + PROMPT))


def inputs_of(family, ids, grids, columns) -> dict:
    if not grids:
        return {}
    rows = sum(t * h * w for t, h, w in grids)
    pixels = torch.from_numpy((4 * uniform("pixels", rows * columns)).astype(numpy.float32)).view(rows, columns)
    if isinstance(family, InternVl):
        side = GRID_SIDE
        tiles = pixels.view(-1, side, side, 3, 14, 14).permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, 14 * side, 14 * side)
        return {"pixel_values": tiles}
    return {"pixel_values": pixels, "image_grid_thw": torch.tensor(grids), "mm_token_type_ids": (ids == IDS["image_token_id"]).int()}


GRID_SIDE = 4


def run(family, folder, tensors) -> dict:
    import transformers
    model = getattr(transformers, family.model_class)(family.config()).float().eval()
    family.assign(model, values)
    family.save(model, folder / "model")
    config = json.loads((folder / "model" / "config.json").read_text())
    if config["architectures"] == ["InternVLChatModel"]:
        config["img_context_token_id"] = IDS["image_token_id"]
    internvl = isinstance(family, InternVl)
    columns = 3 * 14 * 14 if internvl else 3 * 2 * family.preprocessor.get("patch_size", 0) ** 2
    row = {"name": family.name, "config": config, "columns": columns, "cases": {}}
    for case, grids in (TILES if internvl else GRIDS).items() if family.image_ids else [("text", [])]:
        prompt = prompt_of(family, grids, MERGE**2)
        response = [(13 * i) % 80 for i in range(RESPONSE)]
        ids = torch.tensor([prompt + response])
        model.zero_grad()
        logits = model(input_ids=ids, **inputs_of(family, ids, grids, columns)).logits[0, len(prompt) - 1:-1]
        torch.nn.functional.cross_entropy(logits, torch.tensor(response)).backward()
        gradients = {}
        for name, gradient in family.gradients(model).items():
            flat = gradient.double().flatten()
            gradients[name] = [flat.norm().item(), (flat @ torch.from_numpy(uniform("probe", flat.numel()))).item()]
        tensors[f"{family.name}.{case}"] = logits.detach().contiguous()
        row["cases"][case] = {"prompt": prompt, "response": response, "grids": grids, "gradients": gradients}
    return row


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    tensors, rows = {}, []
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(run(family, pathlib.Path(folder), tensors))
    (out / "families.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    save_file(tensors, out / "families.safetensors")


if __name__ == "__main__":
    main()
