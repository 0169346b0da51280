"""Makes tests/golden/train/adamw.json: what torch.optim.AdamW (2.11) does with given gradients.

Run:  python tools/golden/optimizer.py tests/golden/train/adamw.json

Two parameters, a matrix with weight decay and a vector without, in one list of numbers (matrix first); every step clips the
global norm. Numbers of float32 are written as the doubles they equal.
"""
import json
import pathlib
import sys

import torch

MATRIX, VECTOR, STEPS = (3, 4), (5,), 6
SETTINGS = {"lr": 0.02, "betas": [0.9, 0.98], "eps": 1e-6, "weight_decay": 0.1, "clip_grad": 1.5}


def run(dtype: torch.dtype) -> dict:
    generator = torch.Generator().manual_seed(11)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float32).to(dtype)
    matrix, vector = torch.nn.Parameter(draw(*MATRIX)), torch.nn.Parameter(draw(*VECTOR))
    optimizer = torch.optim.AdamW(
        [{"params": [matrix], "weight_decay": SETTINGS["weight_decay"]}, {"params": [vector], "weight_decay": 0.0}],
        betas=SETTINGS["betas"], eps=SETTINGS["eps"], foreach=False)
    flat = lambda: torch.cat([matrix.detach().flatten(), vector.detach()]).tolist()
    result = {"initial": flat(), "steps": []}
    for step in range(STEPS):
        # Small, large and zero gradients, so that some steps are clipped and some are not.
        scale = [1.0, 0.01, 30.0, 0.0, 1e-4, 2.0][step]
        matrix.grad, vector.grad = draw(*MATRIX) * scale, draw(*VECTOR) * scale
        gradient = torch.cat([matrix.grad.flatten(), vector.grad]).tolist()
        lr = SETTINGS["lr"] * (1 - step / STEPS)
        for group in optimizer.param_groups:
            group["lr"] = lr
        norm = torch.nn.utils.clip_grad_norm_([matrix, vector], SETTINGS["clip_grad"], foreach=False)
        optimizer.step()
        result["steps"].append({"lr": lr, "gradient": gradient, "grad_norm": norm.item(), "weights": flat()})
    return result


def main() -> None:
    golden = {"settings": SETTINGS, "matrix": MATRIX, "vector": VECTOR,
              "float32": run(torch.float32), "float64": run(torch.float64)}
    path = pathlib.Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
