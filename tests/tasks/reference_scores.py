#!/usr/bin/env python3
"""Answers and their scores, for the scorers of `caprl eval`: one JSON object a line.

Shares nothing with the C++. Charts and ANLS are computed from the texts as the papers define them (PlotQA and ChartQA section 5.1
with the scales of CapRL's evaluation; ST-VQA section 5). The others are written from values: what a text means is known before it
is written, and the score follows from the values, so that nothing has to be parsed here."""
import json
import math
import random
import sys
from fractions import Fraction


def emit(scorer, answers, given, score, **more):
    print(json.dumps({"scorer": scorer, "answers": answers, "given": given, "score": score, **more}, ensure_ascii=False))


# --- choice ---

WORDS = ["red circle", "Blue", "a green one", "3 cm", "42", "No", "Yes", "Café", "ÉTÉ", "none of them", "x + 1", "A.M.", "dog", "Über"]


def choice_case(rng):
    count = rng.randint(2, 10)
    texts = rng.sample(WORDS, count)
    right, chosen = rng.randrange(count), rng.randrange(count)
    if rng.random() < 0.4:
        chosen = right
    letter, text = chr(65 + chosen), texts[chosen]
    forms = [letter, letter.lower(), f"({letter})", f"{letter})", f"{letter}.", f"{letter}. {text}", f"{letter}: {text}", f"({letter}) {text}",
             f"\\text{{{letter}}}", f"${letter}$", f"**{letter}**", f"Option {letter}", f"option ({letter})", f"\\mathrm{{{letter}}}",
             f" {letter}\n", f'"{letter}"', f"\\boxed{{{letter}}}", text, text.upper(), text.lower(), f"  {text} ", text.rstrip(".") + ".", f"\\text{{{text}}}"]
    nonsense = ["", chr(65 + count), f"{text} {letter}", "it is " + letter, "unknown", f"{letter}{letter}", "(" + letter]
    with_text = rng.random() < 0.85
    given = rng.choice(forms) if with_text else rng.choice(nonsense)
    labelled = [f"{chr(65 + i)}) {t}" for i, t in enumerate(texts)]
    emit("choice", [chr(65 + right)], given, int(with_text and chosen == right), choices=labelled)


# --- numeric ---

def decimal_text(value, digits):
    """Exactly, with so many decimals; None if it takes more."""
    scaled = value * 10**digits
    if scaled.denominator != 1:
        return None
    whole = str(abs(scaled.numerator)).rjust(digits + 1, "0")
    text = whole[:-digits] + "." + whole[-digits:] if digits else whole
    return ("-" if value < 0 else "") + text


def grouped(text):
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = text.partition(".")
    groups = []
    while len(whole) > 3:
        groups.insert(0, whole[-3:])
        whole = whole[:-3]
    return sign + ",".join([whole] + groups) + point + rest


def number_text(rng, value, digits):
    plain = decimal_text(value, digits)
    forms = [plain, plain + " ", grouped(plain), "$" + plain if value >= 0 else "-$" + plain[1:], f"${plain}$", f"\\text{{{plain}}}", plain.replace("-", "−"),
             f"{decimal_text(value / 1000, digits + 3)}e3", f"{decimal_text(value * 100, digits)}%", f"{decimal_text(value * 100, digits)}\\%"]
    if value >= 0:
        forms.append("+" + plain)
    return rng.choice(forms)


def numeric_case(rng):
    digits = rng.randint(0, 3)
    value = Fraction(rng.randint(-10**rng.randint(1, 7), 10**rng.randint(1, 7)), 10**digits)
    tolerance = rng.choice([0, 0, 0.01, 0.05])
    other = value
    if rng.random() < 0.6:
        other = value + Fraction(rng.randint(-2000, 2000), 10**digits) * rng.choice([1, 10, 100])
    distance, allowed = abs(other - value), Fraction(tolerance) * abs(value)
    if tolerance and abs(distance - allowed) <= abs(value) * Fraction(1, 10**6):
        return numeric_case(rng)  # too near to the border to be the same in floating point
    given = number_text(rng, other, digits)
    score = int(distance <= allowed)
    if rng.random() < 0.1:
        given, score = rng.choice(["", "many", "1 2", "1,23", "12 apples", "--3", "3-", "e5", ".", "1.2.3"]), 0
    emit("numeric", [number_text(rng, value, digits)], given, score, tolerance=tolerance)


# --- charts ---

def chart_number(text):
    text = text.strip()
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed(given, target):
    p, t = chart_number(given), chart_number(target)
    if p is None or t is None:
        return " ".join(given.lower().split()) == " ".join(target.lower().split())
    for scale in (1.0, 0.01, 100.0):
        if (scale * p == 0 if t == 0 else abs(scale * p - t) / abs(t) <= 0.05):
            return True
    return False


def chart_case(rng):
    def number():
        base = rng.choice([0, 1, 14, 0.57, 62, 100, 1.216666667, 2014, 977633, -3.5, 0.08, 1e5])
        return base * rng.choice([1, 1, 1, 1.04, 0.951, 1.05, 0.95, 1.06, 0.9, 100, 0.01, 104, 0.0103, -1])

    def text():
        if rng.random() < 0.75:
            value = number()
            return rng.choice([repr(value), f"{value:.2f}", f"{value:.6g}", f"{value:.1f}%", f"{value}%", f" {value} "])
        return rng.choice(["Yes", "No", "yes", "Italy", "green line", "Green  Line", "Over 30 mins", "italy ", "Ünder 5", "ünder 5", "2014 and 2015", "n/a", "5 %%"])

    answers, given = [text() for _ in range(rng.choice([1, 1, 1, 2, 3]))], text()
    if rng.random() < 0.2:
        given = rng.choice(answers)
    emit("chart", answers, given, int(any(relaxed(given, answer) for answer in answers)))


# --- ANLS ---

def distance(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) + 1):
        for j in range(len(b) + 1):
            if i == 0 or j == 0:
                table[i][j] = i + j
            else:
                table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
    return table[-1][-1]


def anls(answers, given):
    best = 0.0
    for answer in answers:
        a, b = (" ".join(text.strip().lower().split()) for text in (answer, given))
        longest = max(len(a), len(b))
        similarity = 1 - (distance(a, b) / longest if longest else 0)
        best = max(best, similarity if similarity >= 0.5 else 0.0)
    return best


def anls_case(rng):
    letters = "abcABC  xyz0123-.,éÉßİΣσς漢字🙂\t"
    def text():
        return "".join(rng.choice(letters) for _ in range(rng.randint(0, 14)))
    def change(whole):
        chars = list(whole)
        for _ in range(rng.randint(0, 5)):
            place = rng.randint(0, len(chars))
            kind = rng.randrange(3)
            if kind == 0:
                chars.insert(place, rng.choice(letters))
            elif place < len(chars):
                chars[place:place + 1] = [] if kind == 1 else [rng.choice(letters)]
        return "".join(chars)
    answers = [text() or "a" for _ in range(rng.choice([1, 1, 2, 4]))]
    given = change(rng.choice(answers)) if rng.random() < 0.85 else text()
    emit("anls", answers, given, anls(answers, given))


# --- mathematics ---

def fraction_text(rng, value):
    """A rational number in one of its spellings."""
    p, q = abs(value.numerator), value.denominator
    sign = "-" if value < 0 else ""
    k = rng.randint(1, 4)
    forms = [f"{sign}{p}/{q}", f"{sign}\\frac{{{p}}}{{{q}}}", f"{sign}\\dfrac{{{p * k}}}{{{q * k}}}", f"{sign}\\tfrac{{ {p} }}{{ {q} }}", f"{sign}({p}/{q})"]
    if p < 10 and q < 10:
        forms.append(f"{sign}\\frac{p}{q}")
    if q == 1:
        forms += [f"{sign}{p}", f"{sign}{p}.0", f"{sign}{p}", f"{sign}{p}.", f"{sign}\\sqrt{{{p * p}}}"]
        if p >= 1000:
            forms += [grouped(f"{sign}{p}"), f"{sign}{p // 1000}{{,}}{p % 1000:03}"]
        if p % 100 == 0 and p:
            forms.append(f"{sign}{p // 100} \\times 10^{{2}}")
    exact = next((t for t in (decimal_text(abs(value), d) for d in range(1, 7)) if t), None)
    if exact:
        forms += [sign + exact, sign + exact + "0", sign + exact]
    elif p / q < 1000:
        forms.append(f"{sign}{p / q:.8f}")
    if p > q > 1:
        forms += [f"{sign}{p // q}\\frac{{{p % q}}}{{{q}}}"] + ([f"{p // q} {p % q}/{q}"] if value > 0 else [])
    return rng.choice(forms)


def wrap(rng, text):
    return rng.choice([text] * 6 + [f"${text}$", f" {text} ", f"\\({text}\\)", f"\\boxed{{{text}}}", f"{text}.", f"\\displaystyle {text}"])


def rational(rng, most=60):
    q = rng.choice([1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 12, 20])
    scale = rng.choice([1, 1, 1, 1, 50])
    return Fraction(rng.randint(-most, most) * scale, q)


def changed(rng, value):
    return value + rng.choice([1, -1, Fraction(1, 2), Fraction(1, 100), 10, -2 * value or 1])


UNITS = {"cm": ["cm", "\\text{ cm}", "centimeters", "\\mathrm{cm}"], "m": [" m", "meters", "\\text{m}"], "cm^2": ["cm^2", "square centimeters", "\\text{ cm}^2", "cm²"],
         "degree": ["^\\circ", "^{\\circ}", "°", " degrees"], "km/h": ["km/h", "km per hour", "\\text{ km/h}"], "": [""]}


def quantity_pair(rng):
    a = rational(rng)
    b = a if rng.random() < 0.5 else changed(rng, a)
    ua, ub = rng.choice(list(UNITS)), rng.choice(list(UNITS))
    if rng.random() < 0.5:
        ub = rng.choice([ua, ""])
    def text(value, unit):
        spelled = rng.choice(UNITS[unit])
        number = fraction_text(rng, value)
        while unit and number.endswith("."):
            number = fraction_text(rng, value)
        between = " " if unit and spelled[0].isalpha() else ""
        return number + between + spelled
    return text(a, ua), text(b, ub), a == b and (ua == ub or not ua or not ub)


def percent_pair(rng):
    a = Fraction(rng.randint(1, 400), rng.choice([1, 2, 4, 5, 10]))
    b = rng.choice([a, a, a / 100, a / 100, a * 100, a + 1])
    both = rng.random() < 0.3
    def percent(value):
        return next(t for t in (decimal_text(value, d) for d in range(0, 7)) if t) + rng.choice(["%", "\\%", " %", " percent"])
    if both:
        return percent(a), percent(b), a == b
    return percent(a), fraction_text(rng, b), b in (a, a / 100)


def surd_pair(rng):
    def draw():
        return rng.randint(-6, 6), rng.randint(1, 9), rng.choice([2, 3, 5, 6, 7])
    a = draw()
    b = a if rng.random() < 0.6 else draw()
    def text(value):
        whole, factor, root = value
        surd = rng.choice([f"{factor}\\sqrt{{{root}}}", f"\\sqrt{{{factor * factor * root}}}", f"{factor} \\cdot \\sqrt{{{root}}}", f"{factor}√{root}",
                           f"\\frac{{{2 * factor}\\sqrt{{{root}}}}}{{2}}", f"{factor}*{root}^{{1/2}}", f"\\frac{{{factor * root}}}{{\\sqrt{{{root}}}}}"])
        if whole == 0:
            return surd
        return rng.choice([f"{whole} + {surd}", f"{surd}{whole:+}", f"\\left({whole}+{surd}\\right)", f"{whole}-(-{surd})"])
    return text(a), text(b), a == b


def pi_pair(rng):
    a = rational(rng, 20) or Fraction(1)
    b = a if rng.random() < 0.6 else changed(rng, a) or Fraction(2)
    def text(value):
        p, q = abs(value.numerator), value.denominator
        sign = "-" if value < 0 else ""
        forms = [f"{sign}\\frac{{{p}\\pi}}{{{q}}}", f"{sign}\\frac{{{p}}}{{{q}}}\\pi", f"{sign}{p}π/{q}", f"{sign}{p}*\\pi/{q}", f"{float(value) * math.pi:.8f}"]
        if q == 1:
            forms += [f"{sign}{p}\\pi", f"{sign}{p} \\pi", f"{sign}{p}π", f"{sign}{p} pi"]
        return rng.choice(forms)
    x, y = text(a), text(b)
    if rng.random() < 0.1:  # rounded too early
        return x, f"{float(a) * math.pi:.2f}", round(float(a) * math.pi, 2) == round(float(a) * math.pi, 8)
    return x, y, a == b


def tuple_pair(rng):
    a = [rational(rng, 12) for _ in range(rng.randint(2, 4))]
    b = list(a)
    change = rng.randrange(5)
    if change == 0:
        b[rng.randrange(len(b))] = rational(rng, 12)
    elif change == 1:
        b.reverse()
    elif change == 2:
        b.append(Fraction(1))
    def text(values):
        inner = [fraction_text(rng, v).rstrip(".") for v in values]
        inner = [t for t in inner if not t.count(",")] if any("," in t for t in inner) else inner
        return inner
    ta, tb = text(a), text(b)
    if len(ta) != len(a) or len(tb) != len(b):
        return tuple_pair(rng)
    kind = rng.choice(["pair", "set", "list"])
    join = lambda parts: rng.choice([", ", ","]).join(parts)
    if kind == "pair":
        forms = [lambda p: f"({join(p)})", lambda p: f"\\left({join(p)}\\right)"]
        return rng.choice(forms)(ta), rng.choice(forms)(tb), a == b
    if kind == "set":
        forms = [lambda p: f"\\{{{join(p)}\\}}", lambda p: f"\\left\\{{{join(p)}\\right\\}}", lambda p: f"\\{{{'; '.join(p)}\\}}"]
    else:
        forms = [lambda p: ", ".join(p), lambda p: "; ".join(p), lambda p: " and ".join(p), lambda p: " \\text{or} ".join(p)]
    return rng.choice(forms)(ta), rng.choice(forms)(tb), sorted(a) == sorted(b)


def interval_pair(rng):
    def draw():
        low = rng.randint(-9, 9)
        return rng.choice("(["), Fraction(low), Fraction(low + rng.randint(1, 9)), rng.choice(")]")
    count = rng.choice([1, 1, 2])
    a = [draw() for _ in range(count)]
    b = list(a) if rng.random() < 0.5 else [draw() for _ in range(count)]
    if rng.random() < 0.3:
        one = list(b[0])
        place = rng.choice([0, 3])
        one[place] = {"(": "[", "[": "(", ")": "]", "]": ")"}[one[place]]
        b[0] = tuple(one)
    def text(parts):
        parts = list(parts)
        rng.shuffle(parts)
        sized = rng.random() < 0.4
        left, right = ("\\left", "\\right") if sized else ("", "")
        return rng.choice(["\\cup", " \\cup ", "∪"]).join(f"{left}{o}{fraction_text(rng, l).rstrip('.')}, {fraction_text(rng, h).rstrip('.')}{right}{c}" for o, l, h, c in parts)
    return text(a), text(b), sorted(a) == sorted(b)


def polynomial_pair(rng):
    def draw():
        return rng.randint(-5, 5), rng.randint(-5, 5)
    a = draw()
    b = (a[1], a[0]) if rng.random() < 0.6 else draw()
    def signed(value, what):
        return f"{value:+}{what}" if value else ""
    def text(roots):
        r, s = roots
        expanded = f"x^2{signed(r + s, 'x')}{signed(r * s, '')}"
        return rng.choice([expanded, expanded.replace("x^2", "x^{2}"), f"(x{signed(r, '')})(x{signed(s, '')})", f"({r}+x)*({s}+x)", f"y = {expanded}", f"x(x{signed(r + s, '')}){signed(r * s, '')}",
                           f"f(x) = {expanded}"])
    x, y = text(a), text(b)
    named = {t.split("=")[0].strip() for t in (x, y) if "=" in t}
    return x, y, sorted(a) == sorted(b) and len(named) < 2


def equation_pair(rng):
    a, b, c = (rng.randint(1, 7) * rng.choice([1, -1]) for _ in range(3))
    k = rng.choice([1, 2, 3, -1])
    other = (a, b, c) if rng.random() < 0.6 else (a + rng.choice([1, 2]) * (1 if a > 0 else -1), b, c)
    first = f"{a}x{b:+}y = {c}"
    second = rng.choice([lambda p, q, r: f"{k * p}x{k * q:+}y={k * r}", lambda p, q, r: f"{r} = {p}x{q:+}y", lambda p, q, r: f"{p}x = {r} {-q:+}y", lambda p, q, r: f"{p}x{q:+}y{-r:+}=0"])(*other)
    return first, second, (a, b, c) == other


def inequality_pair(rng):
    low = rng.randint(-9, 9)
    high = low + rng.randint(1, 9)
    strict = [rng.random() < 0.5, rng.random() < 0.5]
    def text(l, h, open_low, open_high, both):
        le, ge = rng.choice(["\\le", "\\leq", "≤", "<="]), rng.choice(["\\ge", "\\geq", "≥", ">="])
        if both:
            return rng.choice([f"{l} {'<' if open_low else le} x {'<' if open_high else le} {h}", f"{h} {'>' if open_high else ge} x {'>' if open_low else ge} {l}"])
        return rng.choice([f"x {'>' if open_low else ge} {l}", f"{l} {'<' if open_low else le} x"])
    both = rng.random() < 0.5
    other = [low, high, *strict]
    if rng.random() < 0.5:
        place = rng.choice([0, 1, 2, 3] if both else [0, 2])
        other[place] = other[place] + 1 if place < 2 else not other[place]
    return text(low, high, *strict, both), text(*other, both), [low, high, *strict] == other


def text_pair(rng):
    words = ["Joint-CNN", "Kansas City", "lambda_L = 0.13", "(b) OPT", "Aug 22, 12:00", "Cosine + CLP(LASER)", "No", "blue", "6B", "north west", "Non-IID (20%)", "U.S."]
    a = rng.choice(words)
    b = a if rng.random() < 0.6 else rng.choice(words)
    def text(word):
        return rng.choice([word, word.lower(), word.upper(), f"\\text{{{word}}}", f" {word} ", word.replace(" ", "  "), f'"{word}"'])
    return text(a), text(b), a == b


MATH = [quantity_pair, quantity_pair, quantity_pair, percent_pair, surd_pair, pi_pair, tuple_pair, tuple_pair, interval_pair, polynomial_pair, equation_pair, inequality_pair, text_pair]


def math_case(rng):
    kind = rng.choice(MATH)
    answer, given, same = kind(rng)
    if kind is not text_pair:
        answer, given = wrap(rng, answer), wrap(rng, given)
    emit("math", [answer], given, int(same), kind=kind.__name__)


if __name__ == "__main__":
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    for case in (choice_case, numeric_case, chart_case, anls_case, math_case):
        rng = random.Random(f"{seed} {case.__name__}")
        for _ in range(count):
            case(rng)
