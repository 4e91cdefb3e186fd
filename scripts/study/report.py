"""Tables and plots of docs/study.md, from the results. The text between them is written by hand and left alone."""

import re
from statistics import mean, stdev

from lab import ROOT
from parts import BATCHES, BUDGETS, DIVERGENCES, LOSSES, METHODS, PROMPTS, RANKS, RATES, STALENESS, TARGET

STUDY = ROOT / "docs" / "study.md"
PLOTS = ROOT / "docs" / "study"
TITLES = {
    "opd": "OPD",
    "supervised": "supervised (worked responses)",
    "off_policy": "off-policy distillation",
    "mixed": "OPD + reward",
    "reinforcement": "reinforcement (PPO clip)",
}
# Divergences, with the bytes a token of a response that the teacher's answer has: a log-probability; four tokens with
# theirs, and the tail; or its last hidden state, 192 numbers in bf16.
COMPARED = {
    "sampled": ("the sampled token", 4),
    "reverse-top-4": ("reverse KL, the teacher's 4 tokens and the rest", 40),
    "reverse": ("reverse KL", 388),
    "skew-reverse": ("skewed reverse KL (0.1)", 388),
    "jsd": ("JSD (0.5)", 388),
    "skew": ("skewed forward KL (0.1)", 388),
    "forward": ("forward KL", 388),
}


def write_report(results):
    text = STUDY.read_text()
    for name, make in TABLES.items():
        rows = make(results)
        if len(rows) < 2:
            print(f"study: no results yet for the table '{name}'")
            continue
        pattern = rf"(<!-- table {name} -->\n).*?(<!-- end -->)"
        if not re.search(pattern, text, re.DOTALL):
            raise SystemExit(f"study: {STUDY} has no place for the table '{name}'")
        text = re.sub(pattern, lambda match, rows=rows: match[1] + table(rows) + match[2], text, flags=re.DOTALL)
    text = re.sub(
        r"(<!-- table commands -->\n).*?(<!-- end -->)",
        lambda match: match[1] + commands(results) + match[2],
        text,
        flags=re.DOTALL,
    )
    STUDY.write_text(text)
    draw(results)


def table(rows):
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def spread(values, form="{:.1f}", scale=1.0):
    """Mean and standard deviation over seeds."""
    values = [value * scale for value in values if value is not None]
    if not values:
        return "-"
    middle = form.format(mean(values))
    return f"{middle} ± {form.format(stdev(values))}" if len(values) > 1 else middle


def of(results, prefix, suffix=""):
    """The results of all seeds of `prefix`, in order of their seeds."""
    pattern = re.compile(re.escape(prefix) + r"-\d+" + re.escape(suffix))
    return [results[name] for name in sorted(results) if pattern.fullmatch(name)]


def percent(runs):
    return spread([run["pass"] for run in runs], "{:.1f}", 100)


def reached(run):
    """The run's last evaluation where it is at the target; else nothing."""
    last = run["curve"][-1]
    return last if last["pass"] >= TARGET else None


def own_flops(run):
    # What another model samples or grades is the teacher's.
    sampling = 0 if "/off_policy-" in run["name"] else run["sampling_flops"] or 0
    return (sampling + (run["training_flops"] or 0)) / 1e12


def all_flops(run):
    return sum(run[kind] or 0 for kind in ("sampling_flops", "scoring_flops", "training_flops")) / 1e12


def ratios(runs, reference, value):
    """Of each run to the reference of its seed: seeds may have been run on different machines."""
    base = {run["seed"]: value(run) for run in reference}
    # A run that went on after a stop has no CPU time.
    return [value(run) / base[run["seed"]] for run in runs if base.get(run["seed"]) and value(run) is not None]


def ratio(runs, reference, value):
    return spread(ratios(runs, reference, value), "{:.2f}")


def total_flops(runs):
    return spread(list(map(all_flops, runs)), "{:.2f}")


def same_target(results):
    rows = [
        [
            "method",
            "reached",
            "steps",
            "of OPD",
            "TFLOP, student",
            "of OPD",
            "TFLOP, with teacher",
            "of OPD",
            "CPU time, of OPD",
            "accuracy at the end",
        ]
    ]
    base = [run for run in of(results, "1/opd") if reached(run)]
    for method in METHODS:
        runs = of(results, f"1/{method}")
        good = [run for run in runs if reached(run)]
        if not runs:
            continue
        # Where some seed has not reached the target, all are counted to where they ended: a lower bound.
        counted, mark = (good, "") if len(good) == len(runs) else (runs, "> ")

        def cells(value, form, counted=counted, mark=mark):
            return [mark + spread(list(map(value, counted)), form), mark + ratio(counted, base, value)]

        rows.append(
            [
                TITLES[method],
                f"{len(good)} of {len(runs)}",
                *cells(lambda run: run["steps"], "{:.0f}"),
                *cells(own_flops, "{:.2f}"),
                *cells(all_flops, "{:.2f}"),
                mark + ratio(counted, base, lambda run: run["cpu_s"]),
                percent([run["curve"][-1] for run in runs]),
            ]
        )
    return rows


def back_into_itself(results):
    rows = [["", "steps", "TFLOP, student", "TFLOP, with teacher", "accuracy of 1000"]]
    for method, title in (
        ("reinforcement", "reinforcement, from the cold start"),
        ("opd", "OPD from that model, from the cold start"),
    ):
        runs = of(results, f"2/{method}")
        if runs:
            rows.append(
                [
                    title,
                    spread([run["steps"] for run in runs], "{:.0f}"),
                    spread(list(map(own_flops, runs)), "{:.2f}"),
                    total_flops(runs),
                    percent(of(results, f"2/{method}", "-accuracy")),
                ]
            )
    return rows


def accuracy(rows, results, entries):
    """Rows of name, accuracy, divergence from the teacher and operations, of the entries that have results."""
    for title, prefix in entries:
        runs, measured = of(results, prefix), of(results, prefix, "-accuracy")
        if measured:
            rows.append(
                [title, percent(measured), spread([run["kl"] for run in measured], "{:.3f}"), total_flops(runs)]
            )
    return rows


def few_prompts(results):
    return accuracy(
        [["different prompts", "accuracy of 1000", "reverse KL", "TFLOP"]],
        results,
        [(count, f"3/prompts-{count}") for count in PROMPTS],
    )


def facts(results):
    rows = [["stage", "instructions followed, of 1000", "facts known, of 64 (8 samples each)"]]
    for title, stage in (
        ("before", "before"),
        ("facts learned", "facts-learned"),
        ("then OPD from the earlier self", "facts-recovered"),
        ("facts learned among 64 old examples", "replay-learned"),
        ("then OPD from the earlier self", "replay-recovered"),
    ):
        if of(results, f"4/{stage}", "-format"):
            rows.append(
                [title, percent(of(results, f"4/{stage}", "-format")), percent(of(results, f"4/{stage}", "-facts"))]
            )
    return rows


def own_samples(results):
    rows = [
        ["learning rate", "imitation: accuracy", "imitation: KL to the start", "OPD: accuracy", "OPD: KL to the start"]
    ]
    for rate in RATES:
        cells = []
        for method in ("off_policy", "opd"):
            measured = of(results, f"5/{method}-{rate}", "-accuracy")
            cells += [percent(measured), spread([run["kl"] for run in measured], "{:.4f}")]
        rows.append([rate, *cells])
    return rows if any(cell != "-" for row in rows[1:] for cell in row[1:]) else rows[:1]


def staleness(results):
    rows = [["max_staleness", *[f"{loss}: {what}" for loss in LOSSES for what in ("accuracy", "wall time, of 0")]]]
    for age in STALENESS:
        cells = []
        for loss in LOSSES:
            cells += [
                percent(of(results, f"6/{loss}-{age}", "-accuracy")),
                spread(relative_walls(results, loss, age), "{:.2f}"),
            ]
        rows.append([age, *cells])
    return rows if any(cell != "-" for row in rows[1:] for cell in row[1:]) else rows[:1]


def relative_walls(results, loss, age):
    return ratios(of(results, f"6/{loss}-{age}"), of(results, f"6/{loss}-0"), lambda run: run["wall_s"])


def budgets(results):
    return accuracy(
        [["tokens of a response that are sampled", "accuracy of 1000", "reverse KL", "TFLOP"]],
        results,
        [(budget, f"6/budget-{budget}") for budget in BUDGETS],
    )


def ranks(results):
    return accuracy(
        [["trained", "accuracy of 1000", "reverse KL", "TFLOP"]],
        results,
        [*((f"rank {rank}", f"6/rank-{rank}") for rank in RANKS), ("all weights", f"6/budget-{BUDGETS[-1]}")],
    )


def divergences(results):
    rows = [
        [
            "compared at every token",
            "reached",
            "steps",
            "of the sampled token's",
            "TFLOP, with teacher",
            "CPU time, of the sampled token's",
            "scores, MB",
            "lowest accuracy on the way",
        ]
    ]
    base = of(results, "7/sampled")
    for name in DIVERGENCES:
        runs = of(results, f"7/{name}")
        if not runs:
            continue
        title, size = COMPARED[name]
        rows.append(
            [
                title,
                f"{sum(reached(run) is not None for run in runs)} of {len(runs)}",
                spread([run["steps"] for run in runs], "{:.0f}"),
                ratio(runs, base, lambda run: run["steps"]),
                total_flops(runs),
                ratio(runs, base, lambda run: run["cpu_s"]),
                spread([run["tokens"] * size / 1e6 for run in runs], "{:.0f}"),
                spread([min(point["pass"] for point in run["curve"]) for run in runs], "{:.1f}", 100),
            ]
        )
    return rows


def stale_distributions(results):
    rows = [["max_staleness", "accuracy of 1000", "reverse KL"]]
    for age in STALENESS:
        measured = of(results, f"8/age-{age}", "-accuracy")
        if measured:
            rows.append([age, percent(measured), spread([run["kl"] for run in measured], "{:.3f}")])
    return rows


def prompts_by_distributions(results):
    return accuracy(
        [["different prompts", "accuracy of 1000", "reverse KL", "TFLOP"]],
        results,
        [(count, f"9/prompts-{count}") for count in PROMPTS],
    )


def own_by_distributions(results):
    rows = [["learning rate", "accuracy", "KL to the start"]]
    for rate in RATES:
        measured = of(results, f"9/own-{rate}", "-accuracy")
        if measured:
            rows.append([rate, percent(measured), spread([run["kl"] for run in measured], "{:.4f}")])
    return rows


def gradient_noise(results):
    """The noise of a response and the signal, from the mean squares of the gradients of two sizes of batch.

    E |g_B|^2 = |G|^2 + tr(S) / B (McCandlish and others, 2018, arXiv:1812.06162, appendix A.1).
    """
    (small, _), (large, _) = BATCHES["small"], BATCHES["large"]
    rows = [
        [
            "compared at every token",
            "responses whose noise is as large as the signal",
            "of the sampled token's",
            "noise of a batch of 256, of the signal",
        ]
    ]

    def scales(name):
        pairs = zip(of(results, f"10/{name}-small"), of(results, f"10/{name}-large"), strict=True)
        values = []
        for few, many in pairs:
            noise = (few["gradient_square"] - many["gradient_square"]) / (1 / small - 1 / large)
            values.append(noise / (many["gradient_square"] - noise / large))
        return values

    base = scales("sampled")
    for name in DIVERGENCES:
        values = scales(name)
        if values:
            rows.append(
                [
                    COMPARED[name][0],
                    spread(values, "{:.0f}"),
                    spread([value / other for value, other in zip(values, base, strict=True)], "{:.2f}"),
                    spread([(value / 256) ** 0.5 for value in values], "{:.2f}"),
                ]
            )
    return rows


def commands(results):
    """The command of one seed of each kind of run."""
    shown = {}
    for name in sorted(results):
        if "--json" not in results[name]["command"]:
            shown.setdefault(re.sub(r"-\d+$", "", name), results[name]["command"])
    return "```sh\n" + "".join(command + "\n" for command in shown.values()) + "```\n"


TABLES = {
    "1": same_target,
    "2": back_into_itself,
    "3": few_prompts,
    "4": facts,
    "5": own_samples,
    "6-staleness": staleness,
    "6-budget": budgets,
    "6-rank": ranks,
    "7": divergences,
    "8": stale_distributions,
    "9-prompts": prompts_by_distributions,
    "9-own": own_by_distributions,
    "10": gradient_noise,
}


def draw(results):
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("study: the tables are written; the plots need matplotlib (python3-matplotlib)") from None
    matplotlib.use("Agg")
    # Text stays text, and the same results give the same file.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "study", "font.size": 9}
    import matplotlib.pyplot as plt

    for name, make in PLOTS_BY_NAME.items():
        figure = make(plt, results)
        if figure is not None:
            figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)


def curves(plt, results):
    """Accuracy of each method over steps and operations; a line a seed."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharey=True)
    x = {
        "steps": lambda _, point: point["step"],
        "TFLOP, student": lambda run, point: own_flops(point | {"name": run["name"]}),
        "TFLOP, with teacher": lambda _, point: all_flops(point),
    }
    for index, method in enumerate(METHODS):
        for run in of(results, f"1/{method}"):
            for each, (label, value) in zip(axes, x.items(), strict=True):
                each.plot(
                    [value(run, point) for point in run["curve"]],
                    [100 * point["pass"] for point in run["curve"]],
                    color=f"C{index}",
                    alpha=0.7,
                    lw=1,
                    label=TITLES[method] if run["seed"] == 1 else None,
                )
                each.set_xlabel(label)
    for each in axes:
        each.axhline(100 * TARGET, color="k", lw=0.6, ls=":")
        each.set_xlim(left=0)
        each.grid(alpha=0.3)
    axes[0].set_ylabel("held-out accuracy, %")
    axes[0].legend(fontsize=7)
    return figure if of(results, "1/opd") else None


def bars(plt, results, entries, label):
    """Accuracy by entry, a point a seed."""
    entries = [(name, of(results, prefix, "-accuracy")) for name, prefix in entries]
    entries = [(name, runs) for name, runs in entries if runs]
    if not entries:
        return None
    figure, axes = plt.subplots(figsize=(4.5, 3), layout="constrained")
    for at, (_, runs) in enumerate(entries):
        axes.plot([at] * len(runs), [100 * run["pass"] for run in runs], "o", color="C0", alpha=0.7)
    axes.plot(range(len(entries)), [100 * mean(run["pass"] for run in runs) for _, runs in entries], "-", color="C0")
    axes.set_xticks(range(len(entries)), [str(name) for name, _ in entries])
    axes.set_xlabel(label)
    axes.set_ylabel("held-out accuracy, %")
    axes.grid(alpha=0.3)
    return figure


def stale(plt, results):
    figure, (quality, time) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    drawn = False
    for index, loss in enumerate(LOSSES):
        ages = [age for age in STALENESS if of(results, f"6/{loss}-{age}", "-accuracy")]
        drawn = drawn or bool(ages)
        quality.plot(
            ages,
            [100 * mean(run["pass"] for run in of(results, f"6/{loss}-{age}", "-accuracy")) for age in ages],
            "o-",
            color=f"C{index}",
            label=loss,
        )
        # A seed without a run of staleness 0 has nothing to compare with.
        walls = {age: relative_walls(results, loss, age) for age in ages}
        time.plot(
            [age for age in ages if walls[age]],
            [mean(walls[age]) for age in ages if walls[age]],
            "o-",
            color=f"C{index}",
        )
    quality.set_ylabel("held-out accuracy, %")
    time.set_ylabel("wall time, of staleness 0")
    time.set_ylim(bottom=0)
    quality.legend(fontsize=7)
    for each in (quality, time):
        each.set_xlabel("max_staleness")
        each.grid(alpha=0.3)
    return figure if drawn else None


def drift(plt, results):
    figure, axes = plt.subplots(figsize=(4.5, 3), layout="constrained")
    drawn = False
    for index, (method, title) in enumerate((("off_policy", "imitation of own samples"), ("opd", "OPD from a copy"))):
        for rate in RATES:
            runs = of(results, f"5/{method}-{rate}", "-accuracy")
            drawn = drawn or bool(runs)
            axes.plot(
                [float(rate)] * len(runs),
                [100 * run["pass"] for run in runs],
                "o",
                color=f"C{index}",
                alpha=0.7,
                label=title if rate == RATES[0] else None,
            )
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("held-out accuracy, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    return figure if drawn else None


def distributions(plt, results):
    """Accuracy by divergence over steps; a line a seed."""
    figure, axes = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
    for index, (name, (title, _)) in enumerate(COMPARED.items()):
        for run in of(results, f"7/{name}"):
            axes.plot(
                [point["step"] for point in run["curve"]],
                [100 * point["pass"] for point in run["curve"]],
                color=f"C{index}",
                alpha=0.7,
                lw=1,
                label=title if run["seed"] == 1 else None,
            )
    axes.axhline(100 * TARGET, color="k", lw=0.6, ls=":")
    axes.set_xlim(left=0)
    axes.set_xlabel("steps")
    axes.set_ylabel("held-out accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    return figure if of(results, "7/sampled") else None


PLOTS_BY_NAME = {
    "divergences": distributions,
    "methods": curves,
    "prompts": lambda plt, results: bars(
        plt, results, [(count, f"3/prompts-{count}") for count in PROMPTS], "different prompts"
    ),
    "drift": drift,
    "staleness": stale,
    "budget": lambda plt, results: bars(
        plt, results, [(each, f"6/budget-{each}") for each in BUDGETS], "tokens of a response that are sampled"
    ),
    "rank": lambda plt, results: bars(
        plt, results, [(rank, f"6/rank-{rank}") for rank in RANKS] + [("all", f"6/budget-{BUDGETS[-1]}")], "LoRA rank"
    ),
}
