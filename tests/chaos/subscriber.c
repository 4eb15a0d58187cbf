// subscriber.c - the subscriber of usage events in the chaos run.
//
// Its log is its database: a run is applied by one write and a sync, and what was applied
// is known by the log alone, so that a restart goes on where the log ends.
//
// usage: chaos_subscriber ENDPOINT NODE LOG
#include <stdlib.h>

#include "record.h"
#include "worker.h"

enum { RUNS_CREDIT = 8 };

static struct record record;
static int64_t cursors[OM_SHARD_COUNT];

static void
read_cursors(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return; // the first start
    char line[1024];
    while (fgets(line, sizeof(line), file)) {
        unsigned shard;
        long long seq, quantity;
        char id[200], ref[40];
        if (sscanf(line, "U %*d %u %lld %199s %*s %lld %39s", &shard, &seq, id, &quantity,
                   ref) == 5 &&
            strchr(line, '\n') && shard < OM_SHARD_COUNT && seq > cursors[shard])
            cursors[shard] = seq;
    }
    fclose(file);
}

static void
put_event(struct om_buf *out, int64_t shard, const struct wire_logged *event)
{
    struct wire_usage usage;
    if (rec_decode(&wire_usage_rec, event->body, &usage, NULL) != OM_OK)
        record_die("event %.*s cannot be read", (int)event->id.size, event->id.data);
    char line[512];
    int size =
        snprintf(line, sizeof(line), "U %lld %lld %lld %.*s %.*s %lld %.*s\n",
                 (long long)om_clock_mono_ms(), (long long)shard, (long long)event->seq,
                 (int)event->id.size, event->id.data, (int)usage.meter.size,
                 usage.meter.data, (long long)usage.quantity, (int)usage.subject.size,
                 usage.subject.size ? usage.subject.data : "-");
    om_buf_put(out, line, (size_t)size);
}

static void
on_run(void *context, struct om_job *job)
{
    (void)context;
    int64_t shard = job->msg->shard, last = cursors[shard];
    struct rec_iter iter = rec_iter(job->payload);
    struct om_str bytes;
    struct om_buf lines = { 0 };
    while (rec_next_raw(&iter, &bytes)) {
        struct wire_logged event;
        if (rec_decode(&wire_logged_rec, bytes, &event, NULL) != OM_OK)
            record_die("a run cannot be read");
        if (event.seq <= last)
            continue; // applied before
        put_event(&lines, shard, &event);
        last = event.seq;
    }
    if (lines.size) {
        record_put(&record, lines.data, lines.size);
        record_sync(&record);
    }
    cursors[shard] = last;
    om_buf_finish(&lines);
}

int
main(int argc, char **argv)
{
    if (argc != 4)
        record_die("usage: chaos_subscriber ENDPOINT NODE LOG");
    struct om_worker_conf conf = {
        .link = { .endpoint = argv[1], .node = argv[2], .role = ROLE_BILLING },
        .queues = (const char *const[]){ queues[QUEUE_BILLING_EVENTS].name },
        .queue_count = 1,
        .credit = RUNS_CREDIT,
        .drain_ms = 1000,
        .handle = on_run,
    };
    const char *why;
    read_cursors(argv[3]);
    record_open(&record, argv[3]);
    if (om_worker_main(&conf, &why) != OM_OK)
        record_die("chaos_subscriber: %s", why);
    return 0;
}
