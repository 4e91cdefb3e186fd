#pragma once
#include <stdint.h>

/// Writes where the other end of a TCP connection is ("10.0.0.5:40112", "[::1]:40112"), or "local" for a socket of this
/// machine's file system, into `text` of `size` bytes. Returns 0, or errno for anything but a connected socket.
int cplatform_peer_address(int descriptor, char *text, int size);

/// Bytes that a TCP connection has received so far, read or not; -1 where the kernel does not tell.
int64_t cplatform_bytes_received(int descriptor);

/// Milliseconds since the other end of a TCP connection was heard; -1 when it has closed the connection or is gone, or
/// for anything but a TCP socket.
int64_t cplatform_connection_silence(int descriptor);
