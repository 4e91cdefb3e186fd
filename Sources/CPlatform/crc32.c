#include "cplatform_crc32.h"

#include <pthread.h>
#include <string.h>

// ---- portable: eight table look-ups take in eight bytes ----

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        tables[0][byte] = crc;
    }
    for (int table = 1; table < 8; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][before & 0xff];
        }
}

// `crc` here and below is the inner state: the complement of what callers see.
static uint32_t update_portable(uint32_t crc, const unsigned char *p, size_t count) {
    pthread_once(&tables_once, fill_tables);
    for (; count >= 8; count -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
              tables[4][low >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
    }
    for (; count > 0; count--, p++) crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xff];
    return crc;
}

uint32_t cplatform_crc32_portable(uint32_t crc, const void *bytes, size_t count) {
    return ~update_portable(~crc, bytes, count);
}

// ---- joining: bytes that follow multiply the remainder by a power of x ----

// The product of two polynomials modulo P, all bit-reflected: the highest bit is x^0.
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        if (a >> 31) product ^= b;
        b = (b >> 1) ^ (0xEDB88320u & (0u - (b & 1u)));
    }
    return product;
}

uint32_t cplatform_crc32_joined(uint32_t first, uint32_t second, size_t second_count) {
    uint32_t square = 1u << 23;  // x^8: one byte
    for (; second_count > 0; second_count >>= 1) {
        if (second_count & 1) first = multiply(first, square);
        square = multiply(square, square);
    }
    return first ^ second;
}

#if defined(__x86_64__)

#include <immintrin.h>

// Folding by carry-less multiplication, after Gopal et al., "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction" (Intel, 2009). Constants are x^n mod P, bit-reflected, for the distances named.

#define FOLD_TARGET __attribute__((target("pclmul,sse4.1")))

FOLD_TARGET static inline __m128i fold(__m128i state, __m128i constants, __m128i next) {
    __m128i low = _mm_clmulepi64_si128(state, constants, 0x00);
    __m128i high = _mm_clmulepi64_si128(state, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// 128 bits of state down to 32: fold once more by 64 and 32 bits, then Barrett reduction.
FOLD_TARGET static uint32_t reduce(__m128i state) {
    const __m128i by128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i by64 = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low32 = _mm_setr_epi32(-1, 0, -1, 0);
    state = _mm_xor_si128(_mm_srli_si128(state, 8), _mm_clmulepi64_si128(state, by128, 0x10));
    __m128i rest = _mm_srli_si128(state, 4);
    state = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(state, low32), by64, 0x00), rest);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(state, low32), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(state, quotient), 1);
}

// `count` is a multiple of 16, at least 64.
FOLD_TARGET static uint32_t update_folding(uint32_t crc, const unsigned char *p, size_t count) {
    const __m128i by512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i by128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    __m128i a = _mm_xor_si128(_mm_loadu_si128((const __m128i *)p), _mm_cvtsi32_si128((int)crc));
    __m128i b = _mm_loadu_si128((const __m128i *)(p + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(p + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(p + 48));
    for (p += 64, count -= 64; count >= 64; p += 64, count -= 64) {
        a = fold(a, by512, _mm_loadu_si128((const __m128i *)p));
        b = fold(b, by512, _mm_loadu_si128((const __m128i *)(p + 16)));
        c = fold(c, by512, _mm_loadu_si128((const __m128i *)(p + 32)));
        d = fold(d, by512, _mm_loadu_si128((const __m128i *)(p + 48)));
    }
    a = fold(a, by128, b);
    a = fold(a, by128, c);
    a = fold(a, by128, d);
    for (; count >= 16; p += 16, count -= 16) a = fold(a, by128, _mm_loadu_si128((const __m128i *)p));
    return reduce(a);
}

uint32_t cplatform_crc32(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    uint32_t state = ~crc;
    if (count >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
        size_t folded = count & ~(size_t)15;
        state = update_folding(state, p, folded);
        p += folded;
        count -= folded;
    }
    return ~update_portable(state, p, count);
}

#else

uint32_t cplatform_crc32(uint32_t crc, const void *bytes, size_t count) {
    return cplatform_crc32_portable(crc, bytes, count);
}

#endif
