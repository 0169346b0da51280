"""Measures caprl's loss head and its peers in turns: raw numbers for results.py.

{"shapes": {"16384": {provider: {"ms": [...], "extra_bytes", "errors": {"logprobs", "d_hidden", "d_weight"}} or {"error"}}},
 "missing": {peer: why it could not be loaded}, "same_inputs": bool}
"""
import array
import math
import pathlib
import time

from programs import Failed, Program

ROWS = (16384, 2048, 8192, 32768)  # the one with targets first: time may run out
SAMPLES_A_ROUND, ROUNDS = 6, 5
START_SECONDS, FIRST_ANSWER_SECONDS, ANSWER_SECONDS = 120, 150, 60
# Of the time left, what the first shape may take; the others share the rest evenly.
FIRST_SHAPE_SHARE = 0.5


class Side:
    """A program, started again without the provider that broke it."""

    def __init__(self, command: list[str], log, takes_skip: bool):
        self.command, self.log, self.takes_skip, self.broken = command, log, takes_skip, {}
        self.start()
        self.greeting = self.program.greeting
        self.providers = self.greeting["providers"]

    def start(self) -> None:
        skip = ["--skip", *self.broken] if self.broken and self.takes_skip else []
        self.asked = set()
        self.program = Program(self.command + skip, self.log, START_SECONDS)

    def start_again(self) -> None:
        try:
            self.start()
        except Failed as failure:
            self.broken |= {provider: str(failure) for provider in self.providers if provider not in self.broken}

    def ask(self, verb: str, provider: str, rows: int, last) -> dict:
        limit = ANSWER_SECONDS if (provider, rows) in self.asked else FIRST_ANSWER_SECONDS
        self.asked.add((provider, rows))
        try:
            answer = self.program.ask(f"{verb} {provider} {rows} {last}", limit)
            if "CUDA error" not in answer.get("error", ""):
                return answer
            self.program.stop()  # after such an error nothing works in that process
        except Failed as failure:
            answer = {"error": str(failure)}
        self.broken[provider] = answer["error"]
        self.start_again()
        return answer

    def offers(self, provider: str) -> bool:
        return provider in self.providers and provider not in self.broken


def read(path: pathlib.Path, code: str) -> array.array:
    values = array.array(code)
    values.frombytes(path.read_bytes())
    return values


def errors(prefix: str, reference: str) -> dict:
    """Largest difference of log-probabilities; ‖a − b‖ / ‖b‖ of gradients."""
    found = {}
    for what in ("logprobs", "d_hidden", "d_weight"):
        path = pathlib.Path(f"{prefix}{what}.f32")
        if not path.exists():
            continue
        a, b = read(path, "f"), read(pathlib.Path(f"{reference}{what}.f64"), "d")
        if what == "logprobs":
            differences = [abs(x - y) for x, y in zip(a, b)]
            found[what] = math.nan if any(map(math.isnan, differences)) else max(differences)
        else:
            found[what] = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / sum(y * y for y in b))
    return found


def measure_shape(sides: list[Side], rows: int, rounds: int, deadline: float, folder: pathlib.Path) -> dict:
    owners = {provider: side for side in sides for provider in side.providers}
    results = {provider: {"ms": []} for provider in owners}
    for _ in range(rounds):
        for provider, result in results.items():
            if time.monotonic() > deadline:
                break
            side = owners[provider]
            if "error" in result or not side.offers(provider):
                result.setdefault("error", side.broken.get(provider, ""))
                continue
            answer = side.ask("time", provider, rows, SAMPLES_A_ROUND)
            if "error" in answer:
                result["error"] = answer["error"]
            else:
                result["ms"] += answer["ms"]
                result["extra_bytes"] = answer["extra_bytes"]
    add_errors(owners, results, rows, folder)
    return results


def add_errors(owners: dict, results: dict, rows: int, folder: pathlib.Path) -> None:
    peers = next(iter(side for side in owners.values() if "peer_loss.py" in " ".join(side.command)), None)
    reference = f"{folder}/reference_{rows}_"
    if peers is None or "error" in peers.ask("write", "reference", rows, reference):
        return
    for provider, result in results.items():
        if result["ms"] and owners[provider].offers(provider) and "product" not in provider:
            prefix = f"{folder}/{provider}_{rows}_"
            if "error" not in owners[provider].ask("write", provider, rows, prefix):
                result["errors"] = errors(prefix, reference)


def measure(caprl: list[str], peers: list[str], folder: pathlib.Path, seconds: float, log, shapes=ROWS, rounds=ROUNDS,
            keep=lambda raw: None) -> dict:
    """`caprl` and `peers` are commands without the options of shapes; `keep` gets the raw numbers after every shape."""
    end = time.monotonic() + seconds
    raw = {"shapes": {}, "missing": {}, "same_inputs": None}
    most = ["--rows", str(max(shapes))]
    sides = [Side(caprl + most, log, takes_skip=False)]
    try:
        sides.append(Side(peers + most, log, takes_skip=True))
        raw["missing"] = sides[1].greeting["missing"]
        raw["same_inputs"] = sides[0].greeting["checksums"] == sides[1].greeting["checksums"]
    except Failed as failure:
        raw["missing"] = {"all peers": str(failure)}
    for place, rows in enumerate(shapes):
        left = end - time.monotonic()
        if left <= 0:
            break
        share = FIRST_SHAPE_SHARE if place == 0 and len(shapes) > 1 else 1 / (len(shapes) - place)
        raw["shapes"][str(rows)] = measure_shape(sides, rows, rounds, time.monotonic() + left * share, folder)
        keep(raw)
    for side in sides:
        side.program.stop()
    return raw
