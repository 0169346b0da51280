"""The loss head in double precision: log-probabilities of all rows, gradients of the checked ones."""
import torch

from loss_inputs import BETA, LossInputs, checked_ids, checked_rows

CHUNK = 512


def reference(inputs: LossInputs) -> dict[str, torch.Tensor]:
    """Strictly on-policy GRPO with k3: d loss / d log p = (−A + β (1 − exp(ref − log p))) / N, and from there
    d loss / d logit j = that · (1{j = target} − p_j)."""
    rows, device = len(inputs.targets), inputs.hidden.device
    weight, hidden = inputs.weight.double(), inputs.hidden.double()
    wanted_rows, wanted_ids = checked_rows(rows, device), checked_ids(inputs.targets, len(weight))
    logprobs = torch.empty(rows, dtype=torch.float64, device=device)
    d_hidden = torch.empty(len(wanted_rows), hidden.shape[1], dtype=torch.float64, device=device)
    d_weight = torch.zeros(len(wanted_ids), hidden.shape[1], dtype=torch.float64, device=device)
    for begin in range(0, rows, CHUNK):
        part = slice(begin, min(begin + CHUNK, rows))
        targets = inputs.targets[part]
        logits = hidden[part] @ weight.T
        lse = torch.logsumexp(logits, -1)
        logprobs[part] = logits.gather(1, targets[:, None]).squeeze(1) - lse
        d_logprob = (-inputs.advantages[part].double()
                     + BETA * (1 - torch.exp(inputs.reference[part].double() - logprobs[part]))) / rows
        d_logits = torch.exp_(logits.sub_(lse[:, None])).mul_(-d_logprob[:, None])
        d_logits.scatter_add_(1, targets[:, None], d_logprob[:, None])
        d_weight += d_logits[:, wanted_ids].T @ hidden[part]
        mine = (wanted_rows >= part.start) & (wanted_rows < part.stop)
        d_hidden[mine] = d_logits[wanted_rows[mine] - begin] @ weight
    return {"logprobs": logprobs, "d_hidden": d_hidden, "d_weight": d_weight}
