"""The peer of `tools/bench training`: transformers' model, PyTorch's loss and AdamW, eager, fp32 on the CPU.

    python peer_training.py MODEL SEQUENCES TOKENS THREADS

Prints the loss and the gradient's norm, as caprl-bench-training does. Then every line on stdin asks for one step; the answer is its
seconds, and on a line that says "memory" the highest resident bytes so far.
"""
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

MODEL = sys.argv[1]
SEQUENCES, TOKENS, THREADS = map(int, sys.argv[2:])
torch.set_num_threads(THREADS)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="sdpa").train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.999), weight_decay=0.01)
ids = torch.tensor([[100 + (s * 104729 + i * 7919) % 40000 for i in range(TOKENS)] for s in range(SEQUENCES)])


def one_step() -> tuple[float, float]:
    optimizer.zero_grad()
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item(), norm.item()


print(*one_step(), flush=True)
for line in sys.stdin:
    if line.strip() == "memory":
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)
        continue
    begin = time.perf_counter()
    one_step()
    print(time.perf_counter() - begin, flush=True)
