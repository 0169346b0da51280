"""Text in a dozen languages out of Debian packages (help pages of LibreOffice, the installation guide), unpacked but not installed.

    python corpus.py FILE

FILE gets one document a line, a JSON string without mark-up, 100 MB of UTF-8 in all. It is made once.
"""
import html
import json
import pathlib
import re
import subprocess
import sys
import tempfile

LANGUAGES = ["ja", "hi", "zh-cn", "ko", "ru", "de", "el", "vi", "tr", "km", "dz", "fr", "pl", "zh-tw", "sv"]
PACKAGES = [f"libreoffice-help-{language}" for language in LANGUAGES] + ["installation-guide-amd64"]
BYTES = 100_000_000


def documents(folder: pathlib.Path):
    for page in sorted(folder.rglob("*.html")):
        text = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page.read_text(errors="ignore"), flags=re.S))
        yield re.sub(r"[ \t]*\n\s*", "\n", text)


def main() -> None:
    target = pathlib.Path(sys.argv[1])
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as work:
        for package in PACKAGES:
            subprocess.run(["apt-get", "download", "-qq", package], cwd=work, check=True, stderr=subprocess.DEVNULL)
        for file in pathlib.Path(work).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, f"{work}/unpacked"], check=True)
        size = 0
        part = target.with_suffix(".part")
        with part.open("w") as out:
            for text in documents(pathlib.Path(work, "unpacked")):
                size += len(text.encode())
                out.write(json.dumps(text, ensure_ascii=False) + "\n")
        if size < BYTES:
            sys.exit(f"corpus: {size:,} bytes of text, expected {BYTES:,}")
        part.rename(target)


if __name__ == "__main__":
    main()
