"""Tokenizers beside Hugging Face tokenizers and sentencepiece, on random and adversarial strings and on real text.

    python tokens.py CAPRL CORPUS TOKENIZER...

CORPUS: one JSON string a line. TOKENIZER: a folder with tokenizer.json or tokenizer.model. Prints one JSON row {what, measured, target, holds}
for each of them and kind of input.
"""
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
import tokenizers

NUM_STRINGS = 1_000_000
BATCH = 250_000
PIECES = ["the", " a", "'s", "'LL", "don't", "  ", "\n", "\r\n", "\n\n\n", "\t", " \n ", "\u00a0", "\u3000", "\u2581", "\u2028", "\u200b", "\ufeff", "1", "12345", "\u00bd",
          "\u0663", "e\u0301", "\u0301", "q\u0307\u0323", "\u1112\u1161\u11ab", "\ufb01", "\u017f", "\u0130", "\u4f60\u597d", "\uff0c", "\u3042", "\ud55c", "\u0928\u093f", "\u0e44\u0e17\u0e22",
          "\u0645\u064f", "\U0001f600", "\U0001f469\u200d\U0001f469", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\x00", "\x7f", "\x13", "\ue000", "\U0010ffff", "\U000f0000", "\U00040000", "\ufffd", "<",
          ">", "|", "<|im_start|>", "<|im_end|>", "<|im_", "<|endoftext|>", "<s>", "</s>", "<unk>", "<0x0A>", "<think>", "</tool_call>", "<|image_pad|>", "[INST]",
          "def f(x):\n    return", "->", "==", "...", "?!", "\\n", "http://a.b/c?d=e", "snake_case", "CamelCase", "\u201cquoted\u201d", "\u2014", "A) "]


def random_strings(count: int, seed: int):
    """Joined pieces that tokenizers treat specially, runs of one of them, and code points of every plane."""
    rng = random.Random(seed)
    limits = [0x80, 0x250, 0x3000, 0xD800, 0x110000]
    for i in range(count):
        kind = i % 4
        if kind < 2:
            yield "".join(rng.choices(PIECES, k=rng.randrange(12)))
        elif kind == 2:
            yield rng.choice(PIECES) + rng.choice(PIECES) * rng.randrange(20) + rng.choice(PIECES)
        else:
            limit = rng.choice(limits)
            yield "".join(chr(c) for c in (rng.randrange(limit) for _ in range(rng.randrange(16))) if not 0xD800 <= c < 0xE000)


def corpus_strings(path: pathlib.Path):
    with path.open() as file:
        yield from map(json.loads, file)


class HuggingFace:
    def __init__(self, folder: pathlib.Path):
        description = json.loads((folder / "tokenizer.json").read_text())
        config = folder / "tokenizer_config.json"
        if config.exists() and not description["added_tokens"]:  # InternLM2 names them, and names them anew, only there
            added = [t | {"id": int(i)} for i, t in json.loads(config.read_text()).get("added_tokens_decoder", {}).items()]
            names = {t["id"]: t["content"] for t in added}
            description["added_tokens"] = added
            description["model"]["vocab"] = {names.get(i, t): i for t, i in description["model"]["vocab"].items()}
        self.tokenizer = tokenizers.Tokenizer.from_str(json.dumps(description))
        self.size = self.tokenizer.get_vocab_size()
        # A byte-level vocabulary of 256 bytes and the normal form C restore every text up to that form; some lack bytes.
        self.lossless = description["normalizer"] == {"type": "NFC"}

    def encode(self, strings):
        return [e.ids for e in self.tokenizer.encode_batch_fast(strings, add_special_tokens=False)]

    def decode(self, ids):
        return self.tokenizer.decode_batch(ids, skip_special_tokens=False)


class SentencePiece:
    """Strings with the texts of control pieces, which sentencepiece takes for ordinary ones, are left out."""
    lossless = False

    def __init__(self, folder: pathlib.Path):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        self.size = self.processor.vocab_size()
        self.control = [self.processor.id_to_piece(i) for i in range(self.size) if self.processor.is_control(i) or self.processor.is_unknown(i)]

    def encode(self, strings):
        return [None if any(c in s for c in self.control) else ids for s, ids in zip(strings, self.processor.encode(strings))]

    def decode(self, ids):
        special = {i for i in range(self.size) if self.processor.is_control(i) or self.processor.is_unknown(i)}
        return [None if special.intersection(one) else self.processor.decode(one) for one in ids]


def caprl(program: str, folder: pathlib.Path, lines, *flags):
    with tempfile.TemporaryFile("w+") as given:
        given.writelines(json.dumps(line) + "\n" for line in lines)
        given.seek(0)
        done = subprocess.run([program, "tokenize", "--model", folder, *flags], stdin=given, stdout=subprocess.PIPE, check=True)
    return map(json.loads, done.stdout.splitlines())


def differences(expected, got) -> int:
    return sum(e is not None and e != g for e, g in zip(expected, got, strict=True))


def compare(program, folder, reference, strings, what) -> None:
    count = size = wrong = wrong_decoded = not_restored = 0
    strings = iter(strings)
    while batch := list(itertools.islice(strings, BATCH)):
        ids = list(caprl(program, folder, batch))
        wrong += differences(reference.encode(batch), ids)
        texts = list(caprl(program, folder, ids, "--decode"))
        wrong_decoded += differences(reference.decode(ids), texts)
        if reference.lossless:
            not_restored += sum(t != unicodedata.normalize("NFC", s) and t != s for t, s in zip(texts, batch))
        count += len(batch)
        size += sum(len(s.encode()) for s in batch)
    restored = f", {not_restored} not restored" if reference.lossless else ""
    print(json.dumps({"what": f"tokenizer {folder.name}, {what}", "target": "0 differences",
                      "measured": f"{count:,} strings of {size / 1e6:.0f} MB: {wrong} encoded and {wrong_decoded} decoded otherwise{restored}",
                      "holds": wrong == wrong_decoded == 0}), flush=True)


def compare_random_ids(program, folder, reference) -> None:
    rng = random.Random(9)
    limits = [300, reference.size]
    ids = [[rng.randrange(rng.choice(limits)) for _ in range(rng.randrange(12))] for _ in range(NUM_STRINGS // 10)]
    wrong = differences(reference.decode(ids), caprl(program, folder, ids, "--decode"))
    print(json.dumps({"what": f"tokenizer {folder.name}, random ids", "measured": f"{len(ids):,} lists: {wrong} decoded otherwise",
                      "target": "0 differences", "holds": wrong == 0}), flush=True)


def main() -> None:
    program, corpus, *folders = sys.argv[1:]
    for folder in map(pathlib.Path, folders):
        reference = (HuggingFace if (folder / "tokenizer.json").exists() else SentencePiece)(folder)
        compare(program, folder, reference, random_strings(NUM_STRINGS, 1), "random and adversarial strings")
        compare(program, folder, reference, corpus_strings(pathlib.Path(corpus)), "text of 15 languages")
        compare_random_ids(program, folder, reference)


if __name__ == "__main__":
    main()
