#include "cplatform_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

int cplatform_peer_address(int descriptor, char *text, int size) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getpeername(descriptor, (struct sockaddr *)&address, &length) != 0) return errno;
    char host[INET6_ADDRSTRLEN];
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        if (!inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host)) return errno;
        snprintf(text, (size_t)size, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        if (!inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host)) return errno;
        snprintf(text, (size_t)size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        snprintf(text, (size_t)size, "local");
    }
    return 0;
}

int64_t cplatform_bytes_received(int descriptor) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return -1;
    // An older kernel fills less of it.
    if (length < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) return -1;
    return (int64_t)info.tcpi_bytes_received;
}

int64_t cplatform_connection_silence(int descriptor) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return -1;
    // tcp_states.h, which is the kernel's own, calls it TCP_ESTABLISHED.
    return info.tcpi_state == 1 ? (int64_t)info.tcpi_last_data_recv : -1;
}
