// Conversions between element types, and exp. All pointers are to n elements; dst and src have types of their own.

static void K(convert)(void *dst, int dst_type, const void *src, int src_type, int64_t n) {
    if (dst_type == src_type) {
        memcpy(dst, src, (size_t)n * (dst_type == CK_F32 ? 4 : 2));
    } else if (dst_type == CK_BF16) {
        EACH_VECTOR(i, k, 0, n) store_n(dst, CK_BF16, i, load_n(src, CK_F32, i, k), k);
    } else {
        EACH_VECTOR(i, k, 0, n) store_n(dst, CK_F32, i, load_n(src, CK_BF16, i, k), k);
    }
}

static void K(exp)(float *y, const float *x, int64_t n) {
    EACH_VECTOR(i, k, 0, n) store_n(y, CK_F32, i, exp16(load_n(x, CK_F32, i, k)), k);
}
