#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob.h"
#include "clock.h"
#include "id.h"

static char folder[64];
static struct om_blob_store *store;
static struct om_uuid tenant;

// SHA-256 of "hello".
#define HELLO_SHA256 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void
make_store(void)
{
    char url[128], why[256] = "";
    strcpy(folder, "/tmp/test_blob.XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(url, sizeof(url), "dir:%s/blobs/", folder);
    cr_assert_eq(om_blob_store_create(url, &store, why, sizeof(why)), OM_OK, "%s", why);
    tenant = om_id_new(7);
}

static void
remove_store(void)
{
    char command[128];
    om_blob_store_destroy(&store);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(blob, .init = make_store, .fini = remove_store);

static size_t
count_entries(bool partial)
{
    OM_AUTO(om_blob_walk_destroy) struct om_blob_walk *walk = NULL;
    struct om_blob_entry entry;
    size_t count = 0;
    cr_assert_eq(om_blob_walk_create(store, ROLE_REGISTRY, &walk), OM_OK);
    while (om_blob_walk_next(walk, &entry))
        count += entry.partial == partial;
    return count;
}

Test(blob, is_read_back_as_it_was_written)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    struct om_blob_writer *writer;
    struct om_blob_info info;
    cr_assert_eq(om_blob_begin(store, NULL, &ref, &writer), OM_OK);
    cr_assert_eq(om_blob_write(writer, OM_LIT("hel")), OM_OK);
    cr_assert_eq(om_blob_write(writer, (struct om_str){ 0 }), OM_OK);
    cr_assert_eq(om_blob_write(writer, OM_LIT("lo")), OM_OK);
    cr_assert_eq(om_blob_commit(&writer, &info), OM_OK);
    cr_expect_null(writer);
    cr_expect_eq(info.bytes, 5);
    cr_expect_str_eq(info.sha256, HELLO_SHA256);

    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_assert_eq(om_blob_get(store, NULL, &ref, HELLO_SHA256, 5, &buf), OM_OK);
    cr_expect(om_str_eq(om_buf_str(&buf), OM_LIT("hello")));
    int64_t bytes;
    cr_assert_eq(om_blob_stat(store, &ref, &bytes), OM_OK);
    cr_expect_eq(bytes, 5);
}

Test(blob, is_invisible_before_its_commit_and_gone_after_an_abort)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    struct om_blob_writer *writer;
    int64_t bytes;
    cr_assert_eq(om_blob_begin(store, NULL, &ref, &writer), OM_OK);
    cr_assert_eq(om_blob_write(writer, OM_LIT("hello")), OM_OK);
    cr_expect_eq(om_blob_stat(store, &ref, &bytes), OM_ENOTFOUND);
    cr_expect_eq(count_entries(true), 1);
    om_blob_abort(&writer);
    cr_expect_eq(om_blob_stat(store, &ref, &bytes), OM_ENOTFOUND);
    cr_expect_eq(count_entries(true) + count_entries(false), 0);
}

Test(blob, can_be_written_again_only_with_the_same_bytes)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_assert_eq(om_blob_put(store, NULL, &ref, OM_LIT("hello"), NULL), OM_OK);
    cr_expect_eq(om_blob_put(store, NULL, &ref, OM_LIT("hello"), NULL), OM_OK);
    cr_expect_eq(om_blob_put(store, NULL, &ref, OM_LIT("hellO"), NULL), OM_EREUSED);
    cr_expect_eq(om_blob_put(store, NULL, &ref, OM_LIT(""), NULL), OM_EREUSED);
    cr_assert_eq(om_blob_get(store, NULL, &ref, NULL, 100, &buf), OM_OK);
    cr_expect(om_str_eq(om_buf_str(&buf), OM_LIT("hello")));
    cr_expect_eq(count_entries(true), 0);
}

static void *
put_the_same(void *context)
{
    struct om_blob_ref *ref = context;
    enum om_rc rc = om_blob_put(store, NULL, ref, OM_LIT("hello"), NULL);
    return (void *)(intptr_t)rc;
}

Test(blob, survives_many_writers_of_one_reference)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    pthread_t threads[8];
    for (size_t i = 0; i < OM_COUNT(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, put_the_same, &ref), 0);
    for (size_t i = 0; i < OM_COUNT(threads); i++) {
        void *rc;
        cr_assert_eq(pthread_join(threads[i], &rc), 0);
        cr_expect_eq((enum om_rc)(intptr_t)rc, OM_OK);
    }
    cr_expect_eq(count_entries(false), 1);
    cr_expect_eq(count_entries(true), 0);
}

Test(blob, larger_than_the_reader_allows_is_refused)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_assert_eq(om_blob_put(store, NULL, &ref, OM_LIT("hello"), NULL), OM_OK);
    cr_expect_eq(om_blob_get(store, NULL, &ref, NULL, 4, &buf), OM_ETOOBIG);
    cr_expect_eq(buf.size, 0);
}

Test(blob, that_was_damaged_is_noticed)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    char text[OM_BLOB_REF_MAX], path[256];
    cr_assert_eq(om_blob_put(store, NULL, &ref, OM_LIT("hello"), NULL), OM_OK);
    om_blob_ref_text(&ref, text);
    snprintf(path, sizeof(path), "%s/blobs/%s", folder, text);
    int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, "j", 1, 0) == 1 && close(fd) == 0);
    cr_expect_eq(om_blob_get(store, NULL, &ref, HELLO_SHA256, 100, &buf), OM_EINTERNAL);
}

Test(blob, is_gone_once_deleted)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_assert_eq(om_blob_put(store, NULL, &ref, OM_LIT("hello"), NULL), OM_OK);
    cr_expect_eq(om_blob_delete(store, &ref), OM_OK);
    cr_expect_eq(om_blob_delete(store, &ref), OM_OK);
    cr_expect_eq(om_blob_get(store, NULL, &ref, NULL, 100, &buf), OM_ENOTFOUND);
}

Test(blob, of_one_owner_is_no_blob_of_another)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_assert_eq(om_blob_put(store, NULL, &ref, OM_LIT("hello"), NULL), OM_OK);
    ref.owner = ROLE_BILLING;
    cr_expect_eq(om_blob_get(store, NULL, &ref, NULL, 100, &buf), OM_ENOTFOUND);
}

Test(blob, walk_finds_and_deletes_blobs_and_remains)
{
    struct om_uuid other = om_id_new(9);
    struct om_blob_ref kept = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    struct om_blob_ref swept = om_blob_ref_new(ROLE_REGISTRY, &other);
    struct om_blob_writer *writer;
    char foreign[256];
    cr_assert_eq(om_blob_put(store, NULL, &kept, OM_LIT("a"), NULL), OM_OK);
    cr_assert_eq(om_blob_put(store, NULL, &swept, OM_LIT("b"), NULL), OM_OK);
    cr_assert_eq(om_blob_begin(store, NULL, &kept, &writer), OM_OK);
    snprintf(foreign, sizeof(foreign), "%s/blobs/registry/lost+found", folder);
    cr_assert_eq(mkdir(foreign, 0700), 0);

    OM_AUTO(om_blob_walk_destroy) struct om_blob_walk *walk = NULL;
    struct om_blob_entry entry;
    size_t blobs = 0, partial = 0;
    cr_assert_eq(om_blob_walk_create(store, ROLE_REGISTRY, &walk), OM_OK);
    while (om_blob_walk_next(walk, &entry)) {
        cr_expect_eq(entry.ref.owner, ROLE_REGISTRY);
        cr_expect_lt(llabs(om_clock_wall_ms() - entry.modified_ms), 60000);
        blobs += !entry.partial;
        partial += entry.partial;
        if (entry.partial || om_uuid_eq(&entry.ref.id, &swept.id))
            om_blob_walk_delete(walk);
    }
    cr_expect_eq(blobs, 2);
    cr_expect_eq(partial, 1);
    cr_expect_eq(count_entries(false), 1);
    cr_expect_eq(count_entries(true), 0);
    cr_expect_eq(om_blob_commit(&writer, NULL), OM_ENOTFOUND, "its file was swept");
}

Test(blob, walk_of_an_owner_without_blobs_is_empty)
{
    OM_AUTO(om_blob_walk_destroy) struct om_blob_walk *walk = NULL;
    struct om_blob_entry entry;
    cr_assert_eq(om_blob_walk_create(store, ROLE_BILLING, &walk), OM_OK);
    cr_expect_not(om_blob_walk_next(walk, &entry));
}

Test(blob, reference_survives_its_text)
{
    struct om_blob_ref in = om_blob_ref_new(ROLE_REGISTRY, &tenant), out;
    char text[OM_BLOB_REF_MAX];
    cr_expect_eq(om_blob_ref_text(&in, text), strlen(text));
    cr_assert_eq(om_blob_ref_parse(om_str(text), &tenant, &out), OM_OK);
    cr_expect_eq(out.owner, ROLE_REGISTRY);
    cr_expect(om_uuid_eq(&in.tenant, &out.tenant) && om_uuid_eq(&in.id, &out.id));
    cr_expect_eq(om_uuid_shard(&out.id), 7);

    struct om_uuid other = om_id_new(7);
    cr_expect_eq(om_blob_ref_parse(om_str(text), &other, &out), OM_ENOTFOUND);
}

#define TEN  "ten_0000000000000000000000000a"
#define BLOB "blob_0000000000000000000000000a"

Test(blob, reference_that_is_none_is_refused)
{
    static const char *const texts[] = {
        "",
        "/",
        "//",
        "registry",
        "registry/" TEN,
        "registry/" TEN "/",
        "/" TEN "/" BLOB,
        "registry//" BLOB,
        "registry/" TEN "/" BLOB "/",
        "registry/" TEN "/" BLOB "/x",
        "registry/" TEN "/" BLOB " ",
        " registry/" TEN "/" BLOB,
        "Registry/" TEN "/" BLOB,
        "none/" TEN "/" BLOB,
        "tenant/" TEN "/" BLOB,
        "nobody/" TEN "/" BLOB,
        "../" TEN "/" BLOB,
        "registry/../" BLOB,
        "registry/" TEN "/..",
        "registry/" TEN "/../../../etc/passwd",
        "registry\\" TEN "\\" BLOB,
        "registry/" BLOB "/" TEN,
        "registry/" TEN "/blob_0000000000000000000000000b", // another shard
        "registry/" TEN "/blob_0000000000000000000000000A",
        "registry/" TEN "/blob_8000000000000000000000000a",
        "registry/" TEN "/.blob_0000000000000000000000000a",
        "registry/" TEN "/%62lob_0000000000000000000000000a",
    };
    struct om_blob_ref out;
    struct om_uuid ten;
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, OM_LIT(TEN), &ten), OM_OK);
    cr_assert_eq(om_blob_ref_parse(OM_LIT("registry/" TEN "/" BLOB), &ten, &out), OM_OK);
    for (size_t i = 0; i < OM_COUNT(texts); i++)
        cr_expect_eq(om_blob_ref_parse(om_str(texts[i]), &ten, &out), OM_EINVAL, "%s",
                     texts[i]);
    cr_expect_eq(om_blob_ref_parse(OM_LIT("registry/" TEN "/" BLOB "\0"), &ten, &out),
                 OM_EINVAL);
    cr_expect_eq(om_blob_ref_parse((struct om_str){ 0 }, &ten, &out), OM_EINVAL);
}

Test(blob, store_says_why_it_cannot_be_used)
{
    static const struct {
        const char *url, *why;
    } rows[] = {
        { "", "use dir:PATH or http://HOST:PORT" },
        { "s3://bucket", "use dir:PATH or http://HOST:PORT" },
        { "dir:", "No such file" },
        { "dir:/proc/nothing/here", "No such file" },
        { "http://", "is no URL" },
        { "http:", "use dir:PATH or http://HOST:PORT" },
        { "https://a b", "is no URL" },
        { "http://host:port", "is no URL" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct om_blob_store *none;
        char why[256] = "";
        cr_expect_eq(om_blob_store_create(rows[i].url, &none, why, sizeof(why)),
                     OM_EINVAL);
        cr_expect(strstr(why, rows[i].why), "%s: %s", rows[i].url, why);
        cr_expect_null(none);
    }
}
