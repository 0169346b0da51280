"""JSON rows {what, measured, target, holds} on stdin to a Markdown table; exit code 1 if a row does not hold."""
import json
import sys


def main() -> None:
    rows = [json.loads(line) for line in sys.stdin]
    print("| what | measured | must be | holds |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['what']} | {row['measured']} | {row['target']} | {'yes' if row['holds'] else '**no**'} |")
    sys.exit(0 if all(row["holds"] for row in rows) else 1)


if __name__ == "__main__":
    main()
