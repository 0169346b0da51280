"""What caprl promises on one H100 or H200; docs/benchmarks/targets.md lists the same. No number here is a measurement."""
from dataclasses import dataclass
from typing import Callable

ROWS = "16384"  # the shape that the loss head's targets are about
FP32 = "caprl_fp32"
PRODUCTS = ("products_cublaslt", "products_aten")
KERNELS = {
    "rms_norm": "RMSNorm",
    "add_rms_norm": "residual add and RMSNorm",
    "rms_norm_backward": "residual add and RMSNorm, backward",
    "swiglu": "SwiGLU",
    "swiglu_backward": "SwiGLU, backward",
    "rotary": "rotary embedding",
    "embedding_gradient": "embedding gradient",
    "sampler_greedy": "sampler, greedy",
    "sampler": "sampler, temperature 1",
    "sampler_top_k_top_p": "sampler, top-k 50 and top-p 0.95",
    "adamw": "AdamW",
    "squared_norm": "squared norm",
}
OTHER_KERNELS = {  # without a target of their share
    "decode_attention_64": "attention of 64 captions' last tokens",
    "decode_attention_256": "attention of 256 captions' last tokens",
}


@dataclass(frozen=True)
class Target:
    what: str
    bound: str  # as people read it
    limit: float
    at_least: bool
    unit: str
    value: Callable  # of a Measured → number or None

    def holds(self, measured):
        value = self.value(measured)
        return None if value is None else (value >= self.limit if self.at_least else value <= self.limit)


def at_most(what: str, limit: float, unit: str, value: Callable) -> Target:
    return Target(what, f"≤ {limit:g} {unit}".strip(), limit, False, unit, value)


def at_least(what: str, limit: float, unit: str, value: Callable) -> Target:
    return Target(what, f"≥ {limit:g} {unit}".strip(), limit, True, unit, value)


LOSS = "loss head, forward and backward, N = 16,384"


def times_faster(peer: str) -> Callable:
    return lambda m: m.ratio(ROWS, peer, FP32)


TARGETS = [
    at_most(LOSS, 44, "ms", lambda m: m.ms(ROWS, FP32)),
    at_least(f"{LOSS}: share of the three bare products' time", 88, "%", lambda m: m.percent_of_products(ROWS, FP32)),
    at_least(f"{LOSS}: times as fast as TRL eager", 2, "×", times_faster("trl_eager")),
    at_least(f"{LOSS}: times as fast as Liger's fused-linear GRPO", 8, "×", times_faster("liger_fused_linear")),
    at_least(f"{LOSS}: times as fast as verl's kernel", 3.5, "×", times_faster("verl")),
    at_most(f"{LOSS}: extra peak memory beyond hidden states and gradients", 1.3, "GB", lambda m: m.extra_gb(ROWS, FP32)),
    at_most("log-probabilities, fp32 logits: largest error against fp64", 1e-3, "",
            lambda m: m.error(ROWS, FP32, "logprobs")),
    at_most("reference log-probabilities only, N = 16,384", 15, "ms", lambda m: m.ms(ROWS, "caprl_logprobs")),
] + [
    at_least(f"{label}: share of the measured copy bandwidth", 85, "%", lambda m, name=name: m.percent_of_copy(name))
    for name, label in KERNELS.items()
] + [
    at_least("attention of 256 captions' last tokens: times as fast as with nothing shared", 1.5, "×",
             lambda m: m.kernel_ratio("decode_attention_256", "caprl, nothing shared")),
    at_least("decoding of 64 captions, eight of an image, prompts of 1,296 tokens", 22000, "tokens/s",
             lambda m: m.tokens_a_second("decode_64")),
    at_least("decoding of 256 captions, eight of an image, prompts of 1,296 tokens", 46000, "tokens/s",
             lambda m: m.tokens_a_second("decode_256")),
    at_least("encoding and reading of 32 images of 1,280 tokens: the weights' products", 434, "TFLOP/s",
             lambda m: m.teraflops("prefill_32")),
    at_most("the engine's own work in a decode step of 64", 200, "µs", lambda m: m.host_us_a_step("decode_64")),
    at_least("training, unique tokens: MFU of 989 TFLOP/s", 55, "%", lambda m: m.percent_of_peak("group")),
    at_least("training, logical tokens/s of 8 captions of 512 tokens after 1,304, read as a group: times the unrolled", 2.4, "×",
             lambda m: m.group_ratio()),
]
