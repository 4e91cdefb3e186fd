"""What each part of the study runs. Chains of runs need nothing of each other and may go side by side."""

import json
import random

from lab import ROOT, RUNS

CONFIGS = "Examples/study"
STUDENT = "Examples/models/arithmetic-student"
TEACHER = "Examples/models/arithmetic-teacher"
TASK = "arithmetic:operations=add+sub"
TARGET = 0.80
METHODS = ["opd", "supervised", "off_policy", "mixed", "reinforcement"]
# Steps of the runs that are compared at equal length.
STEPS = 150


def measured(name, config, seed, teacher=TEACHER, **settings):
    """A run, and the accuracy and divergence from `teacher` of what it made."""

    def work(lab):
        lab.train(name, f"{CONFIGS}/{config}.yaml", seed, **settings)
        lab.evaluate(name + "-accuracy", lab.model(name), TASK, count=1000, teacher=teacher)

    return work


def same_target(seeds):
    """Each method from the same student to the same held-out accuracy."""

    def chain(method, seed):
        return lambda lab: lab.train(
            f"1/{method}-{seed}", f"{CONFIGS}/{method}.yaml", seed, evaluation__stop_at_pass_rate=TARGET
        )

    return [chain(method, seed) for method in reversed(METHODS) for seed in seeds]


def back_into_itself(seeds):
    """What reinforcement found, distilled into the model it started from."""

    def chain(seed):
        def work(lab):
            source = f"2/reinforcement-{seed}"
            made = lab.train(source, f"{CONFIGS}/reinforcement.yaml", seed)
            lab.evaluate(f"2/reinforcement-{seed}-accuracy", lab.model(source), TASK, count=1000)
            # On the same problems, and not by one lucky evaluation.
            reached = sum(point["pass"] for point in made["curve"][-3:]) / 3
            lab.train(
                f"2/opd-{seed}",
                f"{CONFIGS}/opd.yaml",
                seed,
                teachers__default__model=lab.model(source),
                evaluation__stop_at_pass_rate=round(reached, 3),
            )
            lab.evaluate(f"2/opd-{seed}-accuracy", lab.model(f"2/opd-{seed}"), TASK, count=1000)

        return work

    return [chain(seed) for seed in seeds]


PROMPTS = [1, 4, 16, 64, 4096]


def few_prompts(seeds, part="3", config="opd"):
    """The same number of samples from few prompts or from many."""

    def chain(count, seed):
        each = min(count, 64)
        return measured(
            f"{part}/prompts-{count}-{seed}",
            config,
            seed,
            training__steps=STEPS,
            data__task_prompts=count,
            data__prompts_per_step=each,
            data__samples_per_prompt=256 // each,
        )

    return [chain(count, seed) for count in PROMPTS for seed in seeds]


def write_facts(folder, seed, replay):
    """64 invented facts as a prompt file, with `replay` behind them: lines of another prompt file, or none."""
    dice = random.Random(f"facts {seed}")

    def word():
        return "".join(dice.choice("bdfgklmnprstvz") + dice.choice("aeiou") for _ in range(2))

    facts = {}
    while len(facts) < 64:
        facts[f"city {word()}="] = word()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"prompt": prompt, "response": answer, "answer": answer, "verifier": "exact"})
        for prompt, answer in facts.items()
    ]
    (folder / "facts.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "replay.jsonl").write_text("\n".join(lines + replay) + "\n")
    return folder.relative_to(ROOT)


def facts_and_behaviour(seeds):
    """New facts, what they cost in followed instructions, and the recovery by distillation from the earlier self."""

    def chain(seed):
        def work(lab):
            before = f"4/before-{seed}"
            lab.train(before, f"{CONFIGS}/format.yaml", seed, command="pretrain", shape__seed=seed)
            _, replay = lab.call("replay", ["task", "format", "--count", "64", "--seed", str(seed)])
            data = write_facts(ROOT / RUNS / f"4/facts-{seed}", seed, replay.splitlines())
            stages = [before]
            for mix in ("facts", "replay"):
                learned, recovered = f"4/{mix}-learned-{seed}", f"4/{mix}-recovered-{seed}"
                lab.train(
                    learned,
                    f"{CONFIGS}/facts.yaml",
                    seed,
                    student__model=lab.model(before),
                    data__prompts=data / f"{mix}.jsonl",
                    data__heldout=data / "facts.jsonl",
                    data__prompts_per_step=32 if mix == "facts" else 64,
                )
                lab.train(
                    recovered,
                    f"{CONFIGS}/recover.yaml",
                    seed,
                    student__model=lab.model(learned),
                    teachers__default__model=lab.model(before),
                )
                stages += [learned, recovered]
            for stage in stages:
                lab.evaluate(stage + "-format", lab.model(stage), "format", count=1000)
                lab.evaluate(stage + "-facts", lab.model(stage), data / "facts.jsonl", samples=8)

        return work

    return [chain(seed) for seed in seeds]


RATES = ["1e-5", "1e-4", "3e-4", "1e-3"]


def own_samples(seeds):
    """Imitating one's own samples, against distillation from a fixed copy of oneself."""

    def chain(method, rate, seed):
        return measured(
            f"5/{method}-{rate}-{seed}",
            method,
            seed,
            STUDENT,
            training__steps=100,
            training__learning_rate=rate,
            training__schedule="constant",
            teachers__default__model=STUDENT,
        )

    chains = [chain(method, rate, seed) for method in ("off_policy", "opd") for rate in RATES for seed in seeds]
    return [lambda lab: lab.evaluate("5/start-accuracy", STUDENT, TASK, count=1000, teacher=TEACHER), *chains]


STALENESS = [0, 1, 2, 4, 8]
LOSSES = ["importance_sampling", "ppo_clip", "truncated_importance_sampling"]


def staleness(seeds):
    """How old samples may be, for each way to use the ratio."""

    def chain(loss, age, seed):
        return measured(
            f"6/{loss}-{age}-{seed}",
            "opd",
            seed,
            training__steps=100,
            objective__loss=loss,
            objective__advantage="current" if age else "behaviour",
            pipeline__max_staleness=age,
            evaluation__every=0,
        )

    return [chain(loss, age, seed) for loss in LOSSES for age in STALENESS for seed in seeds]


BUDGETS = [8, 16, 24, 64]
RANKS = [1, 4, 16, 64]


def budgets_and_ranks(seeds):
    """How much of a response is sampled, and how much of the weights is trained."""

    def chain(name, seed, **settings):
        return measured(name, "opd", seed, training__steps=STEPS, evaluation__every=0, **settings)

    return [
        *[
            chain(f"6/budget-{budget}-{seed}", seed, sampling__max_tokens=budget)
            for budget in BUDGETS
            for seed in seeds
        ],
        *[
            chain(f"6/rank-{rank}-{seed}", seed, lora__rank=rank, lora__alpha=2 * rank)
            for rank in RANKS
            for seed in seeds
        ],
    ]


# What is compared at every token, by name: the settings of divergence.yaml; none: the sampled token, as in part 1.
DIVERGENCES = {
    "sampled": None,
    "reverse-top-4": {"objective__support": "top_k", "objective__top_k": 4},
    "reverse": {},
    "skew-reverse": {"objective__divergence": "skew_reverse_kl"},
    "jsd": {"objective__divergence": "jsd", "objective__beta": 0.5},
    "skew": {"objective__divergence": "skew_kl"},
    "forward": {"objective__divergence": "forward_kl"},
}


def divergences(seeds):
    """Each divergence from the same student to the same held-out accuracy."""

    def chain(name, seed):
        settings = DIVERGENCES[name]
        config = "opd" if settings is None else "divergence"
        return lambda lab: lab.train(
            f"7/{name}-{seed}",
            f"{CONFIGS}/{config}.yaml",
            seed,
            evaluation__stop_at_pass_rate=TARGET,
            **(settings or {}),
        )

    return [chain(name, seed) for seed in seeds for name in DIVERGENCES]


def stale_distributions(seeds):
    """How old samples may be when the divergence is that of the weights being trained."""

    def chain(age, seed):
        return measured(
            f"8/age-{age}-{seed}",
            "divergence",
            seed,
            training__steps=100,
            pipeline__max_staleness=age,
            evaluation__every=0,
        )

    return [chain(age, seed) for age in STALENESS for seed in seeds]


def by_distributions(seeds):
    """Few prompts, and a fixed copy of oneself, by whole distributions."""

    def own(rate, seed):
        return measured(
            f"9/own-{rate}-{seed}",
            "divergence",
            seed,
            STUDENT,
            training__steps=100,
            training__learning_rate=rate,
            training__schedule="constant",
            teachers__default__model=STUDENT,
        )

    return [
        *few_prompts(seeds, "9", "divergence"),
        *[own(rate, seed) for rate in RATES for seed in seeds],
    ]


# Responses of a batch, and how many batches.
BATCHES = {"small": (32, 64), "large": (1024, 8)}


def gradients(seeds):
    """Gradients of batches of two sizes at the same weights, the start's: no step is taken."""

    def chain(name, size, seed):
        settings = DIVERGENCES[name]
        config = "opd" if settings is None else "divergence"
        responses, batches = BATCHES[size]
        return lambda lab: lab.train(
            f"10/{name}-{size}-{seed}",
            f"{CONFIGS}/{config}.yaml",
            seed,
            training__steps=batches,
            training__learning_rate=0,
            data__prompts_per_step=responses,
            evaluation__every=0,
            data__heldout_count=1,
            **(settings or {}),
        )

    return [chain(name, size, seed) for seed in seeds for size in BATCHES for name in DIVERGENCES]


# Number: title, whether its runs need the machine alone, chains by seeds.
PARTS = {
    "1": ("to the same accuracy", False, same_target),
    "2": ("a reinforced model back into its start", False, back_into_itself),
    "3": ("one prompt, many samples", False, few_prompts),
    "4": ("new facts, and what they cost", False, facts_and_behaviour),
    "5": ("on one's own samples", False, own_samples),
    "6a": ("staleness", True, staleness),
    "6b": ("response budget and LoRA rank", False, budgets_and_ranks),
    "7": ("divergences, to the same accuracy", False, divergences),
    "8": ("staleness of whole distributions", False, stale_distributions),
    "9": ("few prompts and one's own copy, by whole distributions", False, by_distributions),
    "10": ("noise of the gradient", False, gradients),
}
