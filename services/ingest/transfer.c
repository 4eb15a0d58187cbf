// Blobs over HTTP, for workers that share no directory with the edge (blob.h).
#include <stdio.h>

#include "commit.h"
#include "exchange.h"

REC_DEFINE(blob_written, BLOB_WRITTEN);

// ---- out

static bool
read_source(void *context, void *out, size_t size, size_t *got)
{
    return om_blob_read(context, out, size, got) == OM_OK;
}

static void
close_source(void *context)
{
    struct om_blob_reader *reader = context;
    om_blob_reader_destroy(&reader);
}

void
transfer_send(struct exchange *x, const struct om_blob_ref *ref)
{
    struct om_blob_reader *reader;
    enum om_rc rc = om_blob_open(x->edge->ingest->blobs, NULL, ref, NULL, &reader);
    if (rc != OM_OK) {
        exchange_fail(x, rc, NULL, "the bytes cannot be read: %s", om_rc_info(rc)->text);
        return;
    }
    struct om_http_response response = {
        .status = 200,
        .content_type = OM_LIT("application/octet-stream"),
        .source = { reader, read_source, close_source },
        .source_bytes = om_blob_reader_bytes(reader),
    };
    exchange_reply(x, &response);
}

// The reference in the path: its three segments. False: refused, and replied.
static bool
read_ref(struct exchange *x, unsigned right, struct om_blob_ref *ref)
{
    char text[3 * 64 + 3];
    int size = snprintf(text, sizeof(text), "%.*s/%.*s/%.*s", (int)x->params[0].size,
                        x->params[0].data, (int)x->params[1].size, x->params[1].data,
                        (int)x->params[2].size, x->params[2].data);
    enum om_rc rc = size >= (int)sizeof(text)
                        ? OM_EINVAL
                        : om_blob_ref_parse((struct om_str){ text, (size_t)size },
                                            &x->caller.tenant, ref);
    if (rc == OM_EINVAL)
        exchange_fail(x, OM_EINVAL, "ref", "this is no reference of a blob");
    else if (rc != OM_OK || !(x->caller.scopes & right))
        exchange_fail(x, OM_EFORBIDDEN, NULL, "this grant does not allow that");
    else
        return true;
    return false;
}

void
transfer_get(struct exchange *x)
{
    struct om_blob_ref ref;
    if (read_ref(x, OM_GRANT_READ, &ref))
        transfer_send(x, &ref);
}

// ---- in

void
transfer_put_head(struct exchange *x)
{
    struct om_blob_ref ref;
    if (!read_ref(x, OM_GRANT_WRITE, &ref))
        return;
    struct upload *upload = om_arena_alloc(&x->arena, sizeof(*upload));
    upload->ref = ref;
    enum om_rc rc = om_blob_begin(x->edge->ingest->blobs, NULL, &ref, &upload->writer);
    x->upload = upload;
    if (rc != OM_OK)
        exchange_fail(x, rc, NULL, "the bytes cannot be stored: %s",
                      om_rc_info(rc)->text);
}

void
transfer_put_body(struct exchange *x, struct om_str bytes)
{
    enum om_rc rc = om_blob_write(x->upload->writer, bytes);
    if (rc != OM_OK)
        exchange_fail(x, rc, NULL, "the bytes cannot be stored: %s",
                      om_rc_info(rc)->text);
}

static void
on_stored(struct exchange *x, const struct om_blob_info *info)
{
    char ref[OM_BLOB_REF_MAX];
    om_blob_ref_text(&x->upload->ref, ref);
    struct blob_written reply = { 0 };
    REC_SET(&reply, blob_written, ref, om_str(ref));
    REC_SET(&reply, blob_written, bytes, info->bytes);
    REC_SET(&reply, blob_written, sha256, om_str(info->sha256));
    exchange_reply_record(x, &blob_written_rec, &reply);
}

void
transfer_put_end(struct exchange *x)
{
    commit_upload(x, NULL, on_stored);
}
