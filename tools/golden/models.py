"""Makes tests/golden/models: tiny random models and what transformers (5.17) computes with them.

Run:  python tools/golden/models.py tests/golden/models

qwen2_5_vl_hub/   flat config.json and tensor names of published checkpoints, one weight file
qwen2_5_vl_v5/    the same model as transformers 5 holds it in memory: nested config, "model.language_model.…", shards
qwen2/            a text model with an output head of its own
golden.safetensors, golden.json   inputs and outputs of the cases, computed in float64 throughout
"""
import contextlib
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM

IMAGE, START, END = 91, 88, 89
VL_CONFIG = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "attention_dropout": 0.0,
    "bos_token_id": 95,
    "eos_token_id": 93,
    "hidden_act": "silu",
    "hidden_size": 32,
    "image_token_id": IMAGE,
    "initializer_range": 0.02,
    "intermediate_size": 40,
    "max_position_embeddings": 1024,
    "max_window_layers": 2,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "use_cache": True,
    "use_sliding_window": False,
    "video_token_id": 92,
    "vision_config": {
        "depth": 3,
        "fullatt_block_indexes": [1],
        "hidden_size": 16,
        "in_chans": 3,
        "intermediate_size": 24,
        "model_type": "qwen2_5_vl",
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 4,
        "spatial_patch_size": 4,
        "tokens_per_second": 2,
        "window_size": 16,  # two merged blocks a side
    },
    "vision_end_token_id": END,
    "vision_start_token_id": START,
    "vision_token_id": 90,
    "vocab_size": 96,
}
TEXT_CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "eos_token_id": 93,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 40,
    "max_position_embeddings": 1024,
    "max_window_layers": 2,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_sliding_window": False,
    "vocab_size": 96,
}
# Grids in patches. Merged: 2×2 is one whole window, 3×5 leaves windows at both edges, 4×2 divides evenly.
GRIDS = {"text": [], "one_image": [(6, 10)], "several_images": [(4, 4), (6, 10), (8, 4), (4, 4), (2, 2)]}
GRADIENTS = [
    "visual.patch_embed.proj.weight", "visual.blocks.0.attn.qkv.weight", "visual.blocks.1.attn.qkv.bias",
    "visual.blocks.2.norm1.weight", "visual.blocks.1.mlp.down_proj.weight", "visual.merger.ln_q.weight",
    "visual.merger.mlp.2.bias", "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.bias",
    "model.layers.0.self_attn.k_proj.weight", "model.layers.1.input_layernorm.weight",
    "model.layers.1.mlp.gate_proj.weight", "model.norm.weight", "lm_head.weight",
]


@contextlib.contextmanager
def float64_for_float32():
    """transformers normalises, rotates and takes the softmax in float32 whatever the model's dtype; here all is float64."""
    saved = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved


def randomize(model, generator):
    """Larger than a usual initialisation, so that attention is far from uniform and every part matters."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(1 + 0.3 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(1.5 * noise / parameter[0].numel() ** 0.5)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def make_directory(path, cls, config, generator):
    path.mkdir(parents=True)
    write_json(path / "config.json", config)
    write_json(path / "generation_config.json", {"eos_token_id": [93, 95], "pad_token_id": 95})
    model = cls(cls.config_class.from_pretrained(path))
    randomize(model, generator)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del state["lm_head.weight"]
    hub = {}
    for name, tensor in state.items():
        for stored, published in (("model.visual.", "visual."), ("model.language_model.", "model.")):
            if name.startswith(stored):
                name = published + name[len(stored):]
        hub[name] = tensor
    save_file(hub, path / "model.safetensors", metadata={"format": "pt"})


def prompt(grids, generator):
    def text(n):
        return torch.randint(0, 88, (n,), generator=generator).tolist()

    ids = text(7)
    for h, w in grids:
        ids += [START] + [IMAGE] * (h * w // 4) + [END] + text(3)
    return ids + text(5)


def inputs_of(ids, grids, pixels, dtype):
    inputs = {"input_ids": torch.tensor([ids])}
    if grids:
        inputs["pixel_values"] = pixels.to(dtype)
        inputs["image_grid_thw"] = torch.tensor([[1, h, w] for h, w in grids])
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == IMAGE).int()
    return inputs


def hub_parameter(model, name):
    state = dict(model.named_parameters(remove_duplicate=False))
    for published, held in (("visual.", "model.visual."), ("model.", "model.language_model.")):
        if name.startswith(published) and held + name[len(published):] in state:
            return state[held + name[len(published):]]
    return state.get(name)


def run_case(model, name, ids, grids, pixels, tensors):
    inputs = inputs_of(ids, grids, pixels, torch.float64)
    logits = model(**inputs).logits[0]
    tensors[f"{name}.ids"] = inputs["input_ids"][0]
    tensors[f"{name}.logits"] = logits.detach()
    model.zero_grad()
    torch.nn.functional.cross_entropy(logits[:-1], inputs["input_ids"][0, 1:]).backward()
    for parameter in GRADIENTS if name in ("several_images", "text_model") else []:
        weight = hub_parameter(model, parameter)
        tied = parameter == "lm_head.weight" and model.config.tie_word_embeddings
        if weight is not None and weight.grad is not None and not tied:
            tensors[f"{name}.grad.{parameter}"] = weight.grad.clone()
    if not grids:
        return
    tensors[f"{name}.pixel_values"] = pixels
    tensors[f"{name}.features"] = torch.cat(
        model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output).detach()
    positions, delta = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"])
    tensors[f"{name}.positions"] = positions[:, 0]
    tensors[f"{name}.next_position"] = delta[0] + len(ids)


def load(cls, path, dtype):
    return cls.from_pretrained(path, dtype=dtype, attn_implementation="eager").eval()


def exact_copy(model):
    """To be called within float64_for_float32, so that rotary frequencies are float64 too."""
    copy = type(model)._from_config(model.config, attn_implementation="eager").double().eval()
    copy.load_state_dict(model.state_dict())
    rotary = copy.model.language_model.rotary_emb if hasattr(copy.model, "language_model") else copy.model.rotary_emb
    assert rotary.inv_freq.dtype == torch.float64
    return copy


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    generator = torch.Generator().manual_seed(20251)
    vl, text = Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM
    make_directory(out / "qwen2_5_vl_hub", vl, VL_CONFIG, generator)
    make_directory(out / "qwen2", text, TEXT_CONFIG, generator)
    load(vl, out / "qwen2_5_vl_hub", torch.float32).save_pretrained(
        out / "qwen2_5_vl_v5", save_original_format=False, max_shard_size="60KB")

    tensors, cases = {}, {}
    for name, grids in {**GRIDS, "text_model": []}.items():
        cases[name] = {"ids": prompt(grids, generator), "grids": grids}
        rows = sum(h * w for h, w in grids)
        cases[name]["pixels"] = torch.randn(rows, 96, generator=generator)
    models = {False: load(vl, out / "qwen2_5_vl_hub", torch.float32), True: load(text, out / "qwen2", torch.float32)}
    with float64_for_float32():
        models = {is_text: exact_copy(model) for is_text, model in models.items()}
        for name, case in cases.items():
            run_case(models[name == "text_model"], name, case["ids"], case["grids"], case["pixels"], tensors)

    # What transformers itself loses in float32 and bfloat16, as a measure for the tests.
    error = {}
    for dtype in (torch.float32, torch.bfloat16):
        models = {False: load(vl, out / "qwen2_5_vl_hub", dtype), True: load(text, out / "qwen2", dtype)}
        for name, case in cases.items():
            with torch.no_grad():
                logits = models[name == "text_model"](**inputs_of(case["ids"], case["grids"], case["pixels"], dtype)).logits[0]
            exact = tensors[f"{name}.logits"]
            error[f"{name}.{str(dtype).removeprefix('torch.')}"] = (logits.double() - exact).abs().max().item()
    write_json(out / "golden.json", {
        "grids": {name: [[1, h, w] for h, w in case["grids"]] for name, case in cases.items()},
        "max_logit": {name: tensors[f"{name}.logits"].abs().max().item() for name in cases},
        "transformers_error": error})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / "golden.safetensors")
    print(json.dumps(error, indent=1))


if __name__ == "__main__":
    main()
