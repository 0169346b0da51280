"""Other projects' ways to do the work of the loss head: from hidden states and the output head to a GRPO loss (strictly on-policy,
clipped ratio, k3 with a reference) and its gradients.

PEERS maps a name to a function that imports what it needs and returns `step(inputs, hidden, weight) -> (loss, log-probabilities or
None)`, whose backward pass the caller runs. `hidden` and `weight` are leaves that want gradients.
"""
import torch

import peer_packages
from loss_inputs import BETA, CLIP, TOKENS_PER_SEQUENCE, LossInputs


def grpo_loss(logprobs: torch.Tensor, inputs: LossInputs) -> torch.Tensor:
    """As TRL's GRPOTrainer computes it from log-probabilities (loss type dapo)."""
    ratio = torch.exp(logprobs - logprobs.detach())
    clipped = torch.clamp(ratio, 1 - CLIP, 1 + CLIP)
    difference = inputs.reference - logprobs
    kl = torch.exp(difference) - difference - 1
    per_token = -torch.min(ratio * inputs.advantages, clipped * inputs.advantages) + BETA * kl
    return per_token.sum() / len(inputs.targets)


def by_sequence(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, TOKENS_PER_SEQUENCE, *values.shape[1:])


def sequence_advantages(inputs: LossInputs) -> torch.Tensor:
    return inputs.advantages[::TOKENS_PER_SEQUENCE].contiguous()


def trl(fused_rows: bool):
    """Logits of all rows, then TRL's functions. Its Triton kernel for the rows replaces the eager ones where Triton is there."""
    utils = peer_packages.trl_utils()

    def step(inputs, hidden, weight):
        utils.is_triton_available = lambda: fused_rows
        logits = by_sequence(hidden) @ weight.T
        targets = by_sequence(inputs.targets)
        if fused_rows:
            logprobs, _ = utils.selective_log_softmax_and_entropy(logits, targets, entropy_requires_grad=False)
        else:
            logprobs = utils.selective_log_softmax(logits, targets)
            with torch.no_grad():
                utils.entropy_from_logits(logits)
        logprobs = logprobs.flatten()
        return grpo_loss(logprobs, inputs), logprobs

    return step


def trl_chunked():
    """TRL's ChunkedLogProbFunction: tiles of logits, made again in the backward pass."""
    peer_packages.trl_utils()
    from trl.kernels import ChunkedLogProbFunction

    def step(inputs, hidden, weight):
        logprobs = ChunkedLogProbFunction.apply(hidden, weight, None, inputs.targets, 1.0, 32768, None, 1.0, ("entropy",))[0]
        return grpo_loss(logprobs, inputs), logprobs

    return step


def liger_fused_linear(precision: str):
    """Liger's LigerFusedLinearGRPOLoss with its defaults. Its backward products are in fp32: `precision` is PyTorch's setting for
    those, "highest" by default, "high" lets them use TF32."""
    from liger_kernel.chunked_loss import LigerFusedLinearGRPOLoss

    loss = LigerFusedLinearGRPOLoss(beta=BETA, epsilon_low=CLIP, epsilon_high=CLIP, loss_type="dapo", temperature=1.0)

    def step(inputs, hidden, weight):
        torch.set_float32_matmul_precision(precision)
        try:
            mask = torch.ones_like(by_sequence(inputs.targets))
            value = loss(by_sequence(hidden), weight, by_sequence(inputs.targets), mask, sequence_advantages(inputs),
                         ref_per_token_logps=by_sequence(inputs.reference))[0]
        finally:
            torch.set_float32_matmul_precision("highest")
        return value, None

    return step


def liger_rows():
    """Logits of all rows, then Liger's triton_grpo_loss, gradients in place."""
    from liger_kernel.transformers.grpo_loss import triton_grpo_loss

    def step(inputs, hidden, weight):
        # It wants the logits of one more position in each sequence, which it ignores.
        padded = torch.nn.functional.pad(by_sequence(hidden), (0, 0, 0, 1))
        value = triton_grpo_loss(padded @ weight.T, None, by_sequence(inputs.reference).contiguous(),
                                 by_sequence(inputs.targets).contiguous(), sequence_advantages(inputs), temperature=1.0, beta=BETA,
                                 eps_low=CLIP, eps_high=CLIP, inplace=True, loss_type="dapo", reduce=True)[0]
        return value, None

    return step


def cut_cross_entropy():
    from cut_cross_entropy import linear_cross_entropy

    def step(inputs, hidden, weight):
        logprobs = -linear_cross_entropy(hidden, weight, inputs.targets, reduction="none")
        return grpo_loss(logprobs.float(), inputs), logprobs

    return step


def compiled_chunks():
    """What torch.compile makes of the plain formula in chunks of 2048 rows, with recomputation in the backward pass."""
    from torch.utils.checkpoint import checkpoint

    @torch.compile
    def chunk_logprobs(hidden, weight, targets):
        logits = (hidden @ weight.T).float()
        return logits.gather(1, targets[:, None]).squeeze(1) - torch.logsumexp(logits, -1)

    def step(inputs, hidden, weight):
        logprobs = torch.cat([checkpoint(chunk_logprobs, h, weight, t, use_reentrant=False)
                              for h, t in zip(hidden.split(2048), inputs.targets.split(2048))])
        return grpo_loss(logprobs, inputs), logprobs

    return step


def verl():
    linear_cross_entropy = peer_packages.verl_linear_cross_entropy()

    def step(inputs, hidden, weight):
        logprobs, _ = linear_cross_entropy(hidden, weight, inputs.targets, 1.0, "none")
        return grpo_loss(logprobs, inputs), logprobs

    return step


PEERS = {
    "trl_eager": lambda: trl(fused_rows=False),
    "trl_fused_rows": lambda: trl(fused_rows=True),
    "trl_chunked": trl_chunked,
    "liger_fused_linear": lambda: liger_fused_linear("highest"),
    "liger_fused_linear_tf32": lambda: liger_fused_linear("high"),
    "liger_rows": liger_rows,
    "cut_cross_entropy": cut_cross_entropy,
    "compiled_chunks": compiled_chunks,
    "verl": verl,
}
