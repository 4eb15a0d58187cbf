// The shell's parts: payloads lent to ZeroMQ, keys, and the two threads at the store.
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "committer.h"
#include "frame.h"
#include "keys.h"
#include "reader.h"
#include "store_fixture.h"

// ---- frames

static const size_t frame_sizes[] = { 1, 33, 1023, 1024, 8191, 8192, 1 << 20 };

Test(frames, a_payload_keeps_its_bytes_whatever_its_size)
{
    struct pool pool = { 0 };
    for (size_t i = 0; i < OM_COUNT(frame_sizes); i++) {
        zmq_msg_t msg;
        zmq_msg_init_size(&msg, frame_sizes[i]);
        memset(zmq_msg_data(&msg), 'x', frame_sizes[i]);
        bool lost = true;
        struct payload *payload = frame_take(&pool, &msg, &lost);
        zmq_msg_close(&msg);
        cr_assert(payload && !lost);
        cr_expect_eq(payload->bytes.size, frame_sizes[i]);
        cr_expect_eq(payload->bytes.data[0], 'x');
        cr_expect_eq(payload->bytes.data[frame_sizes[i] - 1], 'x');
        payload_unref(&payload);
    }
    pool_finish(&pool);
}

Test(frames, an_empty_frame_is_no_payload)
{
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    bool lost = true;
    struct pool pool = { 0 };
    cr_expect_null(frame_take(&pool, &msg, &lost));
    cr_expect_not(lost);
    zmq_msg_close(&msg);
}

static int released;

static void
count_release(struct payload *self)
{
    released++;
    free(self);
}

Test(frames, a_large_payload_is_lent_and_released_when_it_was_handed_back)
{
    static char bytes[100 * 1000];
    struct frame_loans loans = { NULL };
    struct payload *payload = malloc(sizeof(*payload));
    *payload = (struct payload){ 1, { bytes, sizeof(bytes) }, count_release };
    zmq_msg_t first, second;
    cr_assert(frame_lend(&loans, payload, &first));
    cr_assert(frame_lend(&loans, payload, &second));
    cr_expect_eq(zmq_msg_data(&first), (void *)bytes, "nothing was copied");
    payload_unref(&payload);
    frame_collect(&loans);
    cr_expect_eq(released, 0);
    zmq_msg_close(&first);
    frame_collect(&loans);
    cr_expect_eq(released, 0, "the second message still has it");
    zmq_msg_close(&second);
    cr_expect_eq(released, 0, "ZeroMQ's threads do not touch payloads");
    frame_collect(&loans);
    cr_expect_eq(released, 1);
}

// ---- keys

static char folder[32];

static void
make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/omni-keys-XXXXXX");
    cr_assert(mkdtemp(folder));
    char why[256];
    cr_assert_eq(keys_make(folder, why, sizeof(why)), OM_OK, "%s", why);
}

static char *
key_file(const char *name)
{
    static char path[64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void
remove_folder(void)
{
    for (enum role role = ROLE_NONE; role < ROLE_COUNT; role++) {
        char name[32];
        snprintf(name, sizeof(name), "%s.key", role_name(role));
        unlink(key_file(name));
        snprintf(name, sizeof(name), "%s.pub", role_name(role));
        unlink(key_file(name));
    }
    rmdir(folder);
}

TestSuite(keys, .init = make_folder, .fini = remove_folder);

static void
write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
}

Test(keys, each_platform_role_is_found_by_its_key_and_no_other_key_is)
{
    struct keys keys;
    char why[256];
    cr_assert_eq(keys_load(folder, &keys, why, sizeof(why)), OM_OK, "%s", why);
    for (enum role role = ROLE_NONE; role < ROLE_COUNT; role++) {
        cr_expect_eq(keys.roles[role].known, (ROLES_PLATFORM >> role & 1) != 0);
        if (keys.roles[role].known)
            cr_expect_eq(keys_find(&keys, keys.roles[role].bytes), role);
    }
    static const uint8_t zero[KEY_BYTES];
    cr_expect_eq(keys_find(&keys, zero), ROLE_NONE, "not even an absent role's");
}

Test(keys, bad_folders_are_refused_with_the_file_that_is_wrong)
{
    struct keys keys;
    char why[256] = "";
    static const char *const texts[] = { "", "short",
                                         "0123456789012345678901234567890123456789" };
    unlink(key_file("billing.pub"));
    cr_expect_eq(keys_load(folder, &keys, why, sizeof(why)), OM_OK,
                 "a role may be absent");
    for (size_t i = 0; i < 2; i++) {
        write_text(key_file("billing.pub"), texts[i]);
        cr_expect_eq(keys_load(folder, &keys, why, sizeof(why)), OM_EINVAL);
        cr_expect(strstr(why, "billing.pub"), "%s", why);
    }
    write_text(key_file("billing.pub"), texts[2]);
    cr_expect_eq(keys_load(folder, &keys, why, sizeof(why)), OM_OK);

    cr_assert_eq(chmod(key_file("broker.key"), 0640), 0);
    cr_expect_eq(keys_load(folder, &keys, why, sizeof(why)), OM_EINVAL);
    cr_expect(strstr(why, "chmod 600"), "%s", why);
    cr_expect_eq(keys_load("/nowhere", &keys, why, sizeof(why)), OM_EINVAL);
}

Test(keys, a_damaged_secret_is_not_replaced)
{
    char why[256] = "";
    write_text(key_file("broker.key"), "damaged");
    cr_expect_eq(keys_make(folder, why, sizeof(why)), OM_EINVAL);
    cr_expect(strstr(why, "broker.key"), "%s", why);
}

// ---- threads

static struct fixture fx;
static int wake_fd;

static void
open_store(void)
{
    fixture_init(&fx);
    wake_fd = eventfd(0, EFD_CLOEXEC);
}

static void
close_store(void)
{
    close(wake_fd);
    fixture_finish(&fx);
}

TestSuite(threads, .init = open_store, .fini = close_store, .timeout = 60);

static void
wait_for_wake(void)
{
    struct pollfd wake = { wake_fd, POLLIN, 0 };
    cr_assert_eq(poll(&wake, 1, 10000), 1);
    eventfd_t count;
    eventfd_read(wake_fd, &count);
}

Test(threads, batches_are_committed_one_after_the_other)
{
    struct committer_conf conf = { fx.store, wake_fd, 1000 };
    struct committer *committer = committer_start(&conf);
    cr_assert(committer);
    for (int64_t seq = 1; seq <= 20; seq++) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        batch_task(batch, seq, 1);
        cr_assert(committer_is_free(committer));
        committer_give(committer, batch);
        cr_assert_not(committer_is_free(committer));
        wait_for_wake();
        enum om_rc rc = OM_EINTERNAL;
        cr_assert_eq(committer_take(committer, &rc), batch);
        cr_expect_eq(rc, OM_OK);
        cr_expect_null(committer_take(committer, &rc));
    }
    committer_stop(&committer);
    OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_NONE, 0, 100);
    cr_expect_eq(read->count, 20);
}

// Commit a task in the caller's thread.
static enum om_rc
commit_here(struct committer *committer, int64_t seq)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, seq, 1);
    enum om_rc rc = committer_commit(committer, batch);
    cr_expect(committer_is_free(committer), "nothing is out");
    cr_expect_null(committer_take(committer, &(enum om_rc){ OM_OK }));
    return rc;
}

Test(threads, a_small_batch_is_committed_here_between_those_of_the_thread)
{
    struct committer_conf conf = { fx.store, wake_fd, 1000 };
    struct committer *committer = committer_start(&conf);
    cr_assert(committer);
    OM_AUTO(batch_destroy) struct batch *large = batch_create();
    for (int64_t seq = 1; seq <= 200; seq++)
        batch_task(large, seq, 1);
    OM_AUTO(batch_destroy) struct batch *small = batch_create();
    batch_task(small, 201, 1);
    cr_expect(committer_is_quick(committer, small));
    cr_expect_not(committer_is_quick(committer, large));
    committer_give(committer, large);
    wait_for_wake();
    enum om_rc rc = OM_EINTERNAL;
    cr_assert_eq(committer_take(committer, &rc), large);
    cr_expect_eq(rc, OM_OK);
    cr_expect_eq(commit_here(committer, 202), OM_OK);
    committer_stop(&committer);
    OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_NONE, 0, 300);
    cr_expect_eq(read->count, 201);
}

Test(threads, a_commit_that_fails_here_says_how_and_the_thread_goes_on)
{
    disk_fail(SQLITE_OK, SQLITE_OK);
    fixture_reopen(&fx); // on the disk that fails on demand
    struct committer_conf conf = { fx.store, wake_fd, 1000 };
    struct committer *committer = committer_start(&conf);
    cr_assert(committer);
    cr_expect_eq(commit_here(committer, 1), OM_OK);
    disk_fail(SQLITE_FULL, SQLITE_OK);
    cr_expect_eq(commit_here(committer, 2), OM_ENOSPACE);
    disk_fail(SQLITE_OK, SQLITE_OK);
    cr_expect_eq(commit_here(committer, 3), OM_OK);
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 4, 1);
    committer_give(committer, batch);
    wait_for_wake();
    enum om_rc rc = OM_EINTERNAL;
    cr_assert_eq(committer_take(committer, &rc), batch);
    cr_expect_eq(rc, OM_OK);
    disk_fail(SQLITE_OK, SQLITE_IOERR_FSYNC);
    cr_expect_eq(commit_here(committer, 5), OM_EINTERNAL, "the outcome is unknown");
    disk_fail(SQLITE_OK, SQLITE_OK);
    cr_expect_eq(commit_here(committer, 6), OM_EINTERNAL, "and stays so");
    committer_stop(&committer);
}

Test(threads, every_read_comes_back_also_those_a_stop_left_unanswered)
{
    struct reader *reader = reader_start(fx.store, wake_fd);
    cr_assert(reader);
    size_t given = 0, taken = 0;
    for (; reader_has_room(reader); given++) {
        struct read *read = calloc(1, sizeof(*read));
        read->kind = READ_TASK;
        reader_give(reader, read);
    }
    wait_for_wake();
    reader_stop(reader);
    for (struct read *read; (read = reader_take(reader)); taken++) {
        cr_expect(read->rc == OM_ENOTFOUND || read->rc == OM_EDB);
        read_destroy(&read);
    }
    cr_expect_eq(taken, given);
    reader_destroy(&reader);
}
