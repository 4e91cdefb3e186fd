#!/usr/bin/env python3
"""Compares `opd template` with transformers' apply_chat_template, template for template and byte for byte.

usage: check.py OPD FILE_OR_FOLDER...; needs transformers and jinja2. Says which conversations differ and where, and
ends with 1 if any does.
"""

import datetime
import json
import os
import subprocess
import sys
import tempfile

import expectations
from transformers.utils import chat_template_utils

user, assistant = expectations.user, expectations.assistant
THINKING = {"reasoning_content": "Two and two.", "content": "4"}
CONVERSATIONS = {
    "one turn": {"messages": [user("What is 2+2?")]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, user("hi")]},
    "several turns": {"messages": [user("a"), assistant("b"), user("c"), assistant("d"), user("e")]},
    "white space": {"messages": [{"role": "system", "content": " s \n"}, user("  x\n"), assistant(" y "), user("\tz")]},
    "empty content": {"messages": [user("")]},
    "no generation prompt": {"messages": [user("a"), assistant("b")], "add_generation_prompt": False},
    "calls of tools": {
        "messages": [
            user("add"),
            expectations.CALL,
            {"role": "tool", "content": "3", "name": "add", "tool_call_id": "1"},
        ],
        "tools": expectations.TOOLS,
    },
    "calls and answers": {
        "messages": [
            {"role": "system", "content": "S"},
            user("add"),
            expectations.CALL,
            {"role": "tool", "content": '{"sum": 3}', "name": "add"},
            assistant("It is 3."),
            user("again"),
        ],
        "tools": expectations.TOOLS * 2,
    },
    "tools and no call": {"messages": [user("hi")], "tools": expectations.TOOLS},
    "null content": {"messages": [user("add"), {**expectations.CALL, "content": None}], "tools": expectations.TOOLS},
    "thoughts in the text": {"messages": [user("q"), assistant("<think>\\nwhy\\n</think>\\n\\nbecause"), user("r")]},
    "thoughts apart": {"messages": [user("q"), {"role": "assistant", **THINKING}, user("r")]},
    "last thoughts": {
        "messages": [user("q"), {"role": "assistant", **THINKING}],
        "add_generation_prompt": False,
    },
    "thinking off": {"messages": [user("hi")], "enable_thinking": False},
    "thinking on": {"messages": [user("hi")], "enable_thinking": True},
    "unicode": {"messages": [user("naïve 東京 😀 e\u0301 \u2028 ß \x7f"), assistant("ﬁ"), user("\ufeff")]},
    "template syntax": {"messages": [user("{{ 7*7 }} {% if %} {# c #} <|im_end|> </s> {{ raise_exception(1) }}")]},
    "quotes and signs": {"messages": [user('"it\'s" <b>&amp; \\\\ \\n'), assistant("</think>"), user("`x`")]},
    "the assistant first": {"messages": [assistant("first"), user("second")]},
    "two of one role": {"messages": [user("a"), user("b"), assistant("c"), assistant("d")]},
    "contents in parts": {"messages": [user([{"type": "text", "text": "part"}])]},
    "another role": {"messages": [{"role": "developer", "content": "D"}, user("hi")]},
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


class Today(datetime.datetime):
    """The day of `opd template`, which is today in UTC; its hour is not compared."""

    @classmethod
    def now(cls):
        return datetime.datetime.now(datetime.timezone.utc)


def wanted(source, conversation):
    """What transformers makes of it; None: an error."""
    others = dict(conversation)
    messages, tools = others.pop("messages"), others.pop("tools", None)
    prompt = others.pop("add_generation_prompt", True)
    try:
        chat = chat_template_utils._normalize_chat_messages(messages)
        texts, _ = chat_template_utils.render_jinja_template(
            [chat], tools=tools, chat_template=source, add_generation_prompt=prompt, **{**TOKENS, **others}
        )
    except Exception:
        return None
    return texts[0]


def got(opd, path, conversations):
    """What `opd template` makes of each: a text, or an object that says why not."""
    command = [opd, "template", path] + [
        part for name in ("bos", "eos") for part in ("--" + name, TOKENS[name + "_token"])
    ]
    command += ["--set", "unk_token=" + TOKENS["unk_token"]]
    lines = "".join(json.dumps(conversation) + "\n" for conversation in conversations)
    result = subprocess.run(command, check=False, input=lines, capture_output=True, text=True, encoding="utf-8")
    if result.returncode != 0:
        return [{"error": result.stderr.strip()}] * len(conversations)
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def difference(want, have):
    """In a few words; empty where they agree."""
    if want is None:
        return "" if isinstance(have, dict) else "should be refused, and renders"
    if isinstance(have, dict):
        return "is refused: " + have["error"]
    if want == have:
        return ""
    pairs = zip(want, have, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(want), len(have)))
    return f"character {place}: {have[place : place + 40]!r} for {want[place : place + 40]!r}"


def files(arguments):
    for argument in arguments:
        if os.path.isdir(argument):
            names = sorted(name for name in os.listdir(argument) if name.endswith(".jinja"))
            yield from (os.path.join(argument, name) for name in names)
        else:
            yield argument


def main():
    opd, *arguments = sys.argv[1:]
    chat_template_utils.datetime = Today
    paths = list(files(arguments))
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(expectations.CHATS):
            paths.append(os.path.join(folder, f"own{number + 1}.jinja"))
            with open(paths[-1], "w") as file:
                file.write(source)
        if len(paths) == len(expectations.CHATS):
            sys.exit("check.py: no templates in " + " ".join(arguments))
        right = total = whole = 0
        for path in paths:
            with open(path, encoding="utf-8") as file:
                source = file.read()
            have = got(opd, path, CONVERSATIONS.values())
            faults = []
            if len(have) != len(CONVERSATIONS):
                faults.append(f"{len(have)} lines for {len(CONVERSATIONS)} conversations")
            for (name, conversation), text in zip(CONVERSATIONS.items(), have, strict=False):
                if fault := difference(wanted(source, conversation), text):
                    faults.append(f"{name}: {fault}")
            total += len(CONVERSATIONS)
            right += len(CONVERSATIONS) - len(faults)
            whole += not faults
            for fault in faults:
                print(f"{os.path.basename(path)}: {fault}")
    print(f"{whole} of {len(paths)} templates agree with transformers, {right} of {total} renderings")
    sys.exit(whole < len(paths))


if __name__ == "__main__":
    main()
