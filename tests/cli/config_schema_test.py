#!/usr/bin/env python3
"""The JSON Schema of configs, as an independent validator understands it: every shipped config is valid, wrong ones are not.
config_schema_test.py CAPRL CONFIGS. Exit code 77: no validator is installed."""
import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
    import yaml
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)


class Yaml12(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, in which "1e-6" is a text."""


Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float", __import__("re").compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))

COMMANDS = ["train", "sft", "caption", "qa", "eval", "serve-reward"]


def command_of(file):
    """Which command a shipped config is for, by its name."""
    name = file.stem
    for part, command in (("_sft", "sft"), ("pretrain", "sft"), ("caption_", "caption"), ("qa_", "qa"), ("eval", "eval"), ("serve_reward", "serve-reward")):
        if part in name:
            return command
    return "train"


def main(caprl, configs):
    validators = {}
    for command in COMMANDS:
        text = subprocess.run([caprl, "config", "schema", "--for", command], check=True, capture_output=True, text=True).stdout
        schema = json.loads(text)
        jsonschema.Draft202012Validator.check_schema(schema)
        validators[command] = jsonschema.Draft202012Validator(schema)
        defaults = subprocess.run([caprl, "config", "show", "--for", command], check=True, capture_output=True, text=True).stdout
        errors = list(validators[command].iter_errors(yaml.load(defaults, Yaml12)))
        assert not errors, f"defaults of {command}: {errors[0].json_path}: {errors[0].message}"

    files = sorted(pathlib.Path(configs).glob("*.yaml"))
    assert len(files) >= 8
    for file in files:
        errors = list(validators[command_of(file)].iter_errors(yaml.load(file.read_text(), Yaml12)))
        assert not errors, f"{file}: {errors[0].json_path}: {errors[0].message}"

    wrong = [
        ("train", {"rolout": {"n": 8}}),
        ("train", {"rollout": {"m": 8}}),
        ("train", {"rollout": {"n": "many"}}),
        ("train", {"rollout": {"n": 0}}),
        ("train", {"data": {"bad_rows": "ignore"}}),
        ("train", {"data": {"train_files": "one.jsonl"}}),
        ("train", {"reward": {"answerer": {"modle": "x"}}}),
        ("train", ["rollout"]),
        ("sft", {"rollout": {"n": 8}}),
        ("serve-reward", {"server": {"port": 70000}}),
    ]
    for command, config in wrong:
        assert not validators[command].is_valid(config), f"caprl {command} would take {config}"
    print(f"{len(files)} configs are valid, {len(wrong)} wrong ones are not")


main(*sys.argv[1:])
