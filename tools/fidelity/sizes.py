"""Parameters of the published sizes, from their configs alone, beside transformers on the meta device.

    python sizes.py CAPRL_PROBE

Prints one JSON row {what, measured, target, holds} a family.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

from families import INTERNVL_NAMES, QWEN_VL_NAMES


def text(hidden, layers, heads, kv, inner, vocab, tied=False, **more):
    return {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv,
            "intermediate_size": inner, "vocab_size": vocab, "tie_word_embeddings": tied, **more}


def with_vision(decoder, vision, tied=None):
    return {"text_config": decoder, "vision_config": vision, "tie_word_embeddings": decoder["tie_word_embeddings"] if tied is None else tied}


def qwen25_vl(hidden, layers, heads, kv, inner, vocab, tied, vision_inner):
    return with_vision(text(hidden, layers, heads, kv, inner, vocab, tied), {
        "depth": 32, "hidden_size": 1280, "intermediate_size": vision_inner, "num_heads": 16, "out_hidden_size": hidden})


def qwen2_vl(hidden, layers, heads, kv, inner, vocab, tied):
    return with_vision(text(hidden, layers, heads, kv, inner, vocab, tied), {"depth": 32, "embed_dim": 1280, "hidden_size": hidden, "num_heads": 16})


def qwen3_vl(hidden, layers, heads, inner, tied, vision):
    return with_vision(text(hidden, layers, heads, 8, inner, 151936, tied, head_dim=128), {**vision, "out_hidden_size": hidden})


def internvl(model_type, decoder):
    return with_vision({**decoder, "model_type": model_type}, {"attention_bias": True})


SMALL = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "deepstack_visual_indexes": [5, 11, 17]}
LARGE = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "deepstack_visual_indexes": [8, 16, 24]}
SIZES = {
    ("Qwen2.5-VL", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLConfig"): {
        "3B": qwen25_vl(2048, 36, 16, 2, 11008, 151936, True, 3420), "7B": qwen25_vl(3584, 28, 28, 4, 18944, 152064, False, 3420),
        "32B": qwen25_vl(5120, 64, 40, 8, 27648, 152064, False, 3456), "72B": qwen25_vl(8192, 80, 64, 8, 29568, 152064, False, 3456)},
    ("Qwen2-VL", "Qwen2VLForConditionalGeneration", "Qwen2VLConfig"): {
        "2B": qwen2_vl(1536, 28, 12, 2, 8960, 151936, True), "7B": qwen2_vl(3584, 28, 28, 4, 18944, 152064, False),
        "72B": qwen2_vl(8192, 80, 64, 8, 29568, 152064, False)},
    ("Qwen3-VL", "Qwen3VLForConditionalGeneration", "Qwen3VLConfig"): {
        "2B": qwen3_vl(2048, 28, 16, 6144, True, SMALL), "4B": qwen3_vl(2560, 36, 32, 9728, True, SMALL),
        "8B": qwen3_vl(4096, 36, 32, 12288, False, LARGE)},
    ("InternVL", "InternVLForConditionalGeneration", "InternVLConfig"): {
        "3-1B": internvl("qwen2", text(896, 24, 14, 2, 4864, 151674, False)), "3-8B": internvl("qwen2", text(3584, 28, 28, 4, 18944, 151674, False)),
        "3.5-8B": internvl("qwen3", text(4096, 36, 32, 8, 12288, 151936, False, head_dim=128))},
    ("Qwen2.5", "Qwen2ForCausalLM", "Qwen2Config"): {
        "0.5B": text(896, 24, 14, 2, 4864, 151936, True), "1.5B": text(1536, 28, 12, 2, 8960, 151936, True),
        "3B": text(2048, 36, 16, 2, 11008, 151936, True), "7B": text(3584, 28, 28, 4, 18944, 152064), "72B": text(8192, 80, 64, 8, 29568, 152064)},
    ("Qwen3", "Qwen3ForCausalLM", "Qwen3Config"): {
        "0.6B": text(1024, 28, 16, 8, 3072, 151936, True, head_dim=128), "4B": text(2560, 36, 32, 8, 9728, 151936, True, head_dim=128),
        "8B": text(4096, 36, 32, 8, 12288, 151936, head_dim=128), "32B": text(5120, 64, 64, 8, 25600, 151936, head_dim=128)},
    ("Llama", "LlamaForCausalLM", "LlamaConfig"): {
        "SmolLM2-135M": text(576, 30, 9, 3, 1536, 49152, True), "SmolLM2-1.7B": text(2048, 24, 32, 32, 8192, 49152, True),
        "3.2-3B": text(3072, 28, 24, 8, 8192, 128256, True, head_dim=128), "3.1-8B": text(4096, 32, 32, 8, 14336, 128256)},
    ("Mistral", "MistralForCausalLM", "MistralConfig"): {"7B-v0.3": text(4096, 32, 32, 8, 14336, 32768, sliding_window=None)},
}
RENAMES = {"Qwen2.5-VL": QWEN_VL_NAMES, "Qwen2-VL": QWEN_VL_NAMES, "Qwen3-VL": QWEN_VL_NAMES, "InternVL": INTERNVL_NAMES}


def renamed(name, renames):
    for memory, disk in renames.items():
        if name.startswith(memory):
            return disk + name[len(memory):]
    return name


def own_parameters(program, config):
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return json.loads(subprocess.run([program, "parameters", pathlib.Path(folder) / "config.json"], check=True, capture_output=True).stdout)


def compare(program, model_class, config_class, options, renames) -> tuple[bool, str]:
    config = getattr(transformers, config_class)(**options)
    config.architectures = [model_class]
    with torch.device("meta"):
        model = getattr(transformers, model_class)(config)
    theirs = {renamed(name, renames): list(p.shape) for name, p in model.named_parameters()}
    count = sum(p.numel() for p in model.parameters())
    return own_parameters(program, config) == theirs, f"{count:,} in {len(theirs)}"


def main() -> None:
    program = sys.argv[1]
    for (family, model_class, config_class), sizes in SIZES.items():
        results = {size: compare(program, model_class, config_class, options, RENAMES.get(family, {})) for size, options in sizes.items()}
        print(json.dumps({"what": f"{family}: names and shapes of every parameter, from the config",
                          "measured": "; ".join(f"{size}: {figure} tensors, {'equal' if same else 'DIFFERENT'}" for size, (same, figure) in results.items()),
                          "target": "equal", "holds": all(same for same, _ in results.values())}), flush=True)


if __name__ == "__main__":
    main()
