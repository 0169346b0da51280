"""The peer of `tools/bench generation`: transformers' `generate` on the CPU.

    python peer_generation.py MODEL DTYPE BATCH PROMPT_TOKENS NEW_TOKENS THREADS

Prints the first tokens, as caprl-bench-generation does. Then every line on stdin asks for one round; the answer is its seconds.
"""
import sys
import time

import torch
from transformers import AutoModelForCausalLM

MODEL = sys.argv[1]
DTYPE = getattr(torch, sys.argv[2])
BATCH, LENGTH, TOKENS, THREADS = map(int, sys.argv[3:])
torch.set_num_threads(THREADS)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=DTYPE).eval()
ids = torch.tensor([[100 + (i * 7919 + j * 104729) % 40000 for j in range(LENGTH)] for i in range(BATCH)])


@torch.inference_mode()
def one_round(tokens: int) -> torch.Tensor:
    mask = torch.ones_like(ids)
    return model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens,
                          temperature=None, top_p=None, top_k=None, pad_token_id=0)[:, LENGTH:]


print(*one_round(8).flatten().tolist(), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    one_round(TOKENS)
    print(time.perf_counter() - begin, flush=True)
