#!/usr/bin/env python3
"""Completion as a person has it: a shell on a pseudo-terminal, keys typed, Tab pressed. The completed line is then turned into
`printf '<%s>' …` and run, so that the test reads what stood there. completion_test.py CAPRL"""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

CAPRL = pathlib.Path(sys.argv[1]).resolve()

# Typed before Tab, and the words that stand there afterwards.
CASES = [
    ("caprl tra", ["caprl", "train"]),
    ("caprl config sch", ["caprl", "config", "schema"]),
    ("caprl config schema --for serve", ["caprl", "config", "schema", "--for", "serve-reward"]),
    ("caprl train --dry", ["caprl", "train", "--dry-run"]),
    ("caprl train --config grpo", ["caprl", "train", "--config", "grpo_one.yaml"]),
    ("caprl train --set rollout.resp", ["caprl", "train", "--set", "rollout.response_length="]),
    ("caprl train --set data.bad_rows=sk", ["caprl", "train", "--set", "data.bad_rows=skip"]),
    ("caprl sft --set optimizer.lr_sch", ["caprl", "sft", "--set", "optimizer.lr_scheduler_type="]),
    ("caprl config show --for caption --set captioner.mod", ["caprl", "config", "show", "--for", "caption", "--set", "captioner.model="]),
    ("caprl config explain reward.qa", ["caprl", "config", "explain", "reward.qa_num"]),
    ("caprl score --model gr", ["caprl", "score", "--model", "grpo_"]),
    ("caprl init --preset qwen2_5_vl_3", ["caprl", "init", "--preset", "qwen2_5_vl_3b"]),
    ("caprl completion fi", ["caprl", "completion", "fish"]),
    ("caprl-train --conf", ["caprl-train", "--config"]),
    ("caprl-train --set train.total_st", ["caprl-train", "--set", "train.total_steps="]),
]


class Shell:
    """A shell on a terminal of its own, in a folder with two files."""

    def __init__(self, folder, command, setup):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {"PATH": f"{CAPRL.parent}:{os.environ['PATH']}", "HOME": folder, "TERM": "dumb", "LANG": "C.UTF-8"}
            os.execvpe(command[0], command, environment)
        self.folder = folder
        self.run(setup)

    def read_until(self, pattern, seconds=60):
        text, end = "", time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    text += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    break
            found = re.search(pattern, text)
            if found:
                return found
        raise AssertionError(f"no {pattern!r} in {text!r}")

    def run(self, line):
        os.write(self.fd, f"{line}; echo re''ady\n".encode())
        self.read_until("ready")

    def completed(self, typed):
        """The words of the line after Tab."""
        result = pathlib.Path(self.folder) / "result"
        result.unlink(missing_ok=True)
        os.write(self.fd, typed.encode() + b"\t")
        time.sleep(0.4)  # the line editors redraw; what follows is typed after that
        os.write(self.fd, b"\x01printf '%s\\n' \x05 > result; echo do''ne\n")
        self.read_until("done")
        return result.read_text().split("\n")[:-1]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def check(shell, command, setup, script_name):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("grpo_one.yaml", "grpo_two.txt"):
            pathlib.Path(folder, name).touch()
        script = subprocess.run([CAPRL, "completion", shell], check=True, capture_output=True, text=True).stdout
        path = pathlib.Path(folder, script_name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        session = Shell(folder, command, setup)
        failures = []
        for typed, expected in CASES:
            found = session.completed(typed)
            if found != expected:
                failures.append(f"{shell}: {typed!r} became {found}, expected {expected}")
        session.close()
    return failures


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'; source caprl.bash", "caprl.bash"),
    "zsh": (["zsh", "-f", "-i"], "bindkey -e; fpath=($PWD/zfunc $fpath); autoload -U compinit; compinit -u -D", "zfunc/_caprl"),
    "fish": (["fish", "--no-config", "-i"], "source caprl.fish", "caprl.fish"),
}


def main():
    failures, checked = [], []
    for shell, arguments in SHELLS.items():
        if shutil.which(shell):
            failures += check(shell, *arguments)
            checked.append(shell)
        else:
            print(f"{shell} is not installed: not checked")
    print("\n".join(failures) if failures else f"checked: {', '.join(checked)}")
    return 1 if failures or not checked else 0


sys.exit(main())
