#!/usr/bin/env python3
"""The published CapRL reward server's protocol once more, in Python, but for what the LLM writes: the reference that
protocol_test.cpp compares caprl with. It shares no code with caprl.

Usage: reference_protocol.py [CASES]. Prints a JSON object a line:
  config    keys of section `reward`, values in YAML syntax
  seed      of the draws
  request   the body of POST /get_reward
  asked     per caption, the texts put to the answerer
  outputs   per caption and question, what the answerer wrote; null: it could not be asked
  response  per caption, the reward; null: no answer was valid
"""
import functools
import itertools
import json
import random
import re
import sys

WORD = 2**32 - 1
LONG = 2**64 - 1
BLANKS = " \t\r\n\v\f"
LETTERS = "ABCDEFGHI"


# Random numbers at addresses: a key made of seed, purpose and ids, and Philox4x32-10 (Salmon et al., SC 2011) under it.

QUESTION_DRAW, OPTION_ORDER = 2, 3  # purposes


def philox(counter, key):
    """Ten rounds over the counter's four words under the key's two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & WORD, (left >> 32) ^ c3 ^ k1, left & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def splitmix(x):
    x = (x + 0x9E3779B97F4A7C15) & LONG
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & LONG
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & LONG
    return x ^ x >> 31


class Stream:
    """Numbers of one purpose; each is a function of its counter (high, low)."""

    def __init__(self, seed, purpose, *ids):
        self.key = splitmix(splitmix(seed) ^ purpose)
        for identity in ids:
            self.key = splitmix(self.key ^ splitmix(identity))

    def below(self, n, high, low=0):
        """In [0, n): the first 64 bits of the block, as a fraction of n."""
        halves = (low & WORD, low >> 32, high & WORD, high >> 32)
        first, second, _, _ = philox(halves, (self.key & WORD, self.key >> 32))
        return ((first << 32 | second) * n) >> 64

    def order(self, n, high):
        """Fisher-Yates from the end, one counter a place."""
        cards = list(range(n))
        for last in reversed(range(1, n)):
            other = self.below(last + 1, high, last)
            cards[last], cards[other] = cards[other], cards[last]
        return cards


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & LONG
    return value


def check_known_answers():
    """Vectors of Random123 1.09 (kat_vectors) and of the FNV draft (draft-eastlake-fnv)."""
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)
    assert philox((0,) * 4, (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox((WORD,) * 4, (WORD, WORD)) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    assert philox(*pi) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
    assert fnv1a(b"") == 0xCBF29CE484222325 and fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8


# The protocol.

LABEL = re.compile(r"(?:[(（]([A-I])[)）]|([A-I])(?:[)）．、]|\.(?=[ \t\r\n\v\f]|\Z)))(.*)", re.DOTALL)


def labelled(text):
    """(number of the letter, the text behind it) of "A) red" and the like, else None."""
    match = LABEL.match(text.strip(BLANKS))
    return match and (LETTERS.index(match[1] or match[2]), match[3].strip(BLANKS))


class Item:
    """A question with its options, read from one text."""

    def __init__(self, text, answer):
        lines = text.split("\n")
        labels = [labelled(line) for line in lines]
        numbers = [label and label[0] for label in labels]
        start = max(i for i, number in enumerate(numbers) if number == 0 and 1 in numbers[i:])
        options = []
        for line, label in zip(lines[start:], labels[start:]):
            if label:
                assert label[0] == len(options), "options out of order"
                options.append(label[1])
            else:
                options[-1] += "\n" + line
        self.question = "\n".join(lines[:start]).strip(BLANKS)
        self.options = [option.strip(BLANKS) for option in options]
        assert self.question and 2 <= len(self.options) <= 8 and all(self.options)
        assert len(set(self.options)) == len(self.options)
        self.right = self.number_of(answer.strip(BLANKS))

    def number_of(self, answer):
        number, text = labelled(answer) or (LETTERS.index(answer) if len(answer) == 1 and answer in LETTERS else 9, "")
        if number < len(self.options) and text in ("", self.options[number]):
            return number
        return self.options.index(answer)

    def put(self, order, abstain_choice, abstain_label):
        """(text for the answerer, right letter, letter of the abstain option or None)"""
        used = LETTERS[:len(order)]
        shown = [(letter, self.options[i]) for letter, i in zip(used, order)]
        abstain = None
        if abstain_choice:
            abstain = abstain_label if abstain_label and abstain_label not in used else LETTERS[len(used)]
            shown.append((abstain, abstain_choice))
        text = "\n".join([self.question] + [f"{letter}) {option}" for letter, option in shown])
        return text, used[order.index(self.right)], abstain


read_item = functools.cache(Item)  # cases share questions


def put_questions(entry, config, seed):
    """What the entry [caption, [[question, answer], …]] is asked."""
    items = [read_item(text, answer) for text, answer in entry[1]]
    address = fnv1a(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode())
    draws, orders = (Stream(seed, purpose, 0, address, 0) for purpose in (QUESTION_DRAW, OPTION_ORDER))
    if config["draw"] == "all":
        drawn = items
    else:
        drawn = [items[draws.below(len(items), k)] for k in range(config["qa_num"])]
    asked = []
    for k, item in enumerate(drawn):
        count = len(item.options)
        order = orders.order(count, k) if config["shuffle_choices"] else list(range(count))
        asked.append(item.put(order, config["abstain_choice"], config["abstain_label"]))
    return asked


def reward(asked, outputs, config):
    given = [(re.search("[A-I]", output), right, abstain)
             for output, (_, right, abstain) in zip(outputs, asked, strict=True) if output is not None]
    if not given:
        return None
    letters = [(match and match[0], right, abstain) for match, right, abstain in given]
    right = sum(letter == right for letter, right, _ in letters)
    abstained = sum(letter is not None and letter == abstain for letter, _, abstain in letters)
    return config["scale"] * (right / len(letters)) + config["abstention.weight"] * (abstained / len(letters))


# The cases.

STEMS = [
    "What color is the ball?", "How many dogs are there?", "Which one is shown ?", "这张图片里有什么？", "球是什么颜色的？",
    "ボールは何色ですか？", "공은 무슨 색입니까?", "Какого цвета мяч?", "ما لون الكرة؟", "¿De qué color es?", "गेंद किस रंग की है?", "🐶 or 🐱?",
    "What is $\\int_0^1 x^2\\,dx$?", "Solve $f(A) = \\{B \\mid B > 0\\}$ for \\(A\\).", "Is \"A) red\" what the sign says?",
    "What does this print?\n```python\nfor i in range(3):\n    print(i)\n```", "Which compiles?\n\n  int a[3] = {1, 2};\n\tint b;",
    "Look at A. Then answer.", "A) is a label.\nWhat is B) then?", "A) one\nB) two\nC) three\nstand on the board. Which is first?",
    "Text (A) and （B）", "A tab\tand a \x01 and a \x7f and a \u2028", "{caption} {question} %s \\n", "Options, A. B. C. or D.",
]
OPTIONS = [
    "red", "blue", "green", "black", "a dog", "2", "3", "0.5", "12%", "None of the above", "Yes", "No", "红色", "蓝色", "一只狗", "青い",
    "빨간색", "красный", "أحمر", "azul oscuro", "लाल", "🐶", "$x^2 + 1$", "$\\frac{a}{b}$", "\\(\\{A, B\\}\\)", "f(A) = {B}",
    "x[i] /= 2;", "if (a < b) { a = b; }", "A. M. Turing", "J. Smith", "M. Curie", "(a)", "(B)", "B", "D、", "A) nested", "C. 3",
    "\"quoted\"", "back\\slash", "a/b", "tab\there", "　wide", "if x:\n    y()", "x = 1\n\ny = {A: 2}", "def f():\n\treturn A",
    "one\nA.M. Turing\nJ) two\nAB) three\n(A four\n(BC) five\na.b) six", "第一行\nＡ）第二行",
    "$$\n\\begin{aligned}\na &= b \\\\\n\\end{aligned}\n$$",
]
CAPTIONS = ["", "A red ball lies on the grass.", "两只狗在草地上。\n球是红色的。", "Строка \"в кавычках\" \\ и / 🐕\t\x00\x1f\x7f", "B) B) B)",
            "ball " * 9]
MARKS = ["{})", "{}.", "({})", "{}）", "{}．", "{}、", "（{}）"]
EXTRAS = {"query": [[], ["describe"], ["a", {"b": [1, -2.5, None, True]}]], "labels": [[], [""], {"x": 1e3}, None]}
WORDLESS = ["", " ", "b", "none of them", "(c)", "?!", "Z", "J or K", "Ｂ", "Б", "答案", "é", "\n"]
SENTENCES = [" {}", "{}", "{}) red", "the answer is {}", "\n\t{}.", "({})", "**{}**", "答案是{}。", "é {} or A", "Ｂ {}",
             "\\boxed{{{}}}", "{}{}"]
BARE_LABEL = re.compile(r"[(（]?[A-Ia-i]\W*")


def configs():
    draws = [{"draw": "all"}] + [{"draw": "with_replacement", "qa_num": n} for n in (1, 4, 8)]
    unknown = "Can not answer based on the caption"
    options = [("", ""), ("", "F"), (unknown, "F"), (unknown, ""), ("没有提到: \"A\"", "C"), ("None", "I"), ("two\nlines", "E")]
    weights = [(2.0, 0.0), (1.0, 0.0), (2.0, 0.1), (0.75, -0.3), (1 / 3, 0.7), (0.0, 1.5)]
    for draw, shuffle, (choice, label), (scale, weight) in itertools.product(draws, (False, True), options, weights):
        rest = {"shuffle_choices": shuffle, "abstain_choice": choice, "abstain_label": label}
        yield {**draw, **rest, "scale": scale, "abstention.weight": weight}


def question_text(rng, stem, options):
    """The question as a curator may have written it."""
    marks = [rng.choice(MARKS)] * 8 if rng.random() < 0.8 else [rng.choice(MARKS) for _ in range(8)]
    indent = rng.choice(["", "", "", "  ", "\t"])
    text = rng.choice(["", "", "", "\n", "  "]) + stem + rng.choice(["\n", "\n", "\n\n", " \n"])
    for letter, mark, option in zip(LETTERS, marks, options):
        space = rng.choice([" ", " ", " ", "  ", "\t"] + ([""] if mark != "{}." else []))
        if "\n" in option and rng.random() < 0.3:
            space = "\n"
        text += indent + mark.format(letter) + space + option + rng.choice(["\n", "\n", "\n", " \n", "\n\n"])
    text = text if rng.random() < 0.5 else text.rstrip(BLANKS)
    return text.replace("\n", "\r\n") if rng.random() < 0.1 else text


def question(rng):
    stem = rng.choice(STEMS)
    options = rng.sample(OPTIONS, rng.choice([2, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8]))
    right = rng.randrange(len(options))
    text = question_text(rng, stem, options)
    letter, words = LETTERS[right], options[right]
    answer = letter if rng.random() < 0.6 else rng.choice(["{})", "({})", "{}.", " {} ", "（{}）", "{}）", "{}\n"]).format(letter)
    if "\r" not in text and not BARE_LABEL.fullmatch(words) and rng.random() < 0.2:
        answer = rng.choice([words, f"{letter}) {words}", f"（{letter}）{words}"])
    read = read_item(text, answer)
    plain = [part.replace("\r", "").strip(BLANKS) for part in (read.question, *read.options)]
    assert plain == [part.strip(BLANKS) for part in (stem, *options)] and read.right == right, (text, answer)
    return [text, answer]


def body(rng, entries):
    members = {key: rng.choice(values) for key, values in EXTRAS.items() if rng.random() < 0.5}
    members["prompts"] = entries
    names = list(members)
    rng.shuffle(names)
    indent, separators = rng.choice([(None, None), (None, (",", ":")), (1, None), (None, (" ,", ":\n"))])
    text = json.dumps({name: members[name] for name in names}, ensure_ascii=rng.random() < 0.5, indent=indent,
                      separators=separators)
    return text.replace("/", "\\/") if rng.random() < 0.1 else text


def entries_of(rng, bank):
    def questions():
        return rng.sample(bank, rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8]))
    group = questions()  # captions of one image have the same ones
    entries = []
    for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 3, 4, 5, 6])):
        caption = rng.choice(CAPTIONS) + rng.choice(["", str(rng.randrange(1000))])
        entries.append([caption, group if rng.random() < 0.5 else questions()])
    if len(entries) > 1 and rng.random() < 0.1:
        entries[-1] = entries[0]
    return entries


def outputs_of(rng, asked):
    """Fixed answers: a caption's are good, poor, or missing."""
    skill, lost = rng.choice([(0.5, 0.05), (0.5, 0.05), (0.5, 0.3), (1, 0), (1, 0.2), (0, 0), (0, 0.2), (0.5, 0.95), (0, 1)])
    outputs = []
    for text, right, abstain in asked:
        if rng.random() < lost:
            outputs.append(None)
        elif rng.random() < skill:
            outputs.append(rng.choice(SENTENCES).format(right, right))
        elif rng.random() < 0.25:
            outputs.append(rng.choice(WORDLESS))
        else:
            letter = abstain if abstain and rng.random() < 0.4 else rng.choice(LETTERS)
            outputs.append(rng.choice(SENTENCES + ["I think {}", "Can not say, {}"]).format(letter, letter))
    return outputs


def yaml(value):
    return json.dumps(value, ensure_ascii=False) if value not in ("all", "with_replacement") else value


def case(number, config, bank):
    rng = random.Random(number)
    seed = rng.choice([0, 1, 2**63 - 1, 2**64 - 1, rng.getrandbits(20), rng.getrandbits(63)])
    request = body(rng, entries_of(rng, bank))
    asked = [put_questions(entry, config, seed) for entry in json.loads(request)["prompts"]]
    outputs = [outputs_of(rng, questions) for questions in asked]
    return {"config": {key: yaml(value) for key, value in config.items()}, "seed": seed, "request": request,
            "asked": [[text for text, _, _ in questions] for questions in asked], "outputs": outputs,
            "response": [reward(questions, texts, config) for questions, texts in zip(asked, outputs, strict=True)]}


def main():
    check_known_answers()
    every = list(configs())
    rng = random.Random("questions")
    bank = [question(rng) for _ in range(5000)]
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10000):
        sys.stdout.write(json.dumps(case(number, every[number % len(every)], bank)) + "\n")


if __name__ == "__main__":
    main()
