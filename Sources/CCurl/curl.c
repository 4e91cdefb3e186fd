#include "ccurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The functions of libcurl that are used, found when they are needed.
#define FUNCTIONS(each)                                                                                                \
    each(curl_global_init) each(curl_easy_init) each(curl_easy_setopt) each(curl_easy_getinfo)                        \
        each(curl_easy_cleanup) each(curl_easy_strerror) each(curl_slist_append) each(curl_slist_free_all)            \
            each(curl_multi_init) each(curl_multi_setopt) each(curl_multi_add_handle) each(curl_multi_remove_handle)  \
                each(curl_multi_perform) each(curl_multi_poll) each(curl_multi_wakeup) each(curl_multi_info_read)     \
                    each(curl_multi_cleanup)

#define DECLARE(name) static __typeof__(&(name)) p_##name;
// The headers check the arguments of these by macros of the same names.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
FUNCTIONS(DECLARE)

static char missing[512];

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(missing, sizeof missing, "a server needs libcurl, and it cannot be loaded (%s); install libcurl4",
                 dlerror());
        return;
    }
#define FIND(name)                                                                                                     \
    *(void **)&p_##name = dlsym(library, #name);                                                                      \
    if (!p_##name) snprintf(missing, sizeof missing, "this libcurl has no " #name "; install libcurl 7.68 or newer");
    FUNCTIONS(FIND)
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

static int add_header(ccurl_transfer *transfer, const char *name, const char *value) {
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    if (!line) return 0;
    snprintf(line, size, "%s: %s", name, value);
    struct curl_slist *headers = p_curl_slist_append(transfer->headers, line);
    free(line);
    if (headers) transfer->headers = headers;
    return headers != NULL;
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
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, request->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, request->timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, receive);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_PRIVATE, transfer);
    if (request->ca_file) SET(CURLOPT_CAINFO, request->ca_file);
    if (request->body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_count);
        SET(CURLOPT_COPYPOSTFIELDS, (const char *)request->body);
        done = done && add_header(transfer, "Content-Type", "application/json");
        // Without this an answer is waited for before a long body is sent.
        done = done && add_header(transfer, "Expect", "");
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

int ccurl_is_timeout(int code) { return code == CURLE_OPERATION_TIMEDOUT; }
