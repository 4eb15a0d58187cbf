// tracecontext_peer.c - a participant for the W3C's test harness of trace contexts
// (https://github.com/w3c/trace-context, test/test.py), by the code of the edge.
//
// tracecontext_peer HOST:PORT: a POST holds [{"url": …, "arguments": …}, …]; each url is
// posted its arguments, as a part of the request's trace. For tests only.
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

#include "http.h"
#include "span.h"
#include "trace_http.h"

enum { CALL_MS = 3000, HEADER_MAX = OM_TRACESTATE_MAX + 64 };

static size_t
ignore(char *data, size_t size, size_t count, void *context)
{
    (void)data, (void)context;
    return size * count;
}

static void
call(const struct om_trace *trace, struct om_str state, json_t *one)
{
    char line[HEADER_MAX], traceparent[OM_TRACEPARENT_SIZE + 1];
    struct om_trace child = om_span_continue(trace);
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    char *body = json_dumps(json_object_get(one, "arguments"), JSON_ENCODE_ANY);
    const char *url = json_string_value(json_object_get(one, "url"));
    om_trace_format(&child, traceparent);
    snprintf(line, sizeof(line), "traceparent: %s", traceparent);
    headers = curl_slist_append(headers, line);
    if (state.size) {
        snprintf(line, sizeof(line), "tracestate: %.*s", (int)state.size, state.data);
        headers = curl_slist_append(headers, line);
    }
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url ? url : "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)CALL_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_perform(curl); // who asked sees whether it came
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    free(body);
}

static void
on_head(void *context, struct om_http_request *request)
{
    (void)context, (void)request;
}

static void
on_request(void *context, struct om_http_request *request)
{
    struct om_http_loop **loop = context;
    char state[OM_TRACESTATE_MAX + 1];
    size_t size;
    struct om_trace trace;
    if (!om_trace_of_request(request, &trace, state, &size))
        trace = om_span_root();
    json_t *list = json_loadb(request->body.data, request->body.size, 0, NULL), *one;
    size_t i;
    json_array_foreach (list, i, one)
        call(&trace, (struct om_str){ state, size }, one);
    json_decref(list);
    struct om_http_response response = { .status = 200, .body = OM_LIT("{}") };
    om_http_respond(*loop, request->handle, &response);
}

static void
on_gone(void *context, struct om_http_request *request)
{
    (void)context, (void)request;
}

int
main(int argc, char **argv)
{
    static const struct om_http_hooks hooks = { .on_head = on_head,
                                                .on_request = on_request,
                                                .on_gone = on_gone };
    int fd;
    struct om_http_loop *loop;
    if (argc != 2 || om_http_listen(argv[1], false, &fd) != OM_OK) {
        fprintf(stderr, "usage: tracecontext_peer HOST:PORT (a free one)\n");
        return 2;
    }
    printf("%d\n", om_http_port(fd));
    fflush(stdout);
    struct om_http_conf conf = { .listen_fd = fd, .hooks = &hooks, .context = &loop };
    loop = om_http_loop_create(&conf);
    if (!loop)
        return 1;
    om_http_loop_run(loop); // until it is killed
    om_http_loop_destroy(&loop);
    return 0;
}
