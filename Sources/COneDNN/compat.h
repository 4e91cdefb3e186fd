// What differs between the C APIs of oneDNN 2.x and 3.x: memory descriptors are structs there, handles here.
#pragma once
#include <oneapi/dnnl/dnnl.h>

/// How a blocked matrix lies in memory: whole blocks by strides, then nested blocks, the outermost first.
typedef struct {
    int64_t strides[2];
    int blocks;
    int64_t size[8];
    int dimension[8];
} od_blocking;

static int od_blocking_set(
    od_blocking *b, const int64_t *strides, int blocks, const int64_t *sizes, const int64_t *dimensions) {
    if (blocks < 0 || blocks > 8) return 1;
    *b = (od_blocking){.strides = {strides[0], strides[1]}, .blocks = blocks};
    for (int i = 0; i < blocks; i++) {
        if (sizes[i] < 1 || dimensions[i] < 0 || dimensions[i] > 1) return 1;
        b->size[i] = sizes[i];
        b->dimension[i] = (int)dimensions[i];
    }
    return 0;
}

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t od_md;

static int od_md_strided(od_md *md, int64_t rows, int64_t columns, dnnl_data_type_t type, int64_t s0, int64_t s1) {
    dnnl_dims_t dims = {rows, columns}, strides = {s0, s1};
    return dnnl_memory_desc_create_with_strides(md, 2, dims, type, strides);
}
static int od_md_any(od_md *md, int64_t rows, int64_t columns, dnnl_data_type_t type) {
    dnnl_dims_t dims = {rows, columns};
    return dnnl_memory_desc_create_with_tag(md, 2, dims, type, dnnl_format_tag_any);
}
static void od_md_release(od_md *md) {
    if (*md) dnnl_memory_desc_destroy(*md);
    *md = NULL;
}
static size_t od_md_size(const od_md *md) { return dnnl_memory_desc_get_size(*md); }
static int od_md_query(od_md *md, const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    return dnnl_memory_desc_clone(md, dnnl_primitive_desc_query_md(pd, what, 0));
}
static int od_matmul_pd(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const od_md *a, const od_md *b, const od_md *c,
    dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, engine, *a, *b, NULL, *c, attr);
}
static int od_reorder_pd(
    dnnl_primitive_desc_t *pd, const od_md *from, const od_md *to, dnnl_engine_t engine, dnnl_primitive_attr_t attr) {
    return dnnl_reorder_primitive_desc_create(pd, *from, engine, *to, engine, attr);
}
/// 0 when `md` is blocked and holds nothing but its elements.
static int od_md_blocking(const od_md *md, od_blocking *out) {
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    int blocks = 0;
    int64_t start = 0;
    dnnl_dims_t *strides = NULL, *sizes = NULL, *dimensions = NULL;
    if (dnnl_memory_desc_query(*md, dnnl_query_format_kind, &kind) || kind != dnnl_blocked) return 1;
    if (dnnl_memory_desc_query(*md, dnnl_query_strides, &strides) ||
        dnnl_memory_desc_query(*md, dnnl_query_inner_nblks_s32, &blocks) ||
        dnnl_memory_desc_query(*md, dnnl_query_inner_blks, &sizes) ||
        dnnl_memory_desc_query(*md, dnnl_query_inner_idxs, &dimensions) ||
        dnnl_memory_desc_query(*md, dnnl_query_submemory_offset_s64, &start) || start)
        return 1;
    return od_blocking_set(out, *strides, blocks, *sizes, *dimensions);
}
static int od_append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef); }
static int od_memory(dnnl_memory_t *memory, const od_md *md, dnnl_engine_t engine) {
    return dnnl_memory_create(memory, *md, engine, DNNL_MEMORY_NONE);
}
static void od_set(dnnl_memory_t memory, void *pointer) { dnnl_memory_set_data_handle(memory, pointer); }
#else
typedef dnnl_memory_desc_t od_md;

static int od_md_strided(od_md *md, int64_t rows, int64_t columns, dnnl_data_type_t type, int64_t s0, int64_t s1) {
    dnnl_dims_t dims = {rows, columns}, strides = {s0, s1};
    return dnnl_memory_desc_init_by_strides(md, 2, dims, type, strides);
}
static int od_md_any(od_md *md, int64_t rows, int64_t columns, dnnl_data_type_t type) {
    dnnl_dims_t dims = {rows, columns};
    return dnnl_memory_desc_init_by_tag(md, 2, dims, type, dnnl_format_tag_any);
}
static void od_md_release(od_md *md) { (void)md; }
static size_t od_md_size(const od_md *md) { return dnnl_memory_desc_get_size(md); }
static int od_md_query(od_md *md, const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    const dnnl_memory_desc_t *found = dnnl_primitive_desc_query_md(pd, what, 0);
    if (!found) return 1;
    *md = *found;
    return 0;
}
static int od_matmul_pd(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const od_md *a, const od_md *b, const od_md *c,
    dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t desc;
    int status = dnnl_matmul_desc_init(&desc, a, b, NULL, c);
    return status ? status : (int)dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
}
static int od_reorder_pd(
    dnnl_primitive_desc_t *pd, const od_md *from, const od_md *to, dnnl_engine_t engine, dnnl_primitive_attr_t attr) {
    return dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, attr);
}
/// 0 when `md` is blocked and holds nothing but its elements.
static int od_md_blocking(const od_md *md, od_blocking *out) {
    if (md->format_kind != dnnl_blocked || md->extra.flags != dnnl_memory_extra_flag_none || md->offset0) return 1;
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    return od_blocking_set(out, b->strides, b->inner_nblks, b->inner_blks, b->inner_idxs);
}
static int od_append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1.0f); }
static int od_memory(dnnl_memory_t *memory, const od_md *md, dnnl_engine_t engine) {
    return dnnl_memory_create(memory, md, engine, DNNL_MEMORY_NONE);
}
static void od_set(dnnl_memory_t memory, void *pointer) { dnnl_memory_set_data_handle(memory, pointer); }
#endif
