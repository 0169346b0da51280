"""Writes the GGUF files of the tests with the gguf package (0.17).

Run:  python tools/golden/make_gguf.py tests/golden

io/blocks.gguf          metadata of every type; random blocks of every tensor type
io/blocks.safetensors   what gguf.quants.dequantize makes of them
models/*.gguf           tiny models: element i of the tensor of Hugging Face name N is
                        ((7 i + 13 len(N)) mod 251 - 125) / 64
"""
import pathlib
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value
from safetensors.torch import save_file

BLOCKS = [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q6_K, Type.F32]
ROWS, COLUMNS = 3, 512
SCALE_OFFSETS = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q4_K: [0, 2], Type.Q6_K: [208]}
METADATA = {
    "u8": (200, Value.UINT8), "i8": (-100, Value.INT8), "u16": (60000, Value.UINT16),
    "i16": (-30000, Value.INT16), "u32": (4000000000, Value.UINT32), "i32": (-2000000000, Value.INT32),
    "u64": (2**64 - 1, Value.UINT64), "i64": (-(2**63), Value.INT64), "f32": (0.1, Value.FLOAT32),
    "f64": (0.1, Value.FLOAT64), "yes": (True, Value.BOOL), "no": (False, Value.BOOL),
    "string": ("h\u00e9 \u2014", Value.STRING), "empty": ("", Value.STRING),
}  # fmt: skip
LISTS = {
    "list.u8": ([1, 255], Value.UINT8), "list.i32": ([-1, 0, 7], Value.INT32),
    "list.u64": ([1, 2**63 - 1], Value.UINT64), "list.f32": ([0.5, -2.0], Value.FLOAT32),
    "list.bool": ([True, False, True], Value.BOOL), "list.string": (["", "a", "b\u00fc"], Value.STRING),
}  # fmt: skip


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_rows(kind: Type, rng: np.random.Generator) -> np.ndarray:
    """Rows of bytes whose scales are finite: negative, tiny and zero ones among them."""
    num_values, num_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (ROWS * COLUMNS // num_values, num_bytes), dtype=np.uint8)
    for offset in SCALE_OFFSETS.get(kind, []):
        scales = rng.normal(0, 0.1, len(blocks)).astype(np.float16)
        scales[0], scales[1] = 6e-08, 0
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    if num_values == 1:
        values = torch.from_numpy(rng.normal(0, 1, ROWS * COLUMNS))
        dtype = {Type.F16: torch.float16, Type.BF16: torch.bfloat16, Type.F32: torch.float32}[kind]
        blocks = values.to(dtype).view(torch.uint8).numpy()
    return blocks.reshape(ROWS, -1)


def write_blocks(folder: pathlib.Path) -> None:
    writer = gguf.GGUFWriter(folder / "blocks.gguf", "test")
    for key, (value, kind) in METADATA.items():
        writer.add_key_value(key, value, kind)
    for key, (value, kind) in LISTS.items():
        writer.add_key_value(key, value, Value.ARRAY, sub_type=kind)
    rng = np.random.default_rng(7)
    expected = {}
    for kind in BLOCKS:
        rows = random_rows(kind, rng)
        writer.add_tensor(kind.name, rows, raw_dtype=kind)
        values = gguf.quants.dequantize(rows, kind).reshape(ROWS, COLUMNS)
        expected[kind.name] = torch.from_numpy(values.copy())
    cube = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    writer.add_tensor("cube", cube)  # last: 96 bytes, so that no byte of the file is padding after it
    finish(writer)
    save_file(expected, folder / "blocks.safetensors")


LAYERS, HIDDEN, INTERMEDIATE, HEADS, KV_HEADS = 2, 16, 24, 4, 2


def values_of(name: str, *shape: int) -> np.ndarray:
    index = np.arange(np.prod(shape), dtype=np.int64)
    return (((7 * index + 13 * len(name)) % 251 - 125) / 64).astype(np.float32).reshape(shape)


def for_neighbours(weights: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's convert_hf_to_gguf.py, LlamaModel.permute."""
    split = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return split.swapaxes(1, 2).reshape(weights.shape)


def tokens_and_merges() -> tuple[list[str], list[str], list[int]]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    merges = ["h e", "l l", "he ll", "hell o", "\u0120 w", "1 2"]
    words = [merge.replace(" ", "") for merge in merges]
    tokens = ["<|endoftext|>", "<|im_end|>", *letters, *words, "<user>", "[PAD264]"]
    kinds = [3, 3, *[1] * (len(letters) + len(words)), 4, 5]
    return tokens, merges, kinds


def write_model(path: pathlib.Path, arch: str, pre: str, head_dim: int) -> None:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(50000.0)
    if arch == "qwen3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if arch == "llama":
        # What the tests turn into settings that are refused.
        writer.add_rope_dimension_count(head_dim)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
        writer.add_sliding_window(0)
        writer.add_add_bos_token(False)
    tokens, merges, kinds = tokens_and_merges()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_chat_template("{{ messages[0]['content'] }}<|im_end|>")

    def add(stored: str, name: str, *shape: int, heads: int = 0) -> None:
        values = values_of(name, *shape)
        if heads and arch == "llama":
            values = for_neighbours(values, heads)
        # Exact in each of these types.
        if len(shape) > 1 and "down" in name:
            raw = torch.from_numpy(values).bfloat16().view(torch.uint8).numpy()
            writer.add_tensor(stored, raw, raw_dtype=Type.BF16)
        else:
            writer.add_tensor(stored, values.astype(np.float16) if len(shape) > 1 else values)

    def add_linear(stored: str, name: str, out: int, into: int, bias: bool = False, heads: int = 0) -> None:
        add(stored + ".weight", name + ".weight", out, into, heads=heads)
        if bias:
            add(stored + ".bias", name + ".bias", out, heads=heads)

    q, kv, bias = HEADS * head_dim, KV_HEADS * head_dim, arch == "qwen2"
    add("token_embd.weight", "model.embed_tokens.weight", len(tokens), HIDDEN)
    for layer in range(LAYERS):
        stored, name = f"blk.{layer}.", f"model.layers.{layer}."
        add(stored + "attn_norm.weight", name + "input_layernorm.weight", HIDDEN)
        add_linear(stored + "attn_q", name + "self_attn.q_proj", q, HIDDEN, bias, HEADS)
        add_linear(stored + "attn_k", name + "self_attn.k_proj", kv, HIDDEN, bias, KV_HEADS)
        add_linear(stored + "attn_v", name + "self_attn.v_proj", kv, HIDDEN, bias)
        add_linear(stored + "attn_output", name + "self_attn.o_proj", HIDDEN, q)
        if arch == "qwen3":
            add(stored + "attn_q_norm.weight", name + "self_attn.q_norm.weight", head_dim)
            add(stored + "attn_k_norm.weight", name + "self_attn.k_norm.weight", head_dim)
        add(stored + "ffn_norm.weight", name + "post_attention_layernorm.weight", HIDDEN)
        add_linear(stored + "ffn_gate", name + "mlp.gate_proj", INTERMEDIATE, HIDDEN)
        add_linear(stored + "ffn_up", name + "mlp.up_proj", INTERMEDIATE, HIDDEN)
        add_linear(stored + "ffn_down", name + "mlp.down_proj", HIDDEN, INTERMEDIATE)
    add("output_norm.weight", "model.norm.weight", HIDDEN)
    if arch == "qwen2":
        add("output.weight", "lm_head.weight", len(tokens), HIDDEN)
    finish(writer)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    write_blocks(folder / "io")
    write_model(folder / "models/llama.gguf", "llama", "smollm", head_dim=4)
    write_model(folder / "models/qwen2.gguf", "qwen2", "qwen2", head_dim=4)
    write_model(folder / "models/qwen3.gguf", "qwen3", "qwen2", head_dim=6)


if __name__ == "__main__":
    main()
