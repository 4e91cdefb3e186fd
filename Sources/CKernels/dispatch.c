#include <stdlib.h>
#include <string.h>

#include "include/ckernels.h"

extern const ck_kernels ck_table_portable;
extern const size_t ck_scratch_portable;
#if defined(__x86_64__)
extern const ck_kernels ck_table_avx2, ck_table_avx512;

static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const ck_kernels *ck_kernels_named(const char *name) {
    if (!strcmp(name, "portable")) return &ck_table_portable;
#if defined(__x86_64__)
    if (!strcmp(name, "avx2") && has_avx2()) return &ck_table_avx2;
    if (!strcmp(name, "avx512") && has_avx512()) return &ck_table_avx512;
#endif
    return NULL;
}

const ck_kernels *ck_kernels_best(void) {
    const char *asked = getenv("OPD_ISA");
    const ck_kernels *found = asked ? ck_kernels_named(asked) : NULL;
    if (!found) found = ck_kernels_named("avx512");
    if (!found) found = ck_kernels_named("avx2");
    return found ? found : ck_kernels_named("portable");
}

size_t ck_attention_scratch(void) { return ck_scratch_portable; }
