// A small face on oneDNN's matmul, the same for oneDNN 2.x and 3.x.
//
// A layout is the packed form of one weight matrix B [K,N]; it is chosen once, at a reference row count,
// and reused for every M. A plan is one compiled matmul C[M,N] = A[M,K] B (+ C). Plans run single-threaded
// on the calling thread; each thread of a team passes its own index, which selects its memory objects.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { OD_F32 = 0, OD_BF16 = 1 };

typedef struct od_runtime od_runtime;
typedef struct od_layout od_layout;
typedef struct od_plan od_plan;

/// Makes the calling thread run oneDNN without OpenMP helpers. Cheap; call it on every thread that uses this shim.
void od_thread_enter(void);

/// Null when oneDNN has no CPU engine. `threads`: the largest thread index used with it, plus one.
od_runtime *od_runtime_create(int threads);
void od_runtime_destroy(od_runtime *runtime);

/// 1 when oneDNN has a compiled bf16 matmul for this CPU, 0 when only a reference or none.
int od_has_bf16(od_runtime *runtime);
/// 1 when the f32 matmul is a blocked kernel: its rows do not depend on their number. Plain gemm's may.
int od_has_blocked_f32(od_runtime *runtime);
/// "major.minor.patch" of the library in use.
const char *od_version(void);

/// Packed layout of B [K,N] of `type`. Null when oneDNN refuses.
od_layout *od_layout_create(od_runtime *runtime, int64_t k, int64_t n, int type);
void od_layout_destroy(od_layout *layout);
size_t od_layout_size(const od_layout *layout);
/// Name of the implementation chosen at the reference row count.
const char *od_layout_implementation(const od_layout *layout);
/// Packs B, element (k,n) at source[k * stride_k + n * stride_n], into `packed` (64-byte aligned). 0 on success.
int od_layout_pack(
    od_layout *layout, int thread, const void *source, int source_type, int64_t stride_k, int64_t stride_n,
    void *packed);
/// Prepares what od_layout_pack needs, so that threads may then call it at the same time. 0 on success.
int od_layout_prepare_pack(od_layout *layout, int source_type, int64_t stride_k, int64_t stride_n);

/// Where element (k,n) lies in packed memory: at k_offsets[k] + n_offsets[n] elements from the start. 0 on success.
int od_layout_offsets(const od_layout *layout, int64_t *k_offsets, int64_t *n_offsets);

/// C[m,N] f32 = A[m,K] B, or += when `accumulate`; A and C dense: oneDNN 2.6 falls back to its reference for any other
/// row stride of C. Null when refused.
od_plan *od_plan_create(od_runtime *runtime, const od_layout *layout, int64_t m, bool accumulate);
/// The same with plain dense B [k,n].
od_plan *od_plan_create_plain(od_runtime *runtime, int64_t m, int64_t n, int64_t k, int type, bool accumulate);
void od_plan_destroy(od_plan *plan);
const char *od_plan_implementation(const od_plan *plan);
/// 0 on success.
int od_plan_run(od_plan *plan, int thread, const void *a, const void *b, void *c);

#ifdef __cplusplus
}
#endif
