#include "sampling.h"

// Masses are summed block by block with the vector exp; only the block that holds the draw is walked token by token.
enum { BLOCK = 1024, LANES = 16 };

static double block_masses(
    const ck_kernels *kernels, const float *logits, int64_t count, float log_sum_exp, float *masses) {
    for (int64_t i = 0; i < count; i++) masses[i] = logits[i] - log_sum_exp;
    kernels->exp(masses, masses, count);
    float lanes[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) lanes[j] += masses[i + j];
    for (; i < count; i++) lanes[i % LANES] += masses[i];
    double sum = 0;
    for (int j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

static int64_t block_end(int64_t start, int64_t count) { return count - start < BLOCK ? count : start + BLOCK; }

int64_t ck_sample_index(
    const ck_kernels *kernels, const float *logits, int64_t count, float log_sum_exp, double uniform) {
    _Alignas(64) float masses[BLOCK];
    double total = 0;
    for (int64_t start = 0; start < count; start += BLOCK)
        total += block_masses(kernels, logits + start, block_end(start, count) - start, log_sum_exp, masses);
    double remaining = uniform * total;
    int64_t start = 0, choice = 0;
    for (;; start += BLOCK) {
        double mass =
            block_masses(kernels, logits + start, block_end(start, count) - start, log_sum_exp, masses);
        if (remaining < mass || start + BLOCK >= count) break;
        remaining -= mass;
    }
    for (int64_t i = start; i < block_end(start, count); i++) {
        double mass = masses[i - start];
        if (mass > 0) choice = i;
        if (remaining < mass) return i;
        remaining -= mass;
    }
    // Rounding left a crumb of mass behind the last token: it is the last one with any.
    return choice;
}
