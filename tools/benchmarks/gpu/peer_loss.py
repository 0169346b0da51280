"""The peers' side of the loss-head benchmark on a GPU; caprl-bench-loss is caprl's.

    python peer_loss.py FOLDER --wheels DIR [--rows N] [--hidden H] [--vocab V] [--skip NAME...]

FOLDER is where caprl-bench-loss wrote its files. Says in one line of JSON which peers could be loaded and why the others could not.
Then every line on stdin asks for one thing and is answered with one line of JSON:

    time PEER ROWS SAMPLES    {"ms": [...], "extra_bytes": temporaries at their worst}
    write PEER ROWS PREFIX    log-probabilities and the checked gradients to PREFIX*.f32
    write reference ROWS PREFIX    the same in double precision, to PREFIX*.f64

What cannot be done is answered with {"error": "..."}.
"""
import argparse
import gc
import json
import pathlib
import sys
import tempfile


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


class Bench:
    def __init__(self, options: argparse.Namespace):
        import loss_peers
        from loss_inputs import checksum, make_inputs

        self.inputs = make_inputs(options.folder, options.rows, options.hidden, options.vocab)
        self.steps, self.missing = {}, {}
        for name, load in loss_peers.PEERS.items():
            if name in options.skip:
                continue
            try:
                self.steps[name] = load()
            except Exception as error:  # whatever it is, the other peers can be measured
                self.missing[name] = first_line(error)
        self.greeting = {"providers": list(self.steps), "missing": self.missing,
                         "checksums": [checksum(self.inputs.hidden), checksum(self.inputs.weight)]}

    def run(self, name: str, rows: int) -> dict:
        """One forward and backward pass; the results as peers leave them."""
        inputs = self.inputs.first(rows)
        hidden, weight = (t.detach().requires_grad_() for t in (inputs.hidden, inputs.weight))
        loss, logprobs = self.steps[name](inputs, hidden, weight)
        loss.backward()
        return {"logprobs": logprobs, "d_hidden": hidden.grad, "d_weight": weight.grad}

    def time(self, name: str, rows: int, samples: str) -> dict:
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        kept = {key: value.detach() for key, value in self.run(name, rows).items() if value is not None}
        torch.cuda.synchronize()
        extra = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
        del kept
        milliseconds = []
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(int(samples)):
            torch.cuda.synchronize()
            begin.record()
            self.run(name, rows)
            end.record()
            end.synchronize()
            milliseconds.append(begin.elapsed_time(end))
        return {"ms": milliseconds, "extra_bytes": extra}

    def write(self, name: str, rows: int, prefix: str) -> dict:
        from loss_inputs import checked_ids, checked_rows, write_raw
        from loss_reference import reference

        if name == "reference":
            for what, values in reference(self.inputs.first(rows)).items():
                write_raw(pathlib.Path(f"{prefix}{what}.f64"), values)
            return {}
        results = self.run(name, rows)
        targets = self.inputs.targets[:rows]
        picked = {"logprobs": results["logprobs"], "d_hidden": results["d_hidden"][checked_rows(rows, targets.device)],
                  "d_weight": results["d_weight"][checked_ids(targets, len(self.inputs.weight))]}
        for what, values in picked.items():
            if values is not None:
                write_raw(pathlib.Path(f"{prefix}{what}.f32"), values.float())
        return {}

    def answer(self, request: str) -> dict:
        import torch

        try:
            verb, name, rows, last = request.split()
            return {"time": self.time, "write": self.write}[verb](name, int(rows), last)
        except Exception as error:
            return {"error": first_line(error)}
        finally:
            gc.collect()
            torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--wheels", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--vocab", type=int, default=151936)
    parser.add_argument("--skip", nargs="*", default=[])
    options = parser.parse_args()
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever the peers print is no answer
    import peer_packages

    with tempfile.TemporaryDirectory() as unpacked:
        peer_packages.unpack(options.wheels, pathlib.Path(unpacked))
        bench = Bench(options)
        print(json.dumps(bench.greeting), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(bench.answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
