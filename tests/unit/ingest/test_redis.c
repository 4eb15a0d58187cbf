// Shared counters and values with a real redis-server, which is killed, stopped and
// started again.
#include <criterion/criterion.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "limiter.h"
#include "redis_server.h"
#include "shared.h"

enum { DEADLINE_MS = 10000, ASK_MS = 200 };

// ---- the address

Test(redis_url, says_what_is_wrong_with_an_address)
{
    static const struct {
        const char *url, *why;
    } cases[] = {
        { "", "redis://" },
        { "memory", "redis://" },
        { "http://localhost", "redis://" },
        { "redis://", "HOST" },
        { "redis://:6379", "HOST" },
        { "redis://host:0", "port" },
        { "redis://host:65536", "port" },
        { "redis://host:+1", "port" },
        { "redis://host:1x", "port" },
        { "redis://host/x", "database" },
        { "redis://host/1000", "database" },
        { "redis://secret@host", "colon" },
        { "redis://user:@host", "bytes" },
        { "redis://:pass%zz@host", "%XX" },
        { "redis://:pass%0@host", "%XX" },
        { "redis://:pass%00word@host", "%XX" },
        { "redis://[::1", "brackets" },
        { "redis://[::1]x", "brackets" },
        { "redis://::1", "HOST" },
        { "redis://unix:", "PATH" },
        { "redis://unix:run/redis", "PATH" },
        { "redis://unix:/run/redis?x=1", "db" },
        { "redis://unix:/run/redis?db=-1", "db" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct redis_conf conf;
        char why[256] = "";
        cr_expect_not(redis_parse(cases[i].url, &conf, why, sizeof(why)), "%s",
                      cases[i].url);
        cr_expect(strstr(why, cases[i].why), "%s: %s", cases[i].url, why);
        cr_expect_not(strstr(why, "pass%"), "it shows the password: %s", why);
        cr_expect(strstr(why, "OMNI_CACHE"));
    }
}

Test(redis_url, is_read)
{
    static const struct {
        const char *url;
        struct redis_conf conf;
    } cases[] = {
        { "redis://cache", { .host = "cache", .port = 6379 } },
        { "REDIS://10.0.0.1:7000/3", { .host = "10.0.0.1", .port = 7000, .db = 3 } },
        { "redis://:p%40ss@cache:1/",
          { .host = "cache", .port = 1, .password = "p@ss" } },
        { "redis://omni:a:b@[fd00::1]:6380",
          { .host = "fd00::1", .port = 6380, .user = "omni", .password = "a:b" } },
        { "redis://unix:/run/redis.sock", { .path = "/run/redis.sock", .port = 6379 } },
        { "redis://:x@unix:/run/r?db=2",
          { .path = "/run/r", .port = 6379, .db = 2, .password = "x" } },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct redis_conf conf;
        const struct redis_conf *wanted = &cases[i].conf;
        char why[256] = "";
        cr_assert(redis_parse(cases[i].url, &conf, why, sizeof(why)), "%s", why);
        cr_expect_str_eq(conf.host, wanted->host);
        cr_expect_str_eq(conf.path, wanted->path);
        cr_expect_str_eq(conf.user, wanted->user);
        cr_expect_str_eq(conf.password, wanted->password);
        cr_expect_eq(conf.port, wanted->port, "%s", cases[i].url);
        cr_expect_eq(conf.db, wanted->db, "%s", cases[i].url);
    }
}

// ---- a server, and a loop of one descriptor

static struct setup {
    char folder[32], url[64];
    struct redis_conf conf;
    pid_t server;
    struct redis_hooks hooks;
    struct shared *shared;
    int fd;
    int64_t timer_ms;
    enum redis_state state;
    // The last answer.
    bool answered;
    enum om_rc rc;
    struct counter_state states[COUNTERS_WANTS_MAX];
    int64_t at_ms;
    char value[64];
} here;

static bool
on_watch(void *context, int fd)
{
    (void)context;
    here.fd = fd;
    return true;
}

static void
on_unwatch(void *context, int fd)
{
    (void)context;
    cr_expect_eq(here.fd, fd);
    here.fd = -1;
}

static void
on_timer(void *context, int64_t at_ms)
{
    (void)context;
    here.timer_ms = at_ms;
}

static void
on_change(void *context, enum redis_state state, const char *why)
{
    (void)context;
    (void)why;
    here.state = state;
}

// One turn: send what there is, wait for the descriptor or the timer, and read.
static void
turn(void)
{
    redis_process(shared_redis(here.shared), om_clock_mono_ms());
    struct pollfd polled = { here.fd, POLLIN, 0 };
    int64_t left_ms = here.timer_ms - om_clock_mono_ms();
    left_ms = left_ms < 0 ? 0 : left_ms > 50 ? 50 : left_ms;
    poll(&polled, 1, (int)left_ms);
    here.timer_ms = INT64_MAX;
    redis_process(shared_redis(here.shared), om_clock_mono_ms());
}

#define TURN_UNTIL(condition)                                                            \
    for (int64_t until_ms = om_clock_mono_ms() + DEADLINE_MS; !(condition); turn())      \
    cr_assert_lt(om_clock_mono_ms(), until_ms, "waited in vain: " #condition)

static void
set_up(void)
{
    char why[256];
    memset(&here, 0, sizeof(here));
    here.fd = -1;
    snprintf(here.folder, sizeof(here.folder), "/tmp/omni-redis-XXXXXX");
    cr_assert(mkdtemp(here.folder));
    snprintf(here.url, sizeof(here.url), "redis://:s3cret@unix:%s/redis?db=3",
             here.folder);
    cr_assert(redis_parse(here.url, &here.conf, why, sizeof(why)), "%s", why);
    here.hooks = (struct redis_hooks){ on_watch, on_unwatch, on_timer, on_change, NULL };
    here.shared = shared_create(&here.conf, ASK_MS, &here.hooks);
    cr_assert(here.shared);
    here.server = redis_start(here.folder, "s3cret");
    TURN_UNTIL(here.state == REDIS_UP);
}

static int
remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
    (void)info, (void)flag, (void)ftw;
    return remove(path);
}

static void
tear_down(void)
{
    shared_destroy(&here.shared);
    if (here.server)
        redis_kill(&here.server);
    nftw(here.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(redis, .init = set_up, .fini = tear_down, .timeout = 60);

// ---- counters

static struct counter_want
want(int subject, enum counter_kind kind, int64_t limit, int64_t amount)
{
    struct counter_want out = { .limit = limit, .amount = amount };
    memset(out.key.tenant.bytes, 7, sizeof(out.key.tenant.bytes));
    memcpy(out.key.subject, &subject, sizeof(subject));
    out.key.kind = (uint8_t)kind;
    return out;
}

static size_t wanted_count;

static void
on_taken(void *context, enum om_rc rc, const struct counter_state *states, int64_t at_ms)
{
    (void)context;
    here.answered = true;
    here.rc = rc;
    here.at_ms = at_ms;
    if (states)
        memcpy(here.states, states, wanted_count * sizeof(*states));
}

static enum om_rc
take(const struct om_uuid *id, const struct counter_want *wants, size_t count)
{
    wanted_count = count;
    here.answered = false;
    if (!shared_take(here.shared, id, wants, count, on_taken, NULL))
        return OM_EUNAVAILABLE;
    TURN_UNTIL(here.answered);
    return here.rc;
}

Test(redis, takes_all_or_nothing)
{
    struct counter_want wants[] = { want(1, COUNTER_REQUESTS, 10, 1),
                                    want(2, COUNTER_REQUESTS, 3, 1),
                                    want(1, COUNTER_TOKENS, 100, 0),
                                    want(1, COUNTER_CONCURRENT, 20, 1) };
    struct om_uuid id;
    for (int i = 0; i < 3; i++) {
        id = om_id_new(0);
        cr_assert_eq(take(&id, wants, 4), OM_OK);
    }
    cr_expect_eq(here.states[0].remaining, 7);
    cr_expect_eq(here.states[1].remaining, 0);
    cr_expect_eq(here.states[2].remaining, 100);
    cr_expect_eq(here.states[3].remaining, 17);
    int64_t last_ms = here.at_ms;
    struct om_uuid other = om_id_new(0);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(take(&other, wants, 4), OM_ERATE);
    cr_expect_eq(here.states[0].remaining, 7, "a refusal takes nothing");
    cr_expect_eq(here.states[0].wait_ms, 0);
    cr_expect(here.states[1].wait_ms > LIMITER_WINDOW_MS - 5000 &&
              here.states[1].wait_ms <= LIMITER_WINDOW_MS);
    cr_expect_eq(here.states[3].remaining, 17);
    shared_give(here.shared, &id, last_ms, wants, 4);
    cr_assert_eq(take(&other, wants, 4), OM_OK);
    cr_expect_eq(here.states[0].remaining, 7);
    cr_expect_eq(here.states[3].remaining, 17);
}

Test(redis, counts_those_in_flight_by_request)
{
    struct counter_want flying = want(1, COUNTER_CONCURRENT, 2, 1);
    struct om_uuid ids[3] = { om_id_new(0), om_id_new(0), om_id_new(0) };
    cr_expect_eq(take(&ids[0], &flying, 1), OM_OK);
    cr_expect_eq(take(&ids[1], &flying, 1), OM_OK);
    cr_expect_eq(take(&ids[2], &flying, 1), OM_ERATE);
    shared_renew(here.shared, &ids[0], &flying, 1);
    shared_give(here.shared, &ids[0], 0, &flying, 1);
    shared_give(here.shared, &ids[0], 0, &flying, 1); // twice is once
    cr_expect_eq(take(&ids[2], &flying, 1), OM_OK);
    cr_expect_eq(take(&ids[0], &flying, 1), OM_ERATE);
}

// The same sequence of takes as in this process's own counters, which are tested against
// the rules: what they answer is the same.
Test(redis, answers_as_the_counters_of_this_process_do)
{
    struct counters *counters = counters_create(1024);
    uint64_t seed = 42;
    for (int i = 0; i < 400; i++) {
        struct counter_state states[2];
        struct om_uuid id = om_id_new(0);
        int64_t at_ms;
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        struct counter_want wants[] = {
            want(1, COUNTER_REQUESTS, 250, 1),
            want(2, COUNTER_TOKENS, 9000, (int64_t)(seed >> 33) % 60),
        };
        enum om_rc rc = counters_take(counters, 1000, wants, 2, states, &at_ms);
        cr_assert_eq(take(&id, wants, 2), rc, "take %d", i);
        cr_assert_eq(here.states[0].remaining, states[0].remaining, "take %d", i);
        cr_assert_eq(here.states[1].remaining, states[1].remaining, "take %d", i);
        cr_assert_eq(here.states[1].wait_ms > 0, states[1].wait_ms > 0, "take %d", i);
    }
    counters_destroy(&counters);
}

// ---- values

static void
on_value(void *context, enum om_rc rc, struct om_str value)
{
    (void)context;
    here.answered = true;
    here.rc = rc;
    snprintf(here.value, sizeof(here.value), "%.*s", (int)value.size,
             value.data ? value.data : "");
}

static enum om_rc
get(const struct om_uuid *tenant, const char *key)
{
    here.answered = false;
    if (!shared_get(here.shared, tenant, om_str(key), on_value, NULL))
        return OM_EUNAVAILABLE;
    TURN_UNTIL(here.answered);
    return here.rc;
}

Test(redis, keeps_values_of_a_tenant_for_their_time)
{
    struct om_uuid one = om_id_new(1), two = om_id_new(2);
    cr_expect_eq(get(&one, "k"), OM_ENOTFOUND);
    shared_set(here.shared, &one, OM_LIT("k"), OM_LIT("value"), 60000);
    cr_expect_eq(get(&one, "k"), OM_OK);
    cr_expect_str_eq(here.value, "value");
    cr_expect_eq(get(&two, "k"), OM_ENOTFOUND, "another tenant's");
    shared_delete(here.shared, &one, OM_LIT("k"));
    cr_expect_eq(get(&one, "k"), OM_ENOTFOUND);
    shared_set(here.shared, &one, OM_LIT("k"), OM_LIT("value"), 1);
    TURN_UNTIL(get(&one, "k") == OM_ENOTFOUND);
}

// ---- when Redis is not well

Test(redis, is_sent_its_scripts_again_when_it_has_lost_them)
{
    struct counter_want wanted = want(1, COUNTER_REQUESTS, 5, 1);
    struct om_uuid id = om_id_new(0);
    const struct om_str flush[] = { OM_LIT("SCRIPT"), OM_LIT("FLUSH") };
    cr_assert_eq(take(&id, &wanted, 1), OM_OK);
    cr_assert(redis_ask(shared_redis(here.shared), 2, flush, NULL, NULL));
    cr_expect_eq(take(&id, &wanted, 1), OM_OK);
    cr_expect_eq(here.states[0].remaining, 3);
    int64_t at_ms = here.at_ms;
    cr_assert(redis_ask(shared_redis(here.shared), 2, flush, NULL, NULL));
    shared_give(here.shared, &id, at_ms, &wanted, 1);
    wanted.amount = 0;
    cr_expect_eq(take(&id, &wanted, 1), OM_OK);
    cr_expect_eq(here.states[0].remaining, 4);
}

Test(redis, that_is_killed_is_known_at_once_and_used_again_when_it_is_back)
{
    struct counter_want wanted = want(1, COUNTER_REQUESTS, 5, 1);
    struct om_uuid id = om_id_new(0);
    cr_assert_eq(take(&id, &wanted, 1), OM_OK);
    redis_kill(&here.server);
    TURN_UNTIL(here.state == REDIS_DOWN);
    cr_expect_not(redis_is_up(shared_redis(here.shared)));
    cr_expect_eq(take(&id, &wanted, 1), OM_EUNAVAILABLE);
    here.server = redis_start(here.folder, "s3cret");
    TURN_UNTIL(here.state == REDIS_UP);
    cr_expect_eq(take(&id, &wanted, 1), OM_OK);
}

Test(redis, that_dies_while_it_is_asked_leaves_nobody_waiting)
{
    struct counter_want wanted = want(1, COUNTER_REQUESTS, 5, 1);
    struct om_uuid id = om_id_new(0);
    wanted_count = 1;
    kill(here.server, SIGSTOP);
    here.answered = false;
    cr_assert(shared_take(here.shared, &id, &wanted, 1, on_taken, NULL));
    redis_process(shared_redis(here.shared), om_clock_mono_ms());
    redis_kill(&here.server);
    TURN_UNTIL(here.answered);
    cr_expect_eq(here.rc, OM_EUNAVAILABLE);
}

Test(redis, that_hangs_costs_one_deadline_and_is_given_up)
{
    struct counter_want wanted = want(1, COUNTER_REQUESTS, 5, 1);
    struct om_uuid id = om_id_new(0);
    kill(here.server, SIGSTOP);
    int64_t began_ms = om_clock_mono_ms();
    cr_expect_eq(take(&id, &wanted, 1), OM_EUNAVAILABLE);
    int64_t took_ms = om_clock_mono_ms() - began_ms;
    cr_expect(took_ms >= ASK_MS && took_ms < 5 * ASK_MS, "%lld ms", (long long)took_ms);
    // Nobody else waits for it.
    began_ms = om_clock_mono_ms();
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(take(&id, &wanted, 1), OM_EUNAVAILABLE);
    cr_expect_lt(om_clock_mono_ms() - began_ms, ASK_MS);
    kill(here.server, SIGCONT);
    TURN_UNTIL(redis_is_up(shared_redis(here.shared)));
    cr_expect_eq(take(&id, &wanted, 1), OM_OK);
    kill(here.server, SIGSTOP);
    cr_expect_eq(take(&id, &wanted, 1), OM_EUNAVAILABLE);
    TURN_UNTIL(here.state == REDIS_DOWN); // it owed an answer for too long
}

Test(redis, what_is_forgotten_is_not_answered)
{
    struct counter_want flying = want(1, COUNTER_CONCURRENT, 1, 1);
    struct om_uuid id = om_id_new(0), other = om_id_new(0);
    wanted_count = 1;
    here.answered = false;
    uint64_t number = shared_take(here.shared, &id, &flying, 1, on_taken, NULL);
    cr_assert(number);
    shared_forget(here.shared, number);
    shared_give(here.shared, &id, 0, &flying, 1);
    cr_expect_eq(take(&other, &flying, 1), OM_OK, "it was given back");
}

Test(redis, bounds_what_waits_for_answers)
{
    struct counter_want wanted = want(1, COUNTER_REQUESTS, 1000000, 1);
    struct om_uuid id = om_id_new(0);
    size_t asked = 0;
    wanted_count = 1;
    kill(here.server, SIGSTOP);
    while (asked <= REDIS_PENDING_MAX &&
           shared_take(here.shared, &id, &wanted, 1, on_taken, NULL))
        asked++;
    cr_expect_eq(asked, REDIS_PENDING_MAX - 1);
    TURN_UNTIL(here.answered);
}

Test(redis, with_a_wrong_password_is_down_and_asked_again_later)
{
    struct redis_conf wrong = here.conf;
    shared_destroy(&here.shared);
    snprintf(wrong.password, sizeof(wrong.password), "guess");
    here.shared = shared_create(&wrong, ASK_MS, &here.hooks);
    here.state = REDIS_UP;
    TURN_UNTIL(here.state == REDIS_DOWN);
    TURN_UNTIL(here.state == REDIS_OPENING);
    TURN_UNTIL(here.state == REDIS_DOWN);
    shared_destroy(&here.shared); // before `wrong` is gone
}

Test(redis, finds_its_host_by_name)
{
    struct redis_conf named = { .host = "localhost", .port = 1 };
    shared_destroy(&here.shared);
    here.shared = shared_create(&named, ASK_MS, &here.hooks);
    here.state = REDIS_UP;
    TURN_UNTIL(here.state == REDIS_DOWN); // nobody listens there
    TURN_UNTIL(here.state == REDIS_OPENING);
    shared_destroy(&here.shared);
}
