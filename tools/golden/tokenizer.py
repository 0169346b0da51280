#!/usr/bin/env python3
"""Golden ids of tokenizers and chat templates for tests/text, made by Hugging Face tokenizers and transformers.

usage: tools/golden/tokenizer.py OUT [TEST_DATA]
OUT is tests/golden/text. TEST_DATA holds tokenizers/{qwen2_5,qwen3,llama2,internlm2}/tokenizer.json.xz; without it
their golden files are left as they are.
"""
import json
import lzma
import random
import sys
from pathlib import Path

import sentencepiece
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
           "<|image_pad|>", "<|video_pad|>"]
NOT_SPECIAL = ["<tool_call>", "</tool_call>", "<|im"]

WORDS = {
    "latin": "red circle Überstraße naïve café coöperate ſmall İstanbul ĳssel ﬁne don't WE'LL they'Re o'clock".split(),
    "greek": "κόκκινος κύκλος Ωμέγα ὀξύς".split(),
    "cyrillic": "красный круг ёлка Й й".split(),
    "arabic": "دائرة حمراء مُحَمَّد ٣٤٥".split(),
    "hebrew": "עיגול אדום שָׁלוֹם".split(),
    "hindi": "लाल वृत्त हिन्दी क्षत्रिय १२३".split(),
    "thai": ["วงกลมสีแดง", "ภาษาไทย"],
    "chinese": ["红色的圆形", "你好，世界", "三百二十一", "㊗㊙"],
    "japanese": ["赤い円です", "カタカナ", "がぎぐ", "か\u3099き\u3099", "ｶﾀｶﾅ"],
    "korean": ["빨간 원", "\u1112\u1161\u11ab\u1100\u1173\u11af", "각"],
    "emoji": ["😀", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣"],
    "combining": ["e\u0301", "\u0301", "a\u0323\u0307", "q\u0307\u0323", "\u212b", "\u0344", "Z\u0351\u0489algo",
                  "a\u1ac3\u0338\u0301", "\u08d3\u0338", "\U00011935\U00011930"],
    "numbers": ["12345", "3.14159", "1,000,000", "½", "Ⅻ", "²³", "٣", "0x1F", "1e-9", "২৪"],
    "space": [" ", "  ", "\t", "\n", "\r\n", "\n\n\n", "\u00a0", "\u3000", "\u2028", "\v", "\f", "\x85", "\u200b", "   \n  "],
    "signs": ["!", "?!...", "—", "«»", "(a)", "[b]{c}", "A) ", "@#$%^&*", "\\n", "'", "\"", "''s", "€£¥", "∑∫≠", "•", "\ufeff",
              "\x00", "\x7f", "\ue000", "\U000f0000", "\ufffd", "\U0010ffff"],
    "code": ["def f(x):\n    return x**2\n", "for (int i=0;i<n;++i) {\n\tsum += a[i];\n}", "#include <vector>", "a->b::c<d>()",
             "{\"key\": [1, 2.5e3, null]}", "<div class=\"x\">&amp;</div>", "SELECT * FROM t WHERE x='y';", "snake_case camelCase"],
    "added": SPECIAL + NOT_SPECIAL + ["<|im_start|>user\n", "<|im_end|>\n", "<|im_", "im_end|>", "<think>", "</think>",
                                      "<tool_response>", "<|fim_prefix|>", "<|image_pad|><|image_pad|>"],
}


def make_strings():
    rng = random.Random(20240901)
    strings = ["", "Hello, world!", "Please describe this image in detail.", "e\u0301 café  12345\n\n  x"]
    for words in WORDS.values():
        strings += words
    kinds = list(WORDS)
    while len(strings) < 330:
        kind = rng.choice(kinds)
        picked = [rng.choice(WORDS[kind if rng.random() < 0.5 else rng.choice(kinds)]) for _ in range(rng.randint(2, 8))]
        strings.append(rng.choice(["", " ", "  ", " ", "\n"]).join(picked))
    for _ in range(30):  # any code points but surrogates
        points = [rng.choice([rng.randrange(0x80), rng.randrange(0x800), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])
                  for _ in range(rng.randint(1, 20))]
        strings.append("".join(map(chr, points)))
    return strings


def training_text():
    """The project's own text: sentences about coloured shapes."""
    rng = random.Random(7)
    colors = "red green blue yellow purple orange black white".split()
    shapes = "circle square triangle star cross ring".split()
    places = ["at the top left", "at the top right", "at the bottom left", "at the bottom right", "in the middle"]
    numbers = "one two three four five".split()
    described = "large small bright dark striped dotted hollow filled rotated leaning tiny huge pale shiny narrow wide".split()
    relations = ["above", "below", "beside", "behind", "between", "near", "far from", "touching", "inside", "outside"]
    for _ in range(400):
        yield (f"Picture {rng.randint(1, 999)}: the {rng.choice(described)} {rng.choice(shapes)} is {rng.choice(relations)} "
               f"the {rng.choice(described)} {rng.choice(colors)} {rng.choice(shapes)}, isn't it?\n\n")
        yield (f"There is a {rng.choice(colors)} {rng.choice(shapes)} {rng.choice(places)}. "
               f"How many {rng.choice(shapes)}s are there? {rng.choice(numbers).capitalize()}, "
               f"and the {rng.choice(shapes)}'s color isn't {rng.choice(colors)}; it's {rng.choice(colors)} (no. {rng.randint(0, 99)}).\n")


def qwen_pretokenizer():
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN_PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train_small(directory):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = qwen_pretokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(training_text(), trainer)
    # Merges that no training finds, since the words end there: they show where a pre-tokenizer splits.
    description = json.loads(tokenizer.to_str())
    model = description["model"]
    for left, right in [("1", "2"), ("\u0120", "1"), ("e", "\u0120"), (".", "\u010a"), ("\u0120", "\u0120"), ("\u0120", "\u0120the")]:
        if left + right not in model["vocab"]:
            model["vocab"][left + right] = len(model["vocab"])
            model["merges"].append([left, right])
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in NOT_SPECIAL])
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)


def golden(description, strings, seed):
    """`ids`: added tokens recognised; `plain`: all text ordinary; `decoded`: random ids, special tokens kept and skipped."""
    tokenizer = Tokenizer.from_str(json.dumps(description))
    plain = Tokenizer.from_str(json.dumps(description | {"added_tokens": []}))
    rng = random.Random(seed)
    highest = max([a["id"] for a in description["added_tokens"]] + list(description["model"]["vocab"].values()))
    added = [a["id"] for a in description["added_tokens"]]
    decoded = []
    for _ in range(100):
        pool = rng.choice([256, highest + 100])
        ids = [rng.choice(added) if rng.random() < 0.15 else rng.randrange(pool) for _ in range(rng.randint(0, 12))]
        decoded.append([ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)])
    return {"ids": [tokenizer.encode(s, add_special_tokens=False).ids for s in strings],
            "plain": [plain.encode(s, add_special_tokens=False).ids for s in strings],
            "decoded": decoded}


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def variants(small):
    """Other forms of the small tokenizer: what changes in tokenizer.json (a JSON merge patch)."""
    pairs = [m if isinstance(m, list) else m.split(" ") for m in small["model"]["merges"]]
    qwen = small["pre_tokenizer"]["pretokenizers"][0]
    return {
        "gpt2": {"normalizer": None, "pre_tokenizer": byte_level(True)},
        "individual_digits": {"normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level(True)]}},
        "digit_groups": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
                         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                             {"type": "Digits", "individual_digits": False}, qwen, byte_level(False)]}},
        "no_words": {"pre_tokenizer": byte_level(False)},
        "merge_strings": {"model": {"merges": [" ".join(p) for p in pairs]}},
        # Some merges are taken away, so that only the whole-word look-up finds their products.
        "ignore_merges": {"model": {"ignore_merges": True, "merges": pairs[:150]}},
    }


def train_characters(directory):
    """A tokenizer of characters with byte fallback, as files converted from sentencepiece are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(vocab_size=360, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    merges = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    # Merges over the space and of the line's end: they show whether words are cut where they may be.
    extra = [["e", "\u2581"], ["e\u2581", "c"], ["\u2581", "\u2581"], ["\u2581\u2581", "\u2581\u2581"], [".", "\n"], ["\u4f60", "\u597d"]]
    words = [w for w in model["vocab"] if w not in ("\u4f60", "\u597d")] + ["\u4f60", "\u597d"] + [a + b for a, b in extra]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + list(dict.fromkeys(words))
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    back = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
    bos = {"id": "<s>", "ids": [1], "tokens": ["<s>"]}
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(i, t) for i, t in enumerate(["<unk>", "<s>", "</s>"])],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, space]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "pair": [], "special_tokens": {"<s>": bos},
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
        "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                     {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges + extra}})


def added(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True} | flags


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}


def character_variants(base):
    without_prefix = {"normalizer": {"type": "Sequence", "normalizers": base["normalizer"]["normalizers"][1:]}}
    bare = [{"type": "ByteFallback"}, {"type": "Fuse"}]
    return {
        "llama": {},
        "no_prefix": without_prefix | {"decoder": {"type": "Sequence", "decoders": base["decoder"]["decoders"][:3]}},
        "metaspace_first": {"normalizer": None, "pre_tokenizer": metaspace("first", False)},
        "metaspace_always": {"normalizer": None, "pre_tokenizer": metaspace("always", True)},
        "metaspace_never": {"normalizer": None, "pre_tokenizer": metaspace("never", True), "decoder": {"type": "Sequence", "decoders": bare}},
        "unknown_fused": {"model": {"byte_fallback": False}},
        "unknown_apart": {"model": {"byte_fallback": False, "fuse_unk": False}},
        "unknown_left_out": {"model": {"byte_fallback": False, "unk_token": None}},
        "compatibility": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}] + base["normalizer"]["normalizers"]}},
        "normalized_added": {"added_tokens": [added(0, "<unk>"), added(1, "<s>", normalized=True), added(2, "</s>", normalized=True)]},
        "strips": {"added_tokens": [added(0, "<unk>"), added(1, "<s>", rstrip=True), added(2, "</s>", lstrip=True, rstrip=True)]},
        "ignore_merges": without_prefix | {"model": {"ignore_merges": True, "merges": base["model"]["merges"][:100]}},
    }


def golden_characters(out):
    base = json.loads((out / "characters" / "tokenizer.json").read_text())
    strings = make_strings()[::6] + ["", " ", "   ", "<s>x", "<s> a</s> b", " <s>  the</s>  \n</s>circle", "the circle e c", "e  c\u2581e\u2581c", "<0x41>",
                                     "\u2581the \u2581", "\u4f60\u597d\u4f60 \U0001f600\U0001f600 x", "\x00\ufffd", "the\ncircle.\n", "\u00a0<s>\u3000</s>"]
    write(out / "characters_golden.json", {"strings": strings, "variants": [
        {"name": name, "patch": patch} | golden(merge_patch(base, patch), strings, 5) for name, patch in character_variants(base).items()]})


def golden_sentencepiece(out):
    """Models of sentencepiece, and what its own library makes of texts and ids."""
    options = {"bpe": dict(model_type="bpe", byte_fallback=True, remove_extra_whitespaces=False, vocab_size=500, user_defined_symbols=["<tool>"]),
               "unigram": dict(model_type="unigram", remove_extra_whitespaces=True, vocab_size=170)}
    directory = out / "sentencepiece"
    directory.mkdir(parents=True, exist_ok=True)
    strings = make_strings()[::4] + ["", " ", "   a  b ", "<tool>x <tool>", "the red circle"]
    result = {"strings": strings}
    for name, chosen in options.items():
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=training_text(), model_prefix=str(directory / name), minloglevel=2,
                                                 normalization_rule_name="identity", **chosen)
        (directory / f"{name}.vocab").unlink()
        processor = sentencepiece.SentencePieceProcessor(model_file=str(directory / f"{name}.model"))
        rng = random.Random(11)
        ids = [[rng.randrange(1, rng.choice([260, processor.vocab_size()]) if name == "bpe" else processor.vocab_size())
                for _ in range(rng.randint(0, 12))] for _ in range(300)]
        result[name] = {"ids": [processor.encode(s) for s in strings], "decoded": [[i, processor.decode(i)] for i in ids]}
    write(out / "sentencepiece_golden.json", result)


def merge_patch(target, patch):
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


CONVERSATIONS = [
    [("user", "What color is the circle?")],
    [("user", "  spaces around \n")],
    [("system", "Answer briefly."), ("user", "How many stars?"), ("assistant", "Three."), ("user", "Sure?")],
    [("system", "\n Be exact. \n"), ("user", "\nWhy?"), ("assistant", "\n\n Because. \n")],
    [("user", [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Describe this image."}])],
    [("user", [{"type": "text", "text": "First "}, {"type": "image", "image": "a.png"}, {"type": "text", "text": "and second "},
               {"type": "image", "image": "b.png"}]), ("assistant", ""), ("user", "e\u0301 你好 12")],
]
PREFIXES = ["", "The answer is", " "]
CHAT_TOKENS = ["<s>", "</s>", "[INST]", "[/INST]", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<think>", "</think>", "<img>", "</img>",
               "<IMG_CONTEXT>"]


def chat_tokenizer(out):
    """The small tokenizer with the added tokens of other families; its tokenizer_config.json is a test file too."""
    first = max(t["id"] for t in json.loads((out / "small" / "tokenizer.json").read_text())["added_tokens"]) + 1
    decoder = {str(first + i): {k: v for k, v in added(0, t, special="think" not in t).items() if k != "id"} for i, t in enumerate(CHAT_TOKENS)}
    write(out / "chat_tokenizer_config.json", {"added_tokens_decoder": decoder, "bos_token": "<s>", "eos_token": {"content": "</s>"}})
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "small" / "tokenizer.json"), bos_token="<s>", eos_token="</s>")
    tokenizer.add_tokens([AddedToken(t, special="think" not in t, normalized=False) for t in CHAT_TOKENS])
    assert all(tokenizer.convert_tokens_to_ids(t["content"]) == int(i) for i, t in decoder.items())
    return tokenizer


def chat_golden(out):
    tokenizer = chat_tokenizer(out)
    result = []
    for path in sorted((out / "templates").glob("*.jinja")):
        for messages in CONVERSATIONS:
            has_list = any(isinstance(content, list) for _, content in messages)
            if has_list and not path.name.startswith("vision"):
                continue
            chat = [{"role": role, "content": content} for role, content in messages]
            for prefix in [None] + PREFIXES:
                text = tokenizer.apply_chat_template(chat, chat_template=path.read_text(), tokenize=False, enable_thinking=False,
                                                     add_generation_prompt=prefix is not None)
                text = text.replace("<IMG_CONTEXT>", "<img><IMG_CONTEXT></img>")  # as the processor does
                ids = tokenizer.encode(text + (prefix or ""), add_special_tokens=False)
                result.append({"template": path.name, "messages": chat, "prefix": prefix, "ids": ids})
    return result


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def main():
    out = Path(sys.argv[1])
    strings = make_strings()
    write(out / "strings.json", strings)
    train_small(out / "small")
    small = json.loads((out / "small" / "tokenizer.json").read_text())
    write(out / "small_golden.json", golden(small, strings, 1))
    some = strings[::5] + ["12 the", "x12y 1 12", "e  the .\n12", "there's a  1"]
    write(out / "variants_golden.json", {
        "strings": some,
        "variants": [{"name": name, "patch": patch, "ids": golden(merge_patch(small, patch), some, 2)["ids"]}
                     for name, patch in variants(small).items()]})
    train_characters(out / "characters")
    golden_characters(out)
    golden_sentencepiece(out)
    write(out / "chat_golden.json", chat_golden(out))
    if len(sys.argv) > 2:
        for name in ["qwen2_5", "qwen3", "llama2", "internlm2"]:
            folder = Path(sys.argv[2]) / "tokenizers" / name
            description = json.loads(lzma.open(folder / "tokenizer.json.xz").read())
            config = json.loads((folder / "tokenizer_config.json").read_text())
            if not description["added_tokens"]:  # InternLM2 names them only in the other file
                description["added_tokens"] = [token | {"id": int(id)} for id, token in config["added_tokens_decoder"].items()]
                names = {token["id"]: token["content"] for token in description["added_tokens"]}  # some are renamed
                description["model"]["vocab"] = {names.get(id, token): id for token, id in description["model"]["vocab"].items()}
            write(out / f"{name}_golden.json", golden(description, strings, 3))
    print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}: {len(strings)} strings")


if __name__ == "__main__":
    main()
