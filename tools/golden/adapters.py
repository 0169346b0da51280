"""Makes tests/golden/models/peft.json and peft/: what PEFT (0.21) saves for adapters of tiny models, and what a model with one computes.

Run:  python tools/golden/adapters.py tests/golden/models        (needs peft beside tools/deps/parity.txt)
"""
import json
import pathlib
import shutil
import sys
import tempfile

import peft
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

CASES = [
    {"name": "all linear layers", "model": "qwen2_5_vl_hub", "target_modules": "all-linear", "modules_to_save": []},
    {"name": "newer files", "model": "qwen2_5_vl_v5", "target_modules": ["q_proj", "qkv"], "modules_to_save": []},
    {"name": "a module trained whole", "model": "qwen2_5_vl_hub", "target_modules": ["q_proj", "v_proj"], "modules_to_save": ["merger"]},
    {"name": "text", "model": "qwen2", "target_modules": "all-linear", "modules_to_save": []},
]


def load(folder: pathlib.Path):
    kind = AutoModelForImageTextToText if (folder / "config.json").read_text().find("vision_config") >= 0 else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32)


def adapted(root: pathlib.Path, case: dict, rank: int, alpha: float):
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=case["target_modules"],
                             modules_to_save=case["modules_to_save"] or None, task_type="CAUSAL_LM")
    return peft.get_peft_model(load(root / case["model"]), config)


def shapes(folder: pathlib.Path) -> dict:
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in sorted(file.keys())}


def write_names(root: pathlib.Path) -> None:
    cases = []
    for rank, case in enumerate(CASES, 2):
        with tempfile.TemporaryDirectory() as folder:
            adapted(root, case, rank, 8).save_pretrained(folder)
            targets = case["target_modules"]
            cases.append({**case, "target_modules": [targets] if isinstance(targets, str) else targets, "r": rank, "lora_alpha": 8,
                          "tensors": shapes(pathlib.Path(folder))})
    lines = ",\n".join(json.dumps(case) for case in cases)
    (root / "peft.json").write_text(f"[\n{lines}\n]\n")


def write_model(root: pathlib.Path) -> None:
    """An adapter as PEFT writes it, and the logits of the golden prompt "one_image" with it."""
    torch.manual_seed(3)
    model = adapted(root, CASES[0], 2, 5)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    folder = root / "peft"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "qwen2_5_vl_hub"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    golden = load_file(root / "golden.safetensors")
    grids = json.loads((root / "golden.json").read_text())["grids"]["one_image"]
    ids = golden["one_image.ids"].long().view(1, -1)
    with torch.no_grad():
        logits = model.double()(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=golden["one_image.pixel_values"].double(),
                                image_grid_thw=torch.tensor(grids),
                                mm_token_type_ids=(ids == model.config.image_token_id).long()).logits[0]
    save_file({"logits": logits}, folder / "logits.safetensors")


if __name__ == "__main__":
    write_names(pathlib.Path(sys.argv[1]))
    write_model(pathlib.Path(sys.argv[1]))
