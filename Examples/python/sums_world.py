#!/usr/bin/env python3
"""An environment for opd (docs/environments.md): who gets a sum wrong is told so, and may try again.

Every message is one line of JSON on standard input, every answer one line on standard output. It plays any number of
episodes at once.
"""

import json
import re
import sys


class Sum:
    """One episode: the answer to be found."""

    def __init__(self, prompt):
        self.answer = int(prompt["answer"])
        self.turns = 0

    def step(self, text):
        """What the student is told of a turn; the earlier the right number, the more it is worth."""
        self.turns += 1
        numbers = re.findall(r"-?\d+", text)
        if not numbers:
            return {"observation": "a number, please\n", "reward": 0}
        number = int(numbers[-1][:20])
        if number == self.answer:
            return {"done": True, "reward": 1 / self.turns}
        return {"observation": f"{number} is too {'low' if number < self.answer else 'high'}\n", "reward": 0}


def main():
    episodes = {}
    for line in sys.stdin:
        message = json.loads(line)
        episode = message["episode"]
        answer = {"episode": episode}
        if message["type"] == "reset":
            episodes[episode] = Sum(message["prompt"])
        elif message["type"] == "step":
            answer |= episodes[episode].step(message["text"])
        if message["type"] == "end" or answer.get("done"):
            del episodes[episode]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
