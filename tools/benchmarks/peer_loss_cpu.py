"""The peer of `tools/bench loss`: TRL's eager loss in PyTorch, fp32 on the CPU.

    python peer_loss_cpu.py ROWS HIDDEN VOCAB THREADS

The formula is that of TRL's GRPOTrainer with `selective_log_softmax` and `entropy_from_logits` for fp32 logits (TRL f2cd577): the
logits of all rows, log-probabilities by logsumexp, entropy in chunks of 128 rows, clipped ratio, k3. Prints the loss and the norms
of its gradients, as caprl-bench-loss-cpu does. Then every line on stdin asks for one round; the answer is its seconds.
"""
import sys
import time

import torch

ROWS, HIDDEN, VOCAB, THREADS = map(int, sys.argv[1:])
BETA, CLIP = 0.04, 0.2
torch.set_num_threads(THREADS)

# In caprl-bench-loss-cpu's order.
torch.manual_seed(1)
weight = torch.randn(VOCAB, HIDDEN).mul_(4 / HIDDEN ** 0.5)
hidden = torch.randn(ROWS, HIDDEN)
targets = torch.randint(VOCAB, (ROWS,))
advantages = torch.randn(ROWS)


def logprobs_of(logits: torch.Tensor) -> torch.Tensor:
    return logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(logits, dim=-1)


with torch.no_grad():
    reference = logprobs_of(hidden @ weight.T) + 0.1 * torch.randn(ROWS)
hidden.requires_grad_()
weight.requires_grad_()


def entropy_of(logits: torch.Tensor) -> torch.Tensor:
    parts = []
    for chunk in logits.split(128):
        logprobs = torch.log_softmax(chunk, dim=-1)
        parts.append(-(torch.exp(logprobs) * logprobs).sum(-1))
    return torch.cat(parts)


def one_round() -> torch.Tensor:
    logits = hidden @ weight.T
    logprobs = logprobs_of(logits)
    with torch.no_grad():
        entropy_of(logits)
    ratio = torch.exp(logprobs - logprobs.detach())
    clipped = torch.clamp(ratio, 1 - CLIP, 1 + CLIP)
    kl = torch.exp(reference - logprobs) - (reference - logprobs) - 1
    loss = (-torch.min(ratio * advantages, clipped * advantages) + BETA * kl).sum() / ROWS
    loss.backward()
    return loss


print(one_round().item(), hidden.grad.norm().item(), weight.grad.norm().item(), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    one_round()
    print(time.perf_counter() - begin, flush=True)
