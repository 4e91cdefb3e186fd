"""Responses drawn by continuous batching, with weights that change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import GOLDEN, LORA, Client, EngineAnswerError, Golden, Start, first_adapters, load, write_snapshot
from opd_torch.errors import RefusalError
from opd_torch.sampler import Sampler
from safetensors.numpy import load_file

CASE = "llama3-rope"
NONE = np.zeros(0, np.int32)


def ask(
    client: Client, prompts: dict[int, np.ndarray], limit: int = 12, **given: Any
) -> dict[int, dict[str, np.ndarray]]:
    """Begins responses by their numbers; returns those that have ended."""
    fields = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "wait": 5.0, **given}
    stop, cancelled = (np.array(fields.pop(name, []), np.int32) for name in ("stop", "cancelled"))
    answer = client.ask(
        "sample",
        fields,
        tokens=np.concatenate([NONE, *prompts.values()]),
        counts=np.array([len(prompt) for prompt in prompts.values()], np.int32),
        numbers=np.array(list(prompts), np.int32),
        limits=np.full(len(prompts), limit, np.int32),
        stop=stop,
        cancelled=cancelled,
    ).arrays
    ends = np.cumsum(answer["counts"])[:-1]
    parts = {name: np.split(answer[name], ends) for name in ("tokens", "logprobs", "versions")}
    return {
        int(number): {name: values[index] for name, values in parts.items()}
        for index, number in enumerate(answer["numbers"])
    }


def draw(client: Client, prompts: dict[int, np.ndarray], **given: Any) -> dict[int, dict[str, np.ndarray]]:
    """Returns all of these responses."""
    found = ask(client, prompts, **given)
    while len(found) < len(prompts):
        found |= ask(client, {})
    return found


@pytest.fixture(scope="module")
def prompts() -> dict[int, np.ndarray]:
    """Prompts of different lengths."""
    ids = Golden(CASE).ids
    return {number: ids[number % 3, number % 3 : 4 + number].copy() for number in range(10)}


def model_logits(model: Any, prompt: np.ndarray, tokens: np.ndarray) -> torch.Tensor:
    """Returns the logits from which the tokens were drawn."""
    ids = torch.from_numpy(np.concatenate([prompt, tokens]).astype(np.int64))
    with torch.no_grad():
        return model(ids[None]).logits[0, len(prompt) - 1 : -1].float()


@pytest.fixture(scope="module")
def model() -> Any:
    """The same model without an engine."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(GOLDEN / CASE, dtype=torch.float32)


@pytest.mark.parametrize(("temperature", "top_p", "top_k"), [(0.7, 1.0, 0), (1.0, 1.0, 3), (1.3, 0.6, 20)])
def test_log_probabilities_are_those_that_were_drawn_from(
    start: Start, prompts: dict[int, np.ndarray], model: Any, temperature: float, top_p: float, top_k: int
) -> None:
    client = start()
    load(client, CASE, use="sample")
    found = draw(client, prompts, temperature=temperature, top_p=top_p, top_k=top_k, stop=[2])
    for number, response in found.items():
        logits = model_logits(model, prompts[number], response["tokens"]) / temperature
        if top_k:
            logits[logits < logits.topk(top_k).values[:, -1:]] = -np.inf
        ordered, order = logits.log_softmax(-1).exp().sort(-1, descending=True)
        cut = ordered.cumsum(-1) - ordered >= top_p
        logits[cut.gather(1, order.argsort(-1))] = -np.inf
        wanted = logits.log_softmax(-1).gather(1, torch.from_numpy(response["tokens"].astype(np.int64))[:, None])[:, 0]
        assert np.abs(wanted.numpy() - response["logprobs"]).max() < 5e-5
        assert 2 not in response["tokens"][:-1] and (len(response["tokens"]) == 12 or response["tokens"][-1] == 2)
        assert not response["versions"].any()


def test_all_tokens_are_drawn_as_often_as_they_should(start: Start, prompts: dict[int, np.ndarray], model: Any) -> None:
    client = start()
    load(client, CASE, use="sample", slots=256)
    found = draw(client, dict.fromkeys(range(3000), prompts[3]), limit=1)
    drawn = np.bincount([int(response["tokens"][0]) for response in found.values()], minlength=300)
    wanted = 3000 * model_logits(model, prompts[3], np.zeros(1, np.int64))[0].softmax(-1).numpy()
    # Transformers' own default would leave out all but fifty.
    assert (drawn > 0).sum() > 100
    assert ((drawn - wanted) ** 2 / np.maximum(wanted, 1)).sum() < 1.5 * len(wanted)


def test_new_weights_are_used_between_two_tokens(start: Start, prompts: dict[int, np.ndarray], tmp_path: Path) -> None:
    client = start()
    manifest = load(client, CASE, use="sample")
    weights = load_file(GOLDEN / CASE / "model.safetensors")
    weights["model.norm.weight"] = 1.5 * weights["model.norm.weight"]
    write_snapshot(tmp_path / "weights", manifest, weights)
    found = ask(client, prompts, limit=150, wait=0.0)
    while (
        not ask(client, {}, wait=0.0)
        and not client.ask(
            "sample",
            {"wait": 0.02},
            **dict.fromkeys(("tokens", "counts", "numbers", "limits", "stop", "cancelled"), NONE),
        ).fields["moved"]
    ):
        pass
    client.ask("weights", {"path": str(tmp_path / "weights"), "version": 5})
    while len(found) < len(prompts):
        found |= ask(client, {})
    for response in found.values():
        assert (np.diff(response["versions"]) >= 0).all() and set(response["versions"]) <= {0, 5}
    # Four were under way, and the others had not begun.
    assert sum(bool((response["versions"] == 0).any()) for response in found.values()) <= 4
    assert any(len(set(response["versions"])) == 2 for response in found.values())
    after = draw(client, prompts)
    load(client, CASE, use="score")
    rescored = {}
    for number, response in after.items():
        assert (response["versions"] == 5).all()
        rescored[number] = np.abs(_score(client, prompts[number], response["tokens"]) - response["logprobs"]).max()
    assert max(rescored.values()) > 1e-2
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (GOLDEN / CASE).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    from safetensors.numpy import save_file

    save_file(weights, folder / "model.safetensors")
    load(client, folder, use="score")
    for number, response in after.items():
        assert np.abs(_score(client, prompts[number], response["tokens"]) - response["logprobs"]).max() < 5e-5


def _score(client: Client, prompt: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return client.ask(
        "score",
        tokens=np.concatenate([prompt, tokens]).astype(np.int32),
        counts=np.array([len(prompt) + len(tokens)], np.int32),
        prompt_counts=np.array([len(prompt)], np.int32),
        temperatures=np.ones(1, np.float32),
        rank_counts=np.ones(1, np.int32),
    ).arrays["logprobs"]


def test_adapters_are_merged(start: Start, prompts: dict[int, np.ndarray], tmp_path: Path) -> None:
    client = start()
    manifest = load(client, CASE, use="sample", adapters=LORA)
    values = first_adapters(manifest)
    random = np.random.default_rng(1)
    values = {
        name: value if ".lora_A." in name else random.normal(0, 0.05, value.shape) for name, value in values.items()
    }
    write_snapshot(tmp_path / "weights", manifest, values)
    for version in (1, 2):
        # A second time is not added to the first.
        client.ask("weights", {"path": str(tmp_path / "weights"), "version": version})
    found = draw(client, prompts)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(GOLDEN / CASE, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            stem = name.removesuffix(".weight")
            if f"{stem}.lora_A.weight" in values:
                a, b = (torch.from_numpy(values[f"{stem}.lora_{factor}.weight"]).float() for factor in "AB")
                parameter.add_(4.0 * (b @ a))
    for number, response in found.items():
        logprobs = model_logits(model, prompts[number], response["tokens"]).log_softmax(-1)
        wanted = logprobs.gather(1, torch.from_numpy(response["tokens"].astype(np.int64))[:, None])[:, 0]
        assert np.abs(wanted.numpy() - response["logprobs"]).max() < 5e-5
        assert (response["versions"] == 2).all()


def test_what_is_cancelled_does_not_come(start: Start, prompts: dict[int, np.ndarray]) -> None:
    client = start()
    load(client, CASE, use="sample")
    first = ask(client, prompts, limit=150, wait=0.0)
    found = first | ask(client, {}, cancelled=[0, 7, 99])
    # Its number may be used again.
    found |= ask(client, {7: prompts[7]}, limit=3)
    while len(found) < 9:
        found |= ask(client, {})
    assert set(found) == set(range(1, 10)) and len(found[7]["tokens"]) == 3


def test_what_cannot_be_sampled_is_refused(start: Start, prompts: dict[int, np.ndarray], tmp_path: Path) -> None:
    client = start()
    manifest = load(client, CASE, use="sample")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"temperature": 0.0}, "sampling.temperature above 0"),
        ({"top_p": 0.0}, "sampling.top_p above 0"),
        ({"top_k": -1}, "sampling.top_k of at least 0"),
        ({"limit": 100_000}, "sampling.max_tokens"),
        ({"limit": 0}, "without a token"),
    ]
    for given, words in cases:
        with pytest.raises(EngineAnswerError, match=words):
            ask(client, prompts, **given)
    with pytest.raises(EngineAnswerError, match="outside the model's vocabulary"):
        ask(client, {1: np.array([5, 100_000], np.int32)})
    with pytest.raises(EngineAnswerError, match="has not the"):
        (tmp_path / "short").write_bytes(b"x")
        client.ask("weights", {"path": str(tmp_path / "short"), "version": 1})
    ask(client, prompts, limit=100, wait=0.0)
    with pytest.raises(EngineAnswerError, match="number of its own"):
        ask(client, {3: prompts[3]})
    with pytest.raises(EngineAnswerError, match="draws one way"):
        ask(client, {50: prompts[3]}, temperature=0.5)
    with pytest.raises(EngineAnswerError, match="is not trained"):
        client.ask("forward", **Golden(CASE).request())
    # Another model takes its place, whatever is under way.
    load(client, CASE)
    with pytest.raises(EngineAnswerError, match="not loaded to sample"):
        ask(client, {})
    with pytest.raises(EngineAnswerError, match="flex_attention"):
        load(client, CASE, use="sample", attention="flex_attention", manifest=manifest)
        ask(client, prompts)
    two = start(2)
    with pytest.raises(EngineAnswerError, match="one process"):
        load(two, CASE, use="sample")


def test_a_transformers_that_cannot_pause_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers, "__version__", "5.17.0")
    with pytest.raises(RefusalError, match=r"transformers 5\.17\.0 cannot pause its sampling; install 5\.24 or newer"):
        Sampler(None, 1, 0.5).probe()


def test_an_engine_that_samples_ends_when_it_is_told(start: Start, prompts: dict[int, np.ndarray]) -> None:
    client = start(fresh=True)
    load(client, CASE, use="sample")
    ask(client, prompts, limit=150, wait=0.0)
    client.ask("stop")
    assert client.process.wait(60) == 0
