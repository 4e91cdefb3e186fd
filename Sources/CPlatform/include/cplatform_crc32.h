#pragma once
#include <stddef.h>
#include <stdint.h>

/// The CRC-32 of zlib, gzip and PNG (reflected polynomial 0xEDB88320) of `count` bytes, continuing from `crc`
/// (0 at the start). Uses carry-less multiplication where the processor has it.
uint32_t cplatform_crc32(uint32_t crc, const void *bytes, size_t count);

/// The same, in portable C: what cplatform_crc32 is tested against.
uint32_t cplatform_crc32_portable(uint32_t crc, const void *bytes, size_t count);

/// The CRC-32 of a first part followed by a second one of `second_count` bytes, from those of the parts.
uint32_t cplatform_crc32_joined(uint32_t first, uint32_t second, size_t second_count);
