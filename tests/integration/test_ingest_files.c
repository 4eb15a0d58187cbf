// Bytes over the edge: uploads, and blobs by grants.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "blob.h"
#include "clock.h"
#include "grant.h"
#include "platform.h"

enum { BIG = 3 << 20 };

static long
upload(const char *purpose, const char *bytes, size_t size)
{
    struct http_form form = { purpose, "monthly data.csv", { bytes, size }, false };
    return ask((struct http_ask){
        .method = "POST", .path = "/v1/files", .key = platform.admin, .form = &form });
}

Test(ingest, keeps_the_bytes_of_a_file_as_they_were_sent)
{
    char *bytes = malloc(BIG), path[128];
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * i >> 7);
    cr_assert_eq(upload("dataset", bytes, BIG), 201, "%s", platform.answer.text.data);
    cr_expect_eq(number("bytes"), BIG);
    cr_expect_str_eq(said("filename"), "monthly data.csv");
    cr_expect_null(http_member(&platform.answer, "blob"));
    snprintf(path, sizeof(path), "/v1/files/%s/content", said("id"));
    cr_expect_eq(get(path), 200);
    cr_expect(
        om_str_eq(om_buf_str(&platform.answer.text), (struct om_str){ bytes, BIG }));
    *strrchr(path, '/') = '\0';
    cr_expect_eq(
        ask((struct http_ask){ .method = "DELETE", .path = path, .key = platform.admin }),
        200);
    cr_expect_eq(get(path), 404);
    free(bytes);
}

Test(ingest, refuses_a_form_that_is_no_upload)
{
    cr_expect_eq(upload(NULL, "a", 1), 400);
    cr_expect_str_eq(said("error.param"), "purpose");
    cr_expect_eq(upload("fun", "a", 1), 400);
    cr_expect_str_eq(said("error.param"), "purpose");
    cr_expect_eq(upload("dataset", NULL, 0), 400);
    cr_expect_str_eq(said("error.param"), "file");
    cr_expect_eq(post("/v1/files", "{}"), 415);
    struct http_ask broken = {
        .method = "POST",
        .path = "/v1/files",
        .key = platform.admin,
        .fields = { "Content-Type: multipart/form-data; boundary=XY" },
        .body = "--XY\r\nContent-Disposition: form-data; name=\"file\"\r\n"
                "\r\nnever ended"
    };
    cr_expect_eq(ask(broken), 400);
    broken.body = "--XY\r\nnonsense\r\n\r\n";
    cr_expect_eq(ask(broken), 400);
}

Test(ingest, moves_blobs_for_who_has_a_grant_and_for_nobody_else)
{
    char why[256], secret_path[128], ref[OM_BLOB_REF_MAX], path[256], token[OM_GRANT_MAX];
    struct om_secret secret;
    snprintf(secret_path, sizeof(secret_path), "%s/secret", platform.stage.folder);
    cr_assert_eq(om_secret_load(secret_path, &secret, why, sizeof(why)), OM_OK, "%s",
                 why);
    struct om_grant grant = { .tenant = { { 1, 2, 3 } },
                              .task = "task_1",
                              .expires_ms = om_clock_wall_ms() + 60000,
                              .rights = OM_GRANT_READ | OM_GRANT_WRITE };
    struct om_blob_ref blob = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    om_blob_ref_text(&blob, ref);
    snprintf(path, sizeof(path), "/internal/blobs/%s", ref);
    om_grant_mint(&secret, &grant, token);

    struct http_ask put = {
        .method = "PUT", .path = path, .key = token, .body = "bytes"
    };
    cr_assert_eq(ask(put), 200, "%s", platform.answer.text.data);
    cr_expect_str_eq(said("ref"), ref);
    cr_expect_eq(ask(put), 200, "the same again");
    put.body = "other";
    cr_expect_eq(ask(put), 422);
    struct http_ask read = { .method = "GET", .path = path, .key = token };
    cr_expect_eq(ask(read), 200);
    cr_expect(om_str_eq(om_buf_str(&platform.answer.text), OM_LIT("bytes")));

    grant.rights = OM_GRANT_READ;
    om_grant_mint(&secret, &grant, token);
    cr_expect_eq(ask(put), 403);
    grant.tenant.bytes[0] = 9;
    om_grant_mint(&secret, &grant, token);
    cr_expect_eq(ask(read), 403);
    grant.expires_ms = om_clock_wall_ms() - 1;
    om_grant_mint(&secret, &grant, token);
    cr_expect_eq(ask(read), 401);
    read.key = platform.admin;
    cr_expect_eq(ask(read), 401, "a key is no grant");
}

Test(ingest, serves_the_blob_store_of_a_worker_on_another_machine)
{
    char why[256], path[128], token[OM_GRANT_MAX];
    struct om_secret secret;
    struct om_blob_store *store;
    struct om_blob_info info;
    OM_AUTO(om_buf_finish) struct om_buf read = { 0 };
    snprintf(path, sizeof(path), "%s/secret", platform.stage.folder);
    cr_assert_eq(om_secret_load(path, &secret, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(om_blob_store_create(platform.url, &store, why, sizeof(why)), OM_OK,
                 "%s", why);
    struct om_grant grant = { .tenant = { { 1, 2, 3 } },
                              .task = "task_1",
                              .expires_ms = om_clock_wall_ms() + 60000,
                              .rights = OM_GRANT_READ | OM_GRANT_WRITE };
    struct om_blob_ref small = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    struct om_blob_ref large = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    struct om_blob_caller caller = { .grant = { token, 0 } };
    caller.grant.size = om_grant_mint(&secret, &grant, token);
    char *bytes = malloc(BIG);
    cr_assert(bytes);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 31 >> 3);

    cr_expect_eq(om_blob_put(store, &caller, &small, OM_LIT("x"), &info), OM_OK);
    cr_expect_eq(om_blob_put(store, &caller, &small, OM_LIT("x"), NULL), OM_OK);
    cr_expect_eq(om_blob_put(store, &caller, &small, OM_LIT("y"), NULL), OM_EREUSED);
    cr_expect_eq(
        om_blob_put(store, &caller, &large, (struct om_str){ bytes, BIG }, &info), OM_OK);
    cr_expect_eq(om_blob_get(store, &caller, &large, info.sha256, BIG, &read), OM_OK);
    cr_expect(om_str_eq(om_buf_str(&read), (struct om_str){ bytes, BIG }));
    struct om_blob_ref none = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    cr_expect_eq(om_blob_get(store, &caller, &none, NULL, BIG, &read), OM_ENOTFOUND);

    grant.rights = OM_GRANT_READ;
    caller.grant.size = om_grant_mint(&secret, &grant, token);
    cr_expect_eq(om_blob_put(store, &caller, &none, (struct om_str){ bytes, BIG }, NULL),
                 OM_EFORBIDDEN);
    caller.grant.size--;
    cr_expect_eq(om_blob_get(store, &caller, &large, NULL, BIG, &read), OM_EAUTH);
    free(bytes);
    om_blob_store_destroy(&store);
}
