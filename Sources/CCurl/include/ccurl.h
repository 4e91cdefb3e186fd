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
// A `ccurl_client` belongs to one thread; only `ccurl_wake` may be called from others.

typedef struct ccurl_client ccurl_client;
typedef struct ccurl_transfer ccurl_transfer;

/// What is asked; all of it is copied.
typedef struct {
    const char *url;
    /// NULL: GET; else what is posted, as JSON.
    const uint8_t *body;
    size_t body_count;
    /// The secret of `Authorization: Bearer`; NULL: none.
    const char *key;
    /// PEM file of the authorities that are trusted; NULL: the system's.
    const char *ca_file;
    long connect_timeout_ms;
    /// The longest time of the whole transfer.
    long timeout_ms;
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
/// Has `ccurl_work` return soon.
void ccurl_wake(ccurl_client *client);

/// Whether a transfer with this code failed for want of time.
int ccurl_is_timeout(int code);

#endif
