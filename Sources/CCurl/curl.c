#include "ccurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The functions of libcurl that are used, found when they are needed.
#define FUNCTIONS(each)                                                                                                \
    each(curl_global_init) each(curl_easy_init) each(curl_easy_setopt) each(curl_easy_getinfo)                        \
        each(curl_easy_cleanup) each(curl_easy_strerror) each(curl_slist_append) each(curl_slist_free_all)            \
            each(curl_multi_init) each(curl_multi_setopt) each(curl_multi_add_handle) each(curl_multi_remove_handle)  \
                each(curl_multi_perform) each(curl_multi_poll) each(curl_multi_wakeup) each(curl_multi_info_read)     \
                    each(curl_multi_cleanup) each(curl_version_info)

#define DECLARE(name) static __typeof__(&(name)) p_##name;
// The headers check the arguments of these by macros of the same names.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
FUNCTIONS(DECLARE)

// Older ones serve for servers, and do not sign all of a request's head.
#define SIGNING_VERSION 0x075800
#if LIBCURL_VERSION_NUM >= SIGNING_VERSION
static __typeof__(&(curl_easy_header)) p_curl_easy_header;
#endif

static char missing[512];

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(missing, sizeof missing, "HTTP needs libcurl, and it cannot be loaded (%s); install libcurl4", dlerror());
        return;
    }
#define FIND(name)                                                                                                     \
    *(void **)&p_##name = dlsym(library, #name);                                                                      \
    if (!p_##name) snprintf(missing, sizeof missing, "this libcurl has no " #name "; install libcurl 7.68 or newer");
    FUNCTIONS(FIND)
#if LIBCURL_VERSION_NUM >= SIGNING_VERSION
    *(void **)&p_curl_easy_header = dlsym(library, "curl_easy_header");
#endif
    if (!missing[0] && p_curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(missing, sizeof missing, "libcurl cannot be started");
}

const char *ccurl_missing(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return missing[0] ? missing : NULL;
}

struct ccurl_client {
    CURLM *multi;
    ccurl_receive receive;
    ccurl_finish finish;
    ccurl_transfer *first;
};

struct ccurl_transfer {
    ccurl_client *client;
    CURL *easy;
    struct curl_slist *headers;
    void *context;
    int file;
    int64_t file_start, file_place, file_end;
    ccurl_transfer *next, *previous;
    char error[CURL_ERROR_SIZE];
};

ccurl_client *ccurl_open(ccurl_receive receive, ccurl_finish finish) {
    ccurl_client *client = calloc(1, sizeof *client);
    if (!client) return NULL;
    client->multi = p_curl_multi_init();
    client->receive = receive;
    client->finish = finish;
    if (client->multi) return client;
    free(client);
    return NULL;
}

static void end(ccurl_transfer *transfer) {
    ccurl_client *client = transfer->client;
    p_curl_multi_remove_handle(client->multi, transfer->easy);
    p_curl_easy_cleanup(transfer->easy);
    p_curl_slist_free_all(transfer->headers);
    if (transfer->previous) transfer->previous->next = transfer->next;
    if (transfer->next) transfer->next->previous = transfer->previous;
    if (client->first == transfer) client->first = transfer->next;
    free(transfer);
}

void ccurl_close(ccurl_client *client) {
    while (client->first) end(client->first);
    p_curl_multi_cleanup(client->multi);
    free(client);
}

static size_t receive(char *bytes, size_t size, size_t count, void *transfer_) {
    ccurl_transfer *transfer = transfer_;
    return transfer->client->receive(transfer->context, (const uint8_t *)bytes, size * count) ? size * count : 0;
}

static size_t send_file(char *bytes, size_t size, size_t count, void *transfer_) {
    ccurl_transfer *transfer = transfer_;
    int64_t left = transfer->file_end - transfer->file_place, room = (int64_t)(size * count);
    ssize_t done = pread(transfer->file, bytes, (size_t)(room < left ? room : left), transfer->file_place);
    // A file that has become shorter is no end.
    if (done < 0 || (done == 0 && left > 0)) return CURL_READFUNC_ABORT;
    transfer->file_place += done;
    return (size_t)done;
}

// A connection that was kept open may turn out to be dead, and all is sent again over another.
static int seek_file(void *transfer_, curl_off_t offset, int origin) {
    ccurl_transfer *transfer = transfer_;
    if (origin != SEEK_SET || offset < 0 || offset > transfer->file_end - transfer->file_start) return CURL_SEEKFUNC_FAIL;
    transfer->file_place = transfer->file_start + offset;
    return CURL_SEEKFUNC_OK;
}

static int add_line(ccurl_transfer *transfer, const char *line) {
    struct curl_slist *headers = p_curl_slist_append(transfer->headers, line);
    if (headers) transfer->headers = headers;
    return headers != NULL;
}

static int add_header(ccurl_transfer *transfer, const char *name, const char *value) {
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    if (!line) return 0;
    snprintf(line, size, "%s: %s", name, value);
    int done = add_line(transfer, line);
    free(line);
    return done;
}

ccurl_transfer *ccurl_begin(ccurl_client *client, const ccurl_request *request, void *context) {
    ccurl_transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer) return NULL;
    transfer->client = client;
    transfer->context = context;
    transfer->easy = p_curl_easy_init();
    CURL *easy = transfer->easy;
    int done = easy != NULL;
#define SET(option, value) done = done && p_curl_easy_setopt(easy, option, value) == CURLE_OK
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    // Another thread's time-outs are not to be told by signals.
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    // Nobody else is sent the key, and nobody else answers.
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    if (!request->uses_proxy) SET(CURLOPT_PROXY, "");
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, request->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, request->timeout_ms);
    if (request->stall_s) {
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, request->stall_s);
    }
    SET(CURLOPT_WRITEFUNCTION, receive);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_PRIVATE, transfer);
    if (request->ca_file) SET(CURLOPT_CAINFO, request->ca_file);
    if (request->body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_count);
        SET(CURLOPT_COPYPOSTFIELDS, (const char *)request->body);
    } else if (request->sends_file) {
        transfer->file = request->file;
        transfer->file_start = transfer->file_place = request->file_offset;
        transfer->file_end = request->file_offset + request->file_count;
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->file_count);
        SET(CURLOPT_READFUNCTION, send_file);
        SET(CURLOPT_READDATA, transfer);
        SET(CURLOPT_SEEKFUNCTION, seek_file);
        SET(CURLOPT_SEEKDATA, transfer);
    }
    if (request->content_type) done = done && add_header(transfer, "Content-Type", request->content_type);
    // Without this an answer is waited for before a long body is sent. But a field without a value would be signed, and is
    // not sent: the store would find another signature.
    if ((request->body || request->sends_file) && !request->signature) done = done && add_header(transfer, "Expect", "");
    if (request->method) SET(CURLOPT_CUSTOMREQUEST, request->method);
    for (size_t index = 0; index < request->header_count; index++)
        done = done && add_line(transfer, request->headers[index]);
    if (request->signature) {
#if LIBCURL_VERSION_NUM >= SIGNING_VERSION
        SET(CURLOPT_AWS_SIGV4, request->signature);
#else
        done = 0;
#endif
        SET(CURLOPT_USERNAME, request->user);
        SET(CURLOPT_PASSWORD, request->password);
    }
    if (request->key) {
        char *value = malloc(strlen(request->key) + 8);
        if (value) sprintf(value, "Bearer %s", request->key);
        done = done && value && add_header(transfer, "Authorization", value);
        free(value);
    }
    if (transfer->headers) SET(CURLOPT_HTTPHEADER, transfer->headers);
    if (done && p_curl_multi_add_handle(client->multi, easy) == CURLM_OK) {
        transfer->next = client->first;
        if (client->first) client->first->previous = transfer;
        client->first = transfer;
        return transfer;
    }
    if (easy) p_curl_easy_cleanup(easy);
    p_curl_slist_free_all(transfer->headers);
    free(transfer);
    return NULL;
}

void ccurl_cancel(ccurl_client *client, ccurl_transfer *transfer) {
    (void)client;
    end(transfer);
}

void ccurl_work(ccurl_client *client, int timeout_ms) {
    int running, left;
    p_curl_multi_perform(client->multi, &running);
    const CURLMsg *message;
    int finished = 0;
    while ((message = p_curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE) continue;
        finished = 1;
        CURLcode code = message->data.result;
        ccurl_transfer *transfer = NULL;
        long status = 0, connects = 0;
        p_curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        p_curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        p_curl_easy_getinfo(message->easy_handle, CURLINFO_NUM_CONNECTS, &connects);
        const char *text = transfer->error[0] ? transfer->error : p_curl_easy_strerror(code);
        client->finish(transfer->context, (int)code, status, connects, text);
        end(transfer);
    }
    if (!finished) p_curl_multi_poll(client->multi, NULL, 0, timeout_ms, NULL);
}

void ccurl_wake(ccurl_client *client) { p_curl_multi_wakeup(client->multi); }

long ccurl_status(ccurl_transfer *transfer) {
    long status = 0;
    p_curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *ccurl_header(ccurl_transfer *transfer, const char *name) {
#if LIBCURL_VERSION_NUM >= SIGNING_VERSION
    struct curl_header *found = NULL;
    if (p_curl_easy_header && p_curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK)
        return found->value;
#endif
    (void)transfer;
    (void)name;
    return NULL;
}

int ccurl_is_timeout(int code) { return code == CURLE_OPERATION_TIMEDOUT; }

int ccurl_is_final(int code) {
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND: return 1;
    default: return 0;
    }
}

int ccurl_signs(void) {
    return LIBCURL_VERSION_NUM >= SIGNING_VERSION && p_curl_version_info(CURLVERSION_NOW)->version_num >= SIGNING_VERSION;
}

const char *ccurl_version(void) { return p_curl_version_info(CURLVERSION_NOW)->version; }
