#ifndef CCURL_H
#define CCURL_H

#include <stddef.h>
#include <stdint.h>

// HTTP by libcurl's multi interface, which drives many transfers from one thread.
//
// Not by async-http-client: with swift-nio, BoringSSL and what else it needs, a clean release build of it takes 12.5
// minutes of CPU time (measured with 1.37), more than six minutes on two cores, where the whole of this project takes
// four; and 'make test' and the sanitizers would build it each anew. libcurl is a package of every system. It is loaded
// when the first server is spoken to: a run without servers links and loads none of it.
//
// A `ccurl_client` belongs to one thread at a time; only `ccurl_wake` may be called from others.

typedef struct ccurl_client ccurl_client;
typedef struct ccurl_transfer ccurl_transfer;

/// What is asked; all of it is copied but the file. Zeros and NULLs are right where nothing is said.
typedef struct {
    const char *url;
    /// NULL: GET, POST where there is a body, PUT where a file is sent.
    const char *method;
    /// NULL: none; else what is sent, and its type.
    const uint8_t *body;
    size_t body_count;
    const char *content_type;
    /// Whether these bytes of a file are sent. Its descriptor stays open until the transfer has ended.
    int sends_file;
    int file;
    int64_t file_offset, file_count;
    /// Further lines of the head, such as `Name: value`.
    const char *const *headers;
    size_t header_count;
    /// The secret of `Authorization: Bearer`; NULL: none.
    const char *key;
    /// How a request is signed (CURLOPT_AWS_SIGV4), and by whom; NULL: it is not.
    const char *signature, *user, *password;
    /// PEM file of the authorities that are trusted; NULL: the system's.
    const char *ca_file;
    /// Whether the proxy of the environment is used, where there is one.
    int uses_proxy;
    long connect_timeout_ms;
    /// The longest time of the whole transfer, and of one that stands still; 0: any.
    long timeout_ms, stall_s;
} ccurl_request;

/// Takes a piece of an answer's body; 0 ends the transfer.
typedef int (*ccurl_receive)(void *context, const uint8_t *bytes, size_t count);

/// A transfer's end. `code` is 0 and `status` HTTP's, or `code` is libcurl's and `message` says why. `connects` counts the
/// connections that were made for it: 0 when one that was open was used.
typedef void (*ccurl_finish)(void *context, int code, long status, long connects, const char *message);

/// NULL when libcurl is there; else why not, in one line.
const char *ccurl_missing(void);

/// NULL when there is no memory; libcurl must be there.
ccurl_client *ccurl_open(ccurl_receive receive, ccurl_finish finish);
/// Ends all transfers without a word.
void ccurl_close(ccurl_client *client);

/// Begins a transfer. NULL when it cannot: then nothing is called for `context`.
ccurl_transfer *ccurl_begin(ccurl_client *client, const ccurl_request *request, void *context);
/// Ends a transfer that has not finished, without a word.
void ccurl_cancel(ccurl_client *client, ccurl_transfer *transfer);
/// Moves transfers on for at most this long, calling `receive` and `finish`.
void ccurl_work(ccurl_client *client, int timeout_ms);
/// HTTP's status of what is being received.
long ccurl_status(ccurl_transfer *transfer);
/// A field of the answer's head, until the transfer has ended; NULL: it has none, or libcurl is too old to sign.
const char *ccurl_header(ccurl_transfer *transfer, const char *name);
/// Has `ccurl_work` return soon.
void ccurl_wake(ccurl_client *client);

/// Whether a transfer with this code failed for want of time.
int ccurl_is_timeout(int code);
/// Whether a transfer with this code failed for what it was asked, so that it fails again: no such authority, protocol.
int ccurl_is_final(int code);
/// Whether requests can be signed with all of their head: this was built with libcurl 7.88 or newer, and has it now.
int ccurl_signs(void);
/// Its version, such as `7.88.1`.
const char *ccurl_version(void);

#endif
