#pragma once
#include <stdint.h>

#include "ckernels.h"

/// Inverse-CDF draw from softmax(logits): the smallest index whose cumulative mass exceeds uniform * total.
/// logits: [count] f32; log_sum_exp: of the row; uniform in [0, 1).
int64_t ck_sample_index(
    const ck_kernels *kernels, const float *logits, int64_t count, float log_sum_exp, double uniform);
