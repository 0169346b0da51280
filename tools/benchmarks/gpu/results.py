"""From raw measurements to rows, the table of targets and one line.

A row: {"what", "shape", "caprl_ms", "peer", "peer_ms", "ratio", "share", "share_of", "extra_gb", "peer_extra_gb", "error",
"peer_error", "samples", "note"}; what was not measured is None, and `note` says why.
"""
import statistics

from targets import FP32, KERNELS, OTHER_KERNELS, PRODUCTS, TARGETS

LOSS_WAYS = {
    "caprl_fp32": "loss head, forward and backward, fp32 logits",
    "caprl_bf16": "loss head, forward and backward, bf16 logits",
    "caprl_logprobs": "log-probabilities only, fp32 logits",
}
PEERS = {
    "products_cublaslt": "bare products, in caprl's chunks (cuBLASLt)",
    "products_aten": "bare products, whole (at::mm)",
    "logits_product_aten": "bare product, whole (at::mm)",
    "trl_eager": "TRL, eager",
    "trl_fused_rows": "TRL, Triton rows",
    "trl_chunked": "TRL, chunked",
    "liger_fused_linear": "Liger fused-linear GRPO",
    "liger_fused_linear_tf32": "Liger fused-linear GRPO, TF32",
    "liger_rows": "Liger Triton GRPO rows",
    "cut_cross_entropy": "cut-cross-entropy",
    "compiled_chunks": "torch.compile, chunks of 2048",
    "verl": "verl's Triton kernel",
}
COLUMNS = ("what", "shape", "caprl_ms", "peer", "peer_ms", "ratio", "share", "share_of", "extra_gb", "peer_extra_gb", "error",
           "peer_error", "samples", "note")
GB = 1e9
PEAK_FLOPS = 989.4e12  # of an H100 or H200 (SXM): dense products of bf16, as NVIDIA states them


class Measured:
    """Medians and what follows from them; None where something was not measured."""

    def __init__(self, loss: dict | None, kernels: dict | None, rollouts: dict | None = None, training: dict | None = None):
        self.loss, self.kernels = (loss or {}).get("shapes", {}), kernels or {}
        self.rollouts, self.training = rollouts or {}, training or {}

    def provider(self, rows: str, name: str) -> dict:
        return self.loss.get(rows, {}).get(name, {})

    def ms(self, rows: str, name: str):
        return median(self.provider(rows, name).get("ms"))

    def ratio(self, rows: str, peer: str, caprl: str):
        return quotient(self.ms(rows, peer), self.ms(rows, caprl))

    def products_ms(self, rows: str):
        """Of the faster way: what no loss head can beat."""
        return min((ms for ms in (self.ms(rows, name) for name in PRODUCTS) if ms is not None), default=None)

    def percent_of_products(self, rows: str, caprl: str):
        base = self.ms(rows, "logits_product_aten") if caprl == "caprl_logprobs" else self.products_ms(rows)
        return percent(base, self.ms(rows, caprl))

    def extra_gb(self, rows: str, name: str):
        extra = self.provider(rows, name).get("extra_bytes")
        return None if extra is None else extra / GB

    def error(self, rows: str, name: str, what: str):
        return self.provider(rows, name).get("errors", {}).get(what)

    def copy_bytes_a_ms(self):
        copy = self.kernels.get("copy", {})
        return quotient(copy.get("bytes"), median(copy.get("ms")))

    def kernel(self, name: str) -> dict:
        return self.kernels.get("cases", {}).get(name, {})

    def kernel_ms(self, name: str, way: str | None = None):
        case = self.kernel(name)
        return median(case.get("ms", {}).get(way or case.get("caprl")))

    def tokens_a_second(self, name: str):
        return quotient(self.rollouts.get(name, {}).get("tokens"), self.rollouts.get(name, {}).get("seconds"))

    def teraflops(self, name: str):
        rate = quotient(self.rollouts.get(name, {}).get("operations"), self.rollouts.get(name, {}).get("seconds"))
        return None if rate is None else rate / 1e12

    def host_us_a_step(self, name: str):
        seconds = quotient(self.rollouts.get(name, {}).get("host_seconds"), self.rollouts.get(name, {}).get("steps"))
        return None if seconds is None else 1e6 * seconds

    def a_second(self, name: str, what: str):
        """Of updates: "operations", "tokens" or "logical_tokens"."""
        update = self.training.get(name, {})
        return quotient(update.get(what), median(update.get("seconds")))

    def percent_of_peak(self, name: str):
        return percent(self.a_second(name, "operations"), PEAK_FLOPS)

    def group_ratio(self):
        return quotient(self.a_second("group", "logical_tokens"), self.a_second("unrolled", "logical_tokens"))

    def kernel_ratio(self, name: str, peer: str):
        return quotient(self.kernel_ms(name, peer), self.kernel_ms(name))

    def percent_of_copy(self, name: str):
        """None as well if a value of the result was left unwritten: such a time means nothing."""
        case = self.kernel(name)
        if not case.get("written"):
            return None
        return percent(quotient(case.get("bytes"), self.kernel_ms(name)), self.copy_bytes_a_ms())


def median(values):
    return statistics.median(values) if values else None


def quotient(a, b):
    return None if a is None or not b else a / b


def percent(a, b):
    value = quotient(a, b)
    return None if value is None else 100 * value


def row(**fields) -> dict:
    return {column: fields.get(column) for column in COLUMNS}


def loss_rows(measured: Measured, missing: dict) -> list[dict]:
    rows = []
    for shape, providers in sorted(measured.loss.items(), key=lambda item: int(item[0])):
        text = f"{int(shape):,} × 2048 × 151,936"
        for way, what in LOSS_WAYS.items():
            products = ["logits_product_aten"] if way == "caprl_logprobs" else list(PRODUCTS)
            others = [name for name in PEERS if "product" not in name and (name in providers or name in missing)]
            for peer in products + (others if way == FP32 else []):
                rows.append(loss_row(measured, shape, text, way, what, peer, missing))
    return rows


def loss_row(measured: Measured, shape: str, text: str, way: str, what: str, peer: str, missing: dict) -> dict:
    notes = [measured.provider(shape, name).get("error") for name in (way, peer)] + [missing.get(peer)]
    return row(
        what=what, shape=text, caprl_ms=measured.ms(shape, way), peer=PEERS[peer], peer_ms=measured.ms(shape, peer),
        ratio=measured.ratio(shape, peer, way), share=measured.percent_of_products(shape, way), share_of="bare products",
        extra_gb=measured.extra_gb(shape, way), peer_extra_gb=None if "product" in peer else measured.extra_gb(shape, peer),
        error=error_text(measured.provider(shape, way)), peer_error=error_text(measured.provider(shape, peer)),
        samples=min(len(measured.provider(shape, name).get("ms", [])) for name in (way, peer)),
        note="; ".join(note for note in notes if note) or None)


def error_text(provider: dict) -> str | None:
    labels = {"logprobs": "log p", "d_hidden": "dX", "d_weight": "dW"}
    return ", ".join(f"{labels[k]} {v:.1e}" for k, v in provider.get("errors", {}).items()) or None


def kernel_rows(measured: Measured) -> list[dict]:
    rows = []
    for name, label in (KERNELS | OTHER_KERNELS).items():
        case = measured.kernel(name)
        if not case:
            continue
        note = case.get("error") or (None if case.get("written") else "a value of the result was not written")
        peers = [way for way in case.get("ms", {}) if way != case.get("caprl")] or [None]
        for peer in peers:
            error = case.get("errors", {}).get(peer)
            rows.append(row(
                what=label, shape=case.get("shape"), caprl_ms=measured.kernel_ms(name), peer=peer,
                peer_ms=peer and measured.kernel_ms(name, peer),
                ratio=peer and quotient(measured.kernel_ms(name, peer), measured.kernel_ms(name)),
                share=measured.percent_of_copy(name), share_of="copy bandwidth",
                error=None if error is None else f"{error:.1e} from the peer",
                samples=len(case.get("ms", {}).get(case.get("caprl"), [])), note=note))
    return rows


def number(value, unit: str = "") -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        value = f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value} {unit}".strip()


def cell(text) -> str:
    return str(text).replace("|", "/").replace("\n", " ")


def table(headings: list[str], lines: list[list]) -> str:
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in [headings, ["---"] * len(headings), *lines])


def targets_table(measured: Measured | None) -> str:
    """Without measurements: as docs/benchmarks/targets.md has it."""
    def last_columns(target):
        value = target.value(measured) if measured else None
        if value is None:
            return ["not yet measured" if measured is None else "not measured", "–"]
        return [number(value, target.unit), number(target.holds(measured))]
    return table(["what", "target", "measured", "holds"], [[t.what, t.bound, *last_columns(t)] for t in TARGETS])


def rows_table(rows: list[dict]) -> str:
    headings = ["what", "shape", "caprl ms", "peer", "peer ms", "ratio", "share of", "share %", "extra GB", "peer's extra GB", "error",
                "peer's error", "samples", "note"]
    order = ["what", "shape", "caprl_ms", "peer", "peer_ms", "ratio", "share_of", "share", "extra_gb", "peer_extra_gb", "error",
             "peer_error", "samples", "note"]
    return table(headings, [[number(r[key]) for key in order] for r in rows])


def summary(stages: list[dict], measured: Measured) -> str:
    holds = [target.holds(measured) for target in TARGETS]
    failed = [stage["name"] for stage in stages if stage["state"] == "failed"]
    unfinished = [stage["name"] for stage in stages if stage["state"] not in ("passed", "failed")]
    parts = [f"targets: {holds.count(True)} hold, {holds.count(False)} missed, {holds.count(None)} not measured",
             "failed: " + (", ".join(failed) or "nothing")]
    if unfinished:
        parts.append("not finished: " + ", ".join(unfinished))
    return "gpu_check: " + "; ".join(parts)
