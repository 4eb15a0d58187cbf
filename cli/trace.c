// What a request or a task went through, from the spans that this machine keeps.
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "commands.h"
#include "id.h"
#include "print.h"
#include "waterfall.h"

enum { TRACES_MAX = 16, ID_MAX = 64, PATH_SIZE = 4096 };

// The traces that a task, a request or a message is found in; then their spans.
struct search {
    const char *id;
    uint8_t traces[TRACES_MAX][16];
    size_t count;
    struct waterfall waterfalls[TRACES_MAX];
    bool no_memory;
};

static int
find_trace(const struct search *self, const struct om_trace *trace)
{
    for (size_t i = 0; i < self->count; i++)
        if (memcmp(self->traces[i], trace->trace_id, sizeof(trace->trace_id)) == 0)
            return (int)i;
    return -1;
}

static void
match(void *context, const struct om_span_line *line)
{
    static const enum om_span_attr keys[] = { OM_ATTR_TASK, OM_ATTR_REQUEST,
                                              OM_ATTR_MESSAGE };
    struct search *self = context;
    char text[ID_MAX];
    om_trace_id_text(&line->span.trace, text);
    bool found = strcmp(text, self->id) == 0;
    for (size_t i = 0; i < OM_COUNT(keys) && !found; i++) {
        waterfall_attr(&line->span, keys[i], text, sizeof(text));
        found = strcmp(text, self->id) == 0;
    }
    if (found && self->count < TRACES_MAX && find_trace(self, &line->span.trace) < 0)
        memcpy(self->traces[self->count++], line->span.trace.trace_id, 16);
}

static void
gather(void *context, const struct om_span_line *line)
{
    struct search *self = context;
    int at = find_trace(self, &line->span.trace);
    if (at >= 0 && !waterfall_add(&self->waterfalls[at], line))
        self->no_memory = true;
}

static void
show(struct search *self, bool as_json)
{
    json_t *all = as_json ? json_array() : NULL;
    for (size_t i = 0; i < self->count; i++) {
        if (as_json)
            json_array_append_new(all, waterfall_json(&self->waterfalls[i]));
        else
            waterfall_print(&self->waterfalls[i], stdout);
    }
    if (as_json)
        print_json(all);
    json_decref(all);
}

int
cmd_trace(const struct args *args)
{
    char folder[PATH_SIZE];
    struct search search = { .id = args->positional[0] };
    const char *data = args_get(args, "data");
    if (!data)
        data = getenv("OMNI_DATA");
    snprintf(folder, sizeof(folder), "%s/trace", data && *data ? data : "data");
    enum om_rc rc = om_span_file_read(folder, match, &search);
    if (rc != OM_OK)
        return args_fail(EXIT_REFUSED,
                         "there are no traces in %s: name the data folder of an omni up "
                         "with --data DIR",
                         folder);
    if (search.count == 0)
        return args_fail(EXIT_REFUSED,
                         "nothing of %s is in %s: it is too old, was not sampled, or is "
                         "of another Omni",
                         search.id, folder);
    rc = om_span_file_read(folder, gather, &search);
    if (rc == OM_OK && !search.no_memory)
        show(&search, args_get(args, "json") != NULL);
    for (size_t i = 0; i < search.count; i++)
        waterfall_finish(&search.waterfalls[i]);
    return rc == OM_OK && !search.no_memory ? EXIT_DONE
                                            : args_fail(EXIT_REFUSED, "no memory");
}
