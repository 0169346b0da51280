"""Takes turns between caprl and its peer, round by round, and prints rows of {what, caprl, peer, ratio, target, holds}.

    python compare.py [--json] --what TEXT --unit TEXT --amount NUMBER --target NUMBER [--rounds N] [--memory SHARE] [--resident GB] -- CAPRL COMMAND -- PEER COMMAND

Both commands answer every line on stdin with the seconds of one round of the same work, `amount` units of it. The ratio is the
median over rounds of (peer's seconds / caprl's seconds): above 1, caprl is faster. With --same TOLERANCE both first print a line of
numbers, which must agree that closely; with --alike SHARE that share of them must be equal. With --memory both answer the line "memory" with their highest resident bytes: a second row
says what share of the peer's caprl's are, which should be SHARE at most. With --resident it says whether caprl's are GB at most.
"""
import argparse
import json
import statistics
import subprocess
import sys


class Program:
    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"compare: {self.process.args[0]} ended with {self.process.wait()}")
        return answer

    def ask(self, line: str = "") -> float:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.line())

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def check_same(caprl: Program, peer: Program, tolerance: float) -> None:
    ours, theirs = ([float(word) for word in side.line().split()] for side in (caprl, peer))
    if len(ours) != len(theirs) or not all(abs(a - b) <= tolerance * abs(b) for a, b in zip(ours, theirs)):
        sys.exit(f"compare: the two sides compute different things: {ours} and {theirs}")


def check_alike(caprl: Program, peer: Program, share: float) -> None:
    ours, theirs = (side.line().split() for side in (caprl, peer))
    equal = sum(a == b for a, b in zip(ours, theirs))
    if len(ours) != len(theirs) or equal < share * len(ours):
        sys.exit(f"compare: the two sides compute different things: {equal} of {len(ours)} and {len(theirs)} numbers are equal")
    print(f"compare: {equal} of {len(ours)} numbers are equal", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--what", required=True)
    parser.add_argument("--unit", required=True)
    parser.add_argument("--amount", type=float, required=True)
    parser.add_argument("--target", type=float, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--same", type=float)
    parser.add_argument("--alike", type=float)
    parser.add_argument("--memory", type=float)
    parser.add_argument("--resident", type=float)
    own = sys.argv[1:]
    first = own.index("--")
    second = own.index("--", first + 1)
    options = parser.parse_args(own[:first])
    caprl, peer = Program(own[first + 1:second]), Program(own[second + 1:])
    if options.same is not None:
        check_same(caprl, peer, options.same)
    if options.alike is not None:
        check_alike(caprl, peer, options.alike)
    caprl.ask(), peer.ask()  # warm
    times = [(caprl.ask(), peer.ask()) for _ in range(options.rounds)]
    ratio = statistics.median(p / c for c, p in times)
    rate = lambda side: options.amount / statistics.median(t[side] for t in times)
    row = {"what": options.what, "unit": options.unit, "caprl": round(rate(0), 2), "peer": round(rate(1), 2),
           "ratio": round(ratio, 2), "target": options.target, "holds": ratio >= options.target}
    show(row, options.json)
    if options.memory is not None or options.resident is not None:
        show_memory(options, caprl, peer)
    peer.end(), caprl.end()  # in this order: what caprl's program says at its end it measures alone


def show_memory(options: argparse.Namespace, caprl: Program, peer: Program) -> None:
    ours, theirs = caprl.ask("memory"), peer.ask("memory")
    share = ours / theirs
    row = {"what": f"{options.what}: peak memory", "unit": "GB", "caprl": round(ours / 1e9, 2), "peer": round(theirs / 1e9, 2),
           "ratio": round(share, 2)}
    if options.memory is not None:
        show({**row, "target": options.memory, "holds": share <= options.memory}, options.json)
    if options.resident is not None:
        show({**row, "target": options.resident, "holds": ours <= options.resident * 1e9}, options.json)


def show(row: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(row))
    else:
        print(f"{row['what']}: caprl {row['caprl']} {row['unit']}, peer {row['peer']} {row['unit']}, "
              f"ratio {row['ratio']} (target {row['target']}: {'holds' if row['holds'] else 'missed'})")


if __name__ == "__main__":
    main()
