#include "conednn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"

// Declared here rather than through omp.h: clang's search path has no omp.h for GCC's runtime.
extern void omp_set_num_threads(int);

/// Row count at which a packed layout is chosen. Any M then uses that layout.
enum { REFERENCE_ROWS = 64 };

struct od_runtime {
    dnnl_engine_t engine;
    int threads;
    dnnl_stream_t *streams;
    /// One scratchpad a thread, as large as the hungriest plan made so far.
    void **scratch;
    size_t scratch_size;
    int bf16, blocked_f32;
};

struct od_layout {
    od_runtime *runtime;
    int64_t k, n;
    dnnl_data_type_t type;
    od_md md;
    char implementation[64];
    /// The reorder last prepared.
    dnnl_primitive_t reorder;
    dnnl_memory_t *from, *to, *pad;
    int source_type;
    int64_t stride_k, stride_n;
};

struct od_plan {
    od_runtime *runtime;
    dnnl_primitive_t primitive;
    dnnl_memory_t *a, *b, *c, *pad;
    char implementation[64];
};

void od_thread_enter(void) { omp_set_num_threads(1); }

const char *od_version(void) {
    static char text[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

/// The part of an element's offset that its index in one dimension contributes.
static int64_t blocked_offset(const od_blocking *b, int dimension, int64_t index) {
    int64_t offset = 0, stride = 1;
    for (int i = b->blocks - 1; i >= 0; i--) {
        if (b->dimension[i] == dimension) {
            offset += index % b->size[i] * stride;
            index /= b->size[i];
        }
        stride *= b->size[i];
    }
    return offset + index * b->strides[dimension];
}

int od_layout_offsets(const od_layout *layout, int64_t *k_offsets, int64_t *n_offsets) {
    od_blocking b;
    if (od_md_blocking(&layout->md, &b)) return 1;
    for (int64_t k = 0; k < layout->k; k++) k_offsets[k] = blocked_offset(&b, 0, k);
    for (int64_t n = 0; n < layout->n; n++) n_offsets[n] = blocked_offset(&b, 1, n);
    return 0;
}

static dnnl_data_type_t data_type(int type) { return type == OD_BF16 ? dnnl_bf16 : dnnl_f32; }

static dnnl_primitive_attr_t attributes(bool accumulate) {
    dnnl_primitive_attr_t attr = NULL;
    if (dnnl_primitive_attr_create(&attr)) return NULL;
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (accumulate) {
        dnnl_post_ops_t ops = NULL;
        dnnl_post_ops_create(&ops);
        od_append_sum(ops);
        dnnl_primitive_attr_set_post_ops(attr, ops);
        dnnl_post_ops_destroy(ops);
    }
    return attr;
}

static void implementation_name(const_dnnl_primitive_desc_t pd, char out[64]) {
    const char *name = NULL;
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    snprintf(out, 64, "%s", name ? name : "?");
}

/// Memory objects of one argument, one a thread. Null on failure.
static dnnl_memory_t *memories(od_runtime *runtime, const od_md *md) {
    dnnl_memory_t *all = calloc((size_t)runtime->threads, sizeof *all);
    for (int i = 0; all && i < runtime->threads; i++)
        if (od_memory(&all[i], md, runtime->engine)) all[i] = NULL;
    return all;
}

static void release_memories(od_runtime *runtime, dnnl_memory_t *all) {
    for (int i = 0; all && i < runtime->threads; i++)
        if (all[i]) dnnl_memory_destroy(all[i]);
    free(all);
}

static int grow_scratch(od_runtime *runtime, size_t size) {
    if (size <= runtime->scratch_size) return 0;
    size = (size + 4095) & ~(size_t)4095;
    for (int i = 0; i < runtime->threads; i++) {
        free(runtime->scratch[i]);
        runtime->scratch[i] = NULL;
        if (posix_memalign(&runtime->scratch[i], 4096, size)) return 1;
    }
    runtime->scratch_size = size;
    return 0;
}

/// Whether the matmul of `type` is one of oneDNN's "brgemm" implementations.
static int is_blocked(od_runtime *runtime, int type) {
    od_layout *probe = od_layout_create(runtime, 64, 64, type);
    int found = probe && strstr(probe->implementation, "brg") != NULL;
    if (probe) od_layout_destroy(probe);
    return found;
}

od_runtime *od_runtime_create(int threads) {
    od_thread_enter();
    // With AMX, oneDNN multiplies few rows by another instruction than many, which adds up in another order: a row's
    // bits would depend on the rows beside it. Refused once oneDNN is in use, when it was said before.
    dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_bf16);
    od_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime) return NULL;
    runtime->threads = threads;
    runtime->streams = calloc((size_t)threads, sizeof *runtime->streams);
    runtime->scratch = calloc((size_t)threads, sizeof *runtime->scratch);
    int bad = dnnl_engine_create(&runtime->engine, dnnl_cpu, 0);
    for (int i = 0; !bad && i < threads; i++)
        bad = dnnl_stream_create(&runtime->streams[i], runtime->engine, dnnl_stream_default_flags);
    if (bad) {
        od_runtime_destroy(runtime);
        return NULL;
    }
    // A reference implementation computes bf16 too, a thousand times slower: only compiled kernels count.
    runtime->bf16 = is_blocked(runtime, OD_BF16);
    runtime->blocked_f32 = is_blocked(runtime, OD_F32);
    return runtime;
}

void od_runtime_destroy(od_runtime *runtime) {
    if (!runtime) return;
    for (int i = 0; i < runtime->threads; i++) {
        if (runtime->streams[i]) dnnl_stream_destroy(runtime->streams[i]);
        free(runtime->scratch[i]);
    }
    if (runtime->engine) dnnl_engine_destroy(runtime->engine);
    free(runtime->streams);
    free(runtime->scratch);
    free(runtime);
}

int od_has_bf16(od_runtime *runtime) { return runtime->bf16; }
int od_has_blocked_f32(od_runtime *runtime) { return runtime->blocked_f32; }

od_layout *od_layout_create(od_runtime *runtime, int64_t k, int64_t n, int type) {
    od_thread_enter();
    od_layout *layout = calloc(1, sizeof *layout);
    if (!layout) return NULL;
    layout->runtime = runtime;
    layout->k = k;
    layout->n = n;
    layout->type = data_type(type);
    layout->source_type = -1;
    od_md a, b, c;
    od_md_strided(&a, REFERENCE_ROWS, k, layout->type, k, 1);
    od_md_any(&b, k, n, layout->type);
    od_md_strided(&c, REFERENCE_ROWS, n, dnnl_f32, n, 1);
    dnnl_primitive_attr_t attr = attributes(0);
    dnnl_primitive_desc_t pd = NULL;
    int bad = od_matmul_pd(&pd, runtime->engine, &a, &b, &c, attr);
    if (!bad) {
        implementation_name(pd, layout->implementation);
        bad = od_md_query(&layout->md, pd, dnnl_query_weights_md);
        dnnl_primitive_desc_destroy(pd);
    }
    dnnl_primitive_attr_destroy(attr);
    od_md_release(&a);
    od_md_release(&b);
    od_md_release(&c);
    if (bad) {
        free(layout);
        return NULL;
    }
    return layout;
}

static void release_reorder(od_layout *layout) {
    if (layout->reorder) dnnl_primitive_destroy(layout->reorder);
    release_memories(layout->runtime, layout->from);
    release_memories(layout->runtime, layout->to);
    release_memories(layout->runtime, layout->pad);
    layout->reorder = NULL;
    layout->from = layout->to = layout->pad = NULL;
    layout->source_type = -1;
}

void od_layout_destroy(od_layout *layout) {
    release_reorder(layout);
    od_md_release(&layout->md);
    free(layout);
}

size_t od_layout_size(const od_layout *layout) { return od_md_size(&layout->md); }
const char *od_layout_implementation(const od_layout *layout) { return layout->implementation; }

int od_layout_prepare_pack(od_layout *layout, int source_type, int64_t stride_k, int64_t stride_n) {
    if (layout->source_type == source_type && layout->stride_k == stride_k && layout->stride_n == stride_n) return 0;
    od_thread_enter();
    release_reorder(layout);
    od_runtime *runtime = layout->runtime;
    od_md from, pad;
    od_md_strided(&from, layout->k, layout->n, data_type(source_type), stride_k, stride_n);
    dnnl_primitive_attr_t attr = attributes(0);
    dnnl_primitive_desc_t pd = NULL;
    int bad = od_reorder_pd(&pd, &from, &layout->md, runtime->engine, attr);
    if (!bad) {
        bad = dnnl_primitive_create(&layout->reorder, pd);
        od_md_query(&pad, pd, dnnl_query_scratchpad_md);
        bad |= grow_scratch(runtime, od_md_size(&pad));
        layout->from = memories(runtime, &from);
        layout->to = memories(runtime, &layout->md);
        layout->pad = memories(runtime, &pad);
        od_md_release(&pad);
        dnnl_primitive_desc_destroy(pd);
    }
    dnnl_primitive_attr_destroy(attr);
    od_md_release(&from);
    if (bad) return bad;
    layout->source_type = source_type;
    layout->stride_k = stride_k;
    layout->stride_n = stride_n;
    return 0;
}

int od_layout_pack(
    od_layout *layout, int thread, const void *source, int source_type, int64_t stride_k, int64_t stride_n,
    void *packed) {
    int bad = od_layout_prepare_pack(layout, source_type, stride_k, stride_n);
    if (bad) return bad;
    od_set(layout->from[thread], (void *)source);
    od_set(layout->to[thread], packed);
    od_set(layout->pad[thread], layout->runtime->scratch[thread]);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, layout->from[thread]},
        {DNNL_ARG_TO, layout->to[thread]},
        {DNNL_ARG_SCRATCHPAD, layout->pad[thread]},
    };
    return dnnl_primitive_execute(layout->reorder, layout->runtime->streams[thread], 3, args);
}

static od_plan *make_plan(od_runtime *runtime, const od_md *a, const od_md *b, const od_md *c, bool accumulate) {
    od_thread_enter();
    od_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->runtime = runtime;
    dnnl_primitive_attr_t attr = attributes(accumulate);
    dnnl_primitive_desc_t pd = NULL;
    int bad = od_matmul_pd(&pd, runtime->engine, a, b, c, attr);
    if (!bad) {
        implementation_name(pd, plan->implementation);
        bad = dnnl_primitive_create(&plan->primitive, pd);
        od_md pad;
        od_md_query(&pad, pd, dnnl_query_scratchpad_md);
        bad |= grow_scratch(runtime, od_md_size(&pad));
        plan->a = memories(runtime, a);
        plan->b = memories(runtime, b);
        plan->c = memories(runtime, c);
        plan->pad = memories(runtime, &pad);
        od_md_release(&pad);
        dnnl_primitive_desc_destroy(pd);
    }
    dnnl_primitive_attr_destroy(attr);
    if (bad) {
        od_plan_destroy(plan);
        return NULL;
    }
    return plan;
}

od_plan *od_plan_create(od_runtime *runtime, const od_layout *layout, int64_t m, bool accumulate) {
    od_md a, c;
    od_md_strided(&a, m, layout->k, layout->type, layout->k, 1);
    od_md_strided(&c, m, layout->n, dnnl_f32, layout->n, 1);
    od_plan *plan = make_plan(runtime, &a, &layout->md, &c, accumulate);
    od_md_release(&a);
    od_md_release(&c);
    return plan;
}

od_plan *od_plan_create_plain(
    od_runtime *runtime, int64_t m, int64_t n, int64_t k, int type, bool accumulate) {
    od_md a, b, c;
    od_md_strided(&a, m, k, data_type(type), k, 1);
    od_md_strided(&b, k, n, data_type(type), n, 1);
    od_md_strided(&c, m, n, dnnl_f32, n, 1);
    od_plan *plan = make_plan(runtime, &a, &b, &c, accumulate);
    od_md_release(&a);
    od_md_release(&b);
    od_md_release(&c);
    return plan;
}

void od_plan_destroy(od_plan *plan) {
    if (!plan) return;
    if (plan->primitive) dnnl_primitive_destroy(plan->primitive);
    release_memories(plan->runtime, plan->a);
    release_memories(plan->runtime, plan->b);
    release_memories(plan->runtime, plan->c);
    release_memories(plan->runtime, plan->pad);
    free(plan);
}

const char *od_plan_implementation(const od_plan *plan) { return plan->implementation; }

int od_plan_run(od_plan *plan, int thread, const void *a, const void *b, void *c) {
    od_set(plan->a[thread], (void *)a);
    od_set(plan->b[thread], (void *)b);
    od_set(plan->c[thread], c);
    od_set(plan->pad[thread], plan->runtime->scratch[thread]);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, plan->a[thread]},
        {DNNL_ARG_WEIGHTS, plan->b[thread]},
        {DNNL_ARG_DST, plan->c[thread]},
        {DNNL_ARG_SCRATCHPAD, plan->pad[thread]},
    };
    return dnnl_primitive_execute(plan->primitive, plan->runtime->streams[thread], 4, args);
}
