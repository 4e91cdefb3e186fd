#!/usr/bin/env python3
"""Writes the golden case of the divergences, as torch computes them in float64 and differentiates them itself.

Usage: scripts/golden/divergences.py >Tests/Fixtures/golden/divergences.json

Each is written down as its source defines it, over probabilities and their mixtures, so that nothing is shared with
the code under test. p is the student, q the teacher.
"""

import json

import torch

VOCABULARY = 7
TOP_K = 3


def reverse_kl(p, q, _):
    """KL(p || q); MiniLLM, arXiv:2306.08543."""
    return (p * (p.log() - q.log())).sum()


def forward_kl(p, q, _):
    """KL(q || p); GKD, arXiv:2306.13649."""
    return (q * (q.log() - p.log())).sum()


def jsd(p, q, beta):
    """GKD, arXiv:2306.13649: beta is the teacher's share."""
    mixture = beta * q + (1 - beta) * p
    return beta * forward_kl(mixture, q, None) + (1 - beta) * reverse_kl(p, mixture, None)


def skew_kl(p, q, skew):
    """DistiLLM, arXiv:2402.03898: KL(q || skew q + (1 - skew) p)."""
    return forward_kl(skew * q + (1 - skew) * p, q, None)


def skew_reverse_kl(p, q, skew):
    """DistiLLM, arXiv:2402.03898: KL(p || (1 - skew) q + skew p)."""
    return reverse_kl(p, (1 - skew) * q + skew * p, None)


DIVERGENCES = [
    (reverse_kl, 0.0),
    (forward_kl, 0.0),
    (jsd, 0.5),
    (jsd, 0.1),
    (skew_kl, 0.1),
    (skew_reverse_kl, 0.1),
]


def classes(probabilities, ids):
    """The probabilities of the tokens of a list, then of all others together."""
    tail = [token for token in range(VOCABULARY) if token not in ids]
    return torch.cat([probabilities[ids], probabilities[tail].sum()[None]])


def differentiated(divergence, parameter, logits, teacher, ids):
    """A divergence and its gradient in the student's logits; of the classes of a list where there is one."""
    logits = logits.clone().requires_grad_()
    p, q = logits.softmax(-1), teacher.softmax(-1)
    value = divergence(p, q, parameter) if ids is None else divergence(classes(p, ids), classes(q, ids), parameter)
    value.backward()
    return {"value": value.item(), "gradient": logits.grad.tolist()}


def main():
    generator = torch.Generator().manual_seed(7)

    def normal(scale):
        return scale * torch.randn(VOCABULARY, generator=generator, dtype=torch.float64)

    near = normal(1)
    positions = [
        (normal(1), normal(1)),
        # Nearly alike; far apart, with probabilities down to e^-50; sure of different tokens.
        (near, near + normal(1e-3)),
        (normal(12), normal(12)),
        (torch.eye(VOCABULARY, dtype=torch.float64)[2] * 9, torch.eye(VOCABULARY, dtype=torch.float64)[5] * 9),
    ]
    result = []
    for student, teacher in positions:
        ids = teacher.topk(TOP_K).indices.tolist()
        own = student.topk(TOP_K).indices.tolist()
        lists = {"classes": ids, "student_classes": own, "union_classes": sorted({*ids, *own})}
        result.append({"student": student.tolist(), "teacher": teacher.tolist(), "top": ids})
        result[-1] |= {"student_top": own, "union_top": lists["union_classes"], "divergences": []}
        for divergence, parameter in DIVERGENCES:
            entry = {"name": divergence.__name__, "parameter": parameter}
            for key, listed in {"full": None, **lists}.items():
                entry[key] = differentiated(divergence, parameter, student, teacher, listed)
            result[-1]["divergences"].append(entry)
    # One line a divergence.
    print(json.dumps(result).replace('{"name"', '\n{"name"'))


if __name__ == "__main__":
    main()
