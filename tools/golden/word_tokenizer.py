#!/usr/bin/env python3
"""Golden ids of the committed word tokenizer (tests/golden/text/words), as transformers' AutoTokenizer loads it.

usage: tools/golden/word_tokenizer.py tests/golden/text
"""
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer


def main():
    out = Path(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(out / "words")
    print(f"loaded as {type(tokenizer).__name__}")
    vocab = json.loads((out / "words" / "vocab.json").read_text())
    assert {t: i for t, i in tokenizer.get_vocab().items() if t in vocab} == vocab
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
    plain = Tokenizer.from_file(str(out / "words" / "tokenizer.json"))  # without transformers' own set-up
    rng = random.Random(5)
    words = [tokenizer.decode([i]) for t, i in vocab.items() if len(t) > 2]
    sentences = ["".join(rng.choice(words + [" ", "\n", "12"]) for _ in range(rng.randint(1, 12))) for _ in range(100)]
    strings = json.loads((out / "strings.json").read_text())
    for text in strings + sentences:
        assert encode(text) == plain.encode(text, add_special_tokens=False).ids, text
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what color is the circle ?"}]}]
    chat = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) + " A"
    golden = {"ids": [encode(s) for s in strings], "sentences": [[s, encode(s)] for s in sentences], "chat": encode(chat),
              "added": sorted(tokenizer.added_tokens_decoder)}
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    (out / "words_golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
