// Files: uploads streamed from a form into a blob, and their bytes back.
#include <stdio.h>
#include <stdlib.h>

#include "commit.h"
#include "exchange.h"
#include "id.h"
#include "keyed.h"

// ---- upload

void
file_upload_head(struct exchange *x)
{
    struct upload *upload = om_arena_alloc(&x->arena, sizeof(*upload));
    struct om_str type = om_http_field(exchange_request(x), "content-type");
    if (!om_multipart_init(&upload->form, type)) {
        exchange_fail_status(x, 415,
                             "send the file as multipart/form-data with the parts "
                             "\"file\" and \"purpose\"");
        return;
    }
    x->upload = upload;
}

// A part of the form begins. False: refused, and replied.
static bool
begin_part(struct exchange *x)
{
    struct upload *upload = x->upload;
    const struct om_multipart *form = &upload->form;
    upload->part = UPLOAD_SKIP;
    if (om_str_eq(form->name, OM_LIT("purpose"))) {
        upload->part = UPLOAD_PURPOSE;
        upload->purpose_size = 0;
        return true;
    }
    if (!om_str_eq(form->name, OM_LIT("file")))
        return true;
    if (upload->has_file) {
        exchange_fail(x, OM_EINVAL, "file", "\"file\" must be given once");
        return false;
    }
    upload->has_file = true;
    upload->part = UPLOAD_FILE;
    memcpy(upload->filename, form->filename_text, form->filename.size);
    upload->ref = om_blob_ref_new(ROLE_REGISTRY, &x->caller.tenant);
    enum om_rc rc =
        om_blob_begin(x->edge->ingest->blobs, NULL, &upload->ref, &upload->writer);
    if (rc == OM_OK)
        return true;
    exchange_fail(x, rc, NULL, "the file cannot be stored: %s", om_rc_info(rc)->text);
    return false;
}

static bool
put_part(struct exchange *x, struct om_str data)
{
    struct upload *upload = x->upload;
    if (upload->part == UPLOAD_PURPOSE) {
        if (data.size > sizeof(upload->purpose) - 1 - upload->purpose_size) {
            exchange_fail(x, OM_EINVAL, "purpose", "\"purpose\" must be dataset");
            return false;
        }
        memcpy(upload->purpose + upload->purpose_size, data.data, data.size);
        upload->purpose_size += data.size;
    }
    enum om_rc rc = OM_OK;
    if (upload->part == UPLOAD_FILE) {
        rc = om_blob_write(upload->writer, data);
        upload->bytes += (int64_t)data.size;
    }
    if (rc == OM_OK)
        return true;
    exchange_fail(x, rc, "file", "the file cannot be stored: %s", om_rc_info(rc)->text);
    return false;
}

void
file_upload_body(struct exchange *x, struct om_str bytes)
{
    struct om_str data;
    for (bool going = true; going;) {
        switch (om_multipart_take(&x->upload->form, &bytes, &data)) {
        case OM_MULTIPART_MORE:
            return;
        case OM_MULTIPART_PART:
            going = begin_part(x);
            break;
        case OM_MULTIPART_DATA:
            going = put_part(x, data);
            break;
        case OM_MULTIPART_PART_END:
        case OM_MULTIPART_END:
            break;
        case OM_MULTIPART_BAD:
            exchange_fail(x, OM_EINVAL, NULL,
                          "the form is malformed multipart/form-data");
            return;
        }
    }
}

static void
on_created(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct file_create_reply reply;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(ops[OP_file_create].reply, answer->payload, &reply, NULL) != OM_OK)
        exchange_fail(x, OM_EINTERNAL, NULL, "the registry's answer is malformed");
    else {
        snprintf(x->resource, sizeof(x->resource), "%.*s", (int)reply.id.size,
                 reply.id.data);
        exchange_reply_record(x, ops[OP_file_create].reply, &reply);
    }
}

static bool
check_form(struct exchange *x)
{
    const struct upload *upload = x->upload;
    if (!om_multipart_ended(&upload->form))
        exchange_fail(x, OM_EINVAL, NULL, "the form ends before its last boundary");
    else if (!upload->has_file)
        exchange_fail(x, OM_EINVAL, "file",
                      "\"file\" is required: the part with the bytes");
    else if (strcmp(upload->purpose, "dataset") != 0)
        exchange_fail(x, OM_EINVAL, "purpose",
                      "\"purpose\" is required and must be dataset");
    else
        return true;
    return false;
}

// The same form is the same request, whatever id and place its bytes get here.
static void
identify(struct exchange *x, const struct file_create_request *request)
{
    OM_AUTO(om_buf_finish) struct om_buf content = { 0 };
    om_pack_str(&content, request->purpose);
    om_pack_str(&content, request->filename);
    om_pack_str(&content, request->sha256);
    keyed_identify(x, om_buf_str(&content));
}

// The blob is durable before the registry hears of it; what is never registered is swept.
static void
on_stored(struct exchange *x, const struct om_blob_info *info)
{
    const struct upload *upload = x->upload;
    char ref[OM_BLOB_REF_MAX], id[OM_TYPEID_MAX];
    om_blob_ref_text(&upload->ref, ref);
    om_id_text(OM_ID_FILE, om_uuid_shard(&x->caller.tenant), id);
    snprintf(x->resource, sizeof(x->resource), "%s", id);
    struct file_create_request request = { 0 };
    REC_SET(&request, file_create_request, id, om_str(id));
    REC_SET(&request, file_create_request, purpose, om_str(upload->purpose));
    REC_SET(&request, file_create_request, filename, om_str(upload->filename));
    REC_SET(&request, file_create_request, bytes, info->bytes);
    REC_SET(&request, file_create_request, sha256, om_str(info->sha256));
    REC_SET(&request, file_create_request, blob, om_str(ref));
    if (x->idem_key.data)
        identify(x, &request);
    exchange_call(x, OP_file_create, true, &request, 0, on_created);
}

static void
keep_file(struct exchange *x)
{
    commit_upload(x, "file", on_stored);
}

void
file_upload_end(struct exchange *x)
{
    if (check_form(x) && quota_store(x, x->upload->bytes, keep_file))
        keep_file(x);
}

// ---- download

static void
on_file(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct file_get_reply file;
    struct om_blob_ref ref;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(ops[OP_file_get].reply, answer->payload, &file, NULL) != OM_OK ||
        om_blob_ref_parse(file.blob, &x->caller.tenant, &ref) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the registry's answer is malformed");
        return;
    }
    transfer_send(x, &ref);
}

void
file_content(struct exchange *x)
{
    void *request = exchange_read(x, ops[OP_file_get].request);
    if (request)
        exchange_call(x, OP_file_get, false, request, 0, on_file);
}
