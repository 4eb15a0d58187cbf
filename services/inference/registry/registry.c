#include "registry.h"

struct om_str
registry_blob(struct om_call *call, struct om_uuid id)
{
    char text[OM_BLOB_REF_MAX];
    struct om_blob_ref ref = { ROLE_REGISTRY, call->tenant_id, id };
    om_blob_ref_text(&ref, text);
    return om_call_copy(call, om_str(text));
}

enum om_rc
registry_read_blob(struct registry *self, struct om_call *call, struct om_str text,
                   int64_t bytes, struct om_uuid *out)
{
    struct om_blob_ref ref;
    int64_t there = -1;
    enum om_rc rc = om_blob_ref_parse(text, &call->tenant_id, &ref);
    if (rc == OM_OK && ref.owner != ROLE_REGISTRY)
        rc = OM_EINVAL;
    if (rc == OM_OK)
        rc = om_blob_stat(self->blobs, &ref, &there);
    if (rc == OM_EINVAL || rc == OM_ENOTFOUND)
        return om_job_fail(call->job, OM_EINVAL, "blob", "blob: there is no such blob");
    if (rc == OM_OK && there != bytes)
        return om_job_fail(call->job, OM_EINVAL, "bytes",
                           "bytes: the blob has %lld bytes, not %lld", (long long)there,
                           (long long)bytes);
    *out = ref.id;
    return rc;
}

enum om_rc
registry_check_sha256(struct om_call *call, struct om_str text)
{
    size_t digits = 0;
    while (digits < text.size && strchr("0123456789abcdef", text.data[digits]) &&
           text.data[digits])
        digits++;
    if (digits == 64 && text.size == 64)
        return OM_OK;
    return om_job_fail(call->job, OM_EINVAL, "sha256",
                       "sha256: must be 64 lower-case hexadecimal digits");
}

const struct om_route registry_routes[] = {
    { OP_file_create, registry_file_create },   { OP_file_get, registry_file_get },
    { OP_file_list, registry_file_list },       { OP_file_delete, registry_file_delete },
    { OP_model_create, registry_model_create }, { OP_model_get, registry_model_get },
    { OP_model_list, registry_model_list },     { 0 },
};
