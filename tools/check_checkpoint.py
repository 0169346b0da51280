#!/usr/bin/env python3
"""Loads a checkpoint's model/ with transformers and compares greedy tokens with `caprl score --greedy`.

An oracle for people and tests; caprl itself needs no Python. Needs torch, torchvision, transformers and Pillow.

  tools/check_checkpoint.py --model RUN/checkpoints/latest/model --data RUN/world/heldout.jsonl --caprl build/cpu/bin/caprl
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from PIL import Image
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration


def rows_of(data, count):
    with open(data) as lines:
        rows = [json.loads(line) for _, line in zip(range(count), lines)]
    return [(str(data.resolve().parent / row["image"]["path"]), row["prompt"][0]["content"].replace("<image>", "")) for row in rows]


def with_caprl(caprl, model, rows, tokens):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as questions:
        for i, (image, text) in enumerate(rows):
            content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
            questions.write(json.dumps({"id": str(i), "messages": [{"role": "user", "content": content}]}) + "\n")
        questions.flush()
        command = [caprl, "score", "--model", model, "--input", questions.name, "--greedy", str(tokens), "--device", "cpu"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def with_transformers(directory, rows, tokens):
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(directory)
    for image, text in rows:
        messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
        prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = processor(text=[prompt], images=[Image.open(image).convert("RGB")], return_tensors="pt")
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        prompt_ids = inputs["input_ids"][0].tolist()
        yield prompt_ids, output[0].tolist()[len(prompt_ids):]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--caprl", required=True)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    arguments = parser.parse_args()
    rows = rows_of(arguments.data, arguments.images)
    ours = with_caprl(arguments.caprl, arguments.model, rows, arguments.tokens)
    equal = 0
    for mine, (prompt_ids, ids) in zip(ours, with_transformers(arguments.model, rows, arguments.tokens)):
        if mine["prompt_ids"] != prompt_ids:
            print(f"{mine['id']}: prompt ids differ:\n  caprl        {mine['prompt_ids']}\n  transformers {prompt_ids}")
        elif mine["response_ids"] != ids:
            print(f"{mine['id']}: greedy tokens differ:\n  caprl        {mine['response_ids']}\n  transformers {ids}")
        else:
            equal += 1
    print(f"{equal} of {len(rows)} images: equal prompts and greedy tokens")
    sys.exit(equal != len(rows))


if __name__ == "__main__":
    main()
