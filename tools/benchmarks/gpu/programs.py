"""Child processes within time limits; those that answer every line with one line of JSON."""
import json
import os
import selectors
import signal
import subprocess
import time


def end_group(process: subprocess.Popen) -> None:
    """The process and all that it started: a sanitizer's program, a compiler's workers."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(command: list[str], seconds: float, log) -> tuple[int | None, str]:
    """Exit status (None: stopped at the time limit) and output, which also goes to the log."""
    log.write(f"$ {' '.join(command)}\n")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                               errors="replace", start_new_session=True)
    try:
        output = process.communicate(timeout=max(seconds, 1))[0]
        status = process.returncode
    except subprocess.TimeoutExpired:
        end_group(process)
        output, status = process.communicate()[0], None
    log.write(f"{output}\n-> {'stopped at the time limit' if status is None else status}\n\n")
    log.flush()
    return status, output


class Failed(Exception):
    """The program ended or did not answer in time; it is gone."""


class Program:
    def __init__(self, command: list[str], log, seconds_to_start: float):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                        start_new_session=True)
        self.buffer = b""
        os.set_blocking(self.process.stdout.fileno(), False)
        self.greeting = self._line(seconds_to_start) if seconds_to_start else {}

    def ask(self, request: str, seconds: float) -> dict:
        self.tell(request)
        return self._line(seconds)

    def tell(self, line: str) -> None:
        """What is not answered."""
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail("ended")

    def stop(self) -> None:
        if self.process.poll() is None:
            end_group(self.process)
        try:
            self.process.stdin.close()
        except BrokenPipeError:  # what it was told last was never read
            pass
        self.process.stdout.close()

    def _line(self, seconds: float) -> dict:
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self._fail(f"no answer within {seconds:.0f} s")
                read = self.process.stdout.read()
                if read == b"":
                    self._fail("ended")
                self.buffer += read or b""
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def _fail(self, why: str) -> None:
        if why == "ended":  # its status is worth a moment
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        self.stop()
        status = self.process.returncode
        raise Failed(f"{os.path.basename(self.process.args[0])}: {why}" + (f" (status {status})" if why == "ended" else ""))
