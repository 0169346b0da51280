"""Real weights: SmolLM2-135M-Instruct through `caprl import` and `caprl score`, beside transformers' own GGUF loader.

    python smollm2.py CAPRL GGUF

Prints JSON rows {what, measured, target, holds}.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NEW_TOKENS = 64
SUBJECTS = ["a red bicycle leaning on a wall", "two cats on a sofa", "a harbour at sunset", "a bowl of ramen", "an old typewriter", "a chess board",
            "a street market in the rain", "three hot-air balloons", "a child's drawing of a house", "a circuit board"]
QUESTIONS = ["Describe {} in one sentence.", "What colours would you expect in a photograph of {}?", "Write a short poem about {}.",
             "List three objects near {}.", "Caption: {}. Question: Is it day or night?\nA) day\nB) night\nAnswer with a letter."]
PROMPTS = [question.format(subject) for subject in SUBJECTS for question in QUESTIONS]


def score(program, model, rows, *flags):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        done = subprocess.run([program, "score", "--model", model, "--input", file.name, "--micro-tokens", "2048", *flags], check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()]


def report(what, measured, target, holds) -> None:
    print(json.dumps({"what": f"SmolLM2-135M-Instruct from GGUF: {what}", "measured": measured, "target": target, "holds": bool(holds)}), flush=True)


def main() -> None:
    program, gguf = sys.argv[1], pathlib.Path(sys.argv[2])
    load = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    reference = AutoModelForCausalLM.from_pretrained(**load, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(**load)
    with tempfile.TemporaryDirectory() as work:
        model = f"{work}/model"
        subprocess.run([program, "import", "--gguf", gguf, "--out", model, "--dtype", "float32"], check=True, stdout=subprocess.DEVNULL)
        own = score(program, model, [{"messages": [{"role": "user", "content": text}]} for text in PROMPTS], "--greedy", str(NEW_TOKENS))
        equal_prompts = equal_tokens = 0
        responses = []
        for text, line in zip(PROMPTS, own, strict=True):
            prompt = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False)
            equal_prompts += prompt == line["prompt_ids"]
            with torch.no_grad():
                ids = reference.generate(torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=2)[0, len(prompt):].tolist()
            equal_tokens += ids == line["response_ids"]
            responses.append({"prompt_ids": prompt, "response_ids": ids})
        report("prompt ids of its chat template", f"{equal_prompts} of {len(PROMPTS)} equal", "all", equal_prompts == len(PROMPTS))
        report(f"{NEW_TOKENS} greedy tokens", f"{equal_tokens} of {len(PROMPTS)} prompts identical", "all", equal_tokens == len(PROMPTS))
        worst = 0.0
        for row, line in zip(responses, score(program, model, responses), strict=True):
            ids = torch.tensor([row["prompt_ids"] + row["response_ids"]])
            with torch.no_grad():
                logprobs = reference(ids).logits[0, len(row["prompt_ids"]) - 1:-1].double().log_softmax(-1)
            expected = logprobs.gather(1, torch.tensor(row["response_ids"])[:, None])[:, 0]
            worst = max(worst, (expected - torch.tensor(line["logprobs"], dtype=torch.float64)).abs().max().item())
        report("log-probabilities", f"max difference {worst:.1e}", "1e-3", worst <= 1e-3)


if __name__ == "__main__":
    main()
