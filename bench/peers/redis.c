// redis.c - the jobs of omni-bench over Redis Streams: XADD, XREADGROUP, XACK, with an
// fsync before every reply.
//
// A job is outstanding from its XADD until its consumer has the reply to its XACK. Redis
// does less than Omni here: it keeps no result, no usage event and no state of the job.
#include <unistd.h>

#include "peer.h"
#include "resp.h"

enum { SLOTS_MAX = 1000 };

static pid_t
start(struct peer_run *run, const char *const *environment)
{
    // clang-format off
    const char *arguments[] = {
        "/usr/bin/redis-server", "--port", "0", "--unixsocket", run->socket,
        "--dir", run->folder, "--appendonly", "yes", "--appendfsync", run->fsync,
        "--save", "", "--auto-aof-rewrite-percentage", "0", "--logfile", "redis.log",
        "--loglevel", "warning", NULL,
    };
    // clang-format on
    return child_exec(arguments, environment);
}

// ---- a consumer's process

enum { READ_WORDS = 11 };

// Read `count` entries, [id, [field, payload]] each, and acknowledge them: with a command
// each, as jobs do that end by themselves, or with one for all. `read`, which asks for
// the next entries, goes out with the acknowledgements, so that no round trip is lost.
static void
handle_entries(struct peer_run *run, struct stream *redis, int64_t count,
               const struct om_str read[READ_WORDS])
{
    char ids[SLOTS_MAX][32];
    int64_t indices[SLOTS_MAX];
    struct om_str words[3 + SLOTS_MAX] = { OM_LIT("XACK"), OM_LIT("jobs"), OM_LIT("g") };
    int64_t each = run->ack_each ? 1 : count;
    for (int64_t i = 0; i < count; i++) {
        resp_next(redis); // *2
        struct om_str id = resp_next(redis).text;
        memcpy(ids[i], id.data, id.size);
        words[3 + i % each] = (struct om_str){ ids[i], id.size };
        resp_next(redis); // *2
        resp_next(redis); // field
        memcpy(&indices[i], resp_next(redis).text.data, sizeof(indices[i]));
        if ((i + 1) % each == 0)
            resp_add(redis, 3 + (size_t)each, words);
    }
    resp_add(redis, READ_WORDS, read);
    stream_flush(redis);
    for (int64_t i = 0; i < count; i += each) {
        if (resp_next(redis).number != each)
            bench_die("redis acknowledged another number of jobs");
        for (int64_t k = i; k < i + each; k++)
            board_end(run->board, indices[k]);
    }
}

static void
consume(struct peer_run *run)
{
    struct stream redis;
    char name[32], count[32];
    stream_open(&redis, run->socket, 0);
    snprintf(name, sizeof(name), "c%d", (int)getpid());
    snprintf(count, sizeof(count), "%lld", (long long)run->slots);
    const struct om_str words[READ_WORDS] = {
        OM_LIT("XREADGROUP"), OM_LIT("GROUP"), OM_LIT("g"),     om_str(name),
        OM_LIT("COUNT"),      om_str(count),   OM_LIT("BLOCK"), OM_LIT("1000"),
        OM_LIT("STREAMS"),    OM_LIT("jobs"),  OM_LIT(">"),
    };
    resp_add(&redis, READ_WORDS, words);
    stream_flush(&redis);
    for (;;) {
        if (resp_next(&redis).number < 0) { // nothing within BLOCK
            resp_add(&redis, READ_WORDS, words);
            stream_flush(&redis);
            continue;
        }
        resp_next(&redis); // *2: stream and entries
        resp_next(&redis);
        handle_entries(run, &redis, resp_next(&redis).number, words);
    }
}

// ---- the client's process

static void
open_client(struct peer_run *run)
{
    static struct stream client;
    run->client = &client;
    stream_open(&client, run->socket, 0);
    const struct om_str words[] = {
        OM_LIT("XGROUP"), OM_LIT("CREATE"), OM_LIT("jobs"),
        OM_LIT("g"),      OM_LIT("$"),      OM_LIT("MKSTREAM")
    };
    resp_add(&client, OM_COUNT(words), words);
    stream_flush(&client);
    resp_next(&client);
}

static void
close_client(struct peer_run *run)
{
    stream_close(run->client);
}

static void
submit(struct peer_run *run)
{
    const struct om_str words[] = { OM_LIT("XADD"),
                                    OM_LIT("jobs"),
                                    OM_LIT("*"),
                                    OM_LIT("p"),
                                    { run->payload, (size_t)run->payload_bytes } };
    resp_add(run->client, OM_COUNT(words), words);
}

static int64_t
confirmed(struct peer_run *run)
{
    int64_t count = 0;
    struct resp_token token;
    stream_flush(run->client);
    for (; resp_poll(run->client, &token); count++)
        if (token.type == '-')
            bench_die("redis says %.*s", (int)token.text.size, token.text.data);
    return count;
}

static int
client_fd(const struct peer_run *run)
{
    return ((const struct stream *)run->client)->fd;
}

int
main(int argc, char **argv)
{
    static const struct peer redis = {
        .name = "redis",
        .durable = "power cut",
        .start = start,
        .open = open_client,
        .close = close_client,
        .submit = submit,
        .confirmed = confirmed,
        .fd = client_fd,
        .consume = consume,
    };
    return peer_main(&redis, argc, argv);
}
