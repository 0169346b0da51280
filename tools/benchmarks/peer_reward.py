"""The peer of `tools/bench reward`: transformers, fp32 on the CPU, all prompts as one padded batch.

    python peer_reward.py MODEL THREADS PROMPTS.json

PROMPTS.json is what caprl-bench-reward wrote. Prints the letters as numbers and the right ones' probabilities. Then every line on stdin asks for one round; the answer
is its seconds.
"""
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

MODEL, THREADS, PROMPTS = sys.argv[1], int(sys.argv[2]), json.load(open(sys.argv[3]))
torch.set_num_threads(THREADS)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
rows = [prompt["ids"] for prompt in PROMPTS["prompts"]]
longest = max(map(len, rows))
ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
positions = (mask.cumsum(1) - 1).clamp(min=0)


@torch.inference_mode()
def one_round() -> list[float]:
    # Logits of the last position alone: transformers' own way to save the rest.
    logits = model(ids, attention_mask=mask, position_ids=positions, logits_to_keep=1).logits[:, -1].double()
    answers = []
    for row, prompt in zip(logits, PROMPTS["prompts"]):
        scores = torch.stack([row[PROMPTS["letters"][label]].logsumexp(0) for label in prompt["labels"]])
        best = prompt["labels"][int(scores.argmax())]
        answers += [ord(best) - ord("A") + 1, scores.softmax(0)[prompt["labels"].index(prompt["right"])].item()]
    return answers


print(f"{len(rows)} prompts of {min(map(len, rows))} to {longest} tokens", file=sys.stderr)
print(*one_round(), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    one_round()
    print(time.perf_counter() - begin, flush=True)
