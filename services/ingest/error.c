#include "exchange.h"
#include "json.h"

void
error_write(struct om_buf *out, const struct error_text *error, const char *request_id)
{
    om_json_put(out, "{\"error\":{\"message\":");
    om_json_put_str(out, error->message);
    om_json_put(out, ",\"type\":");
    om_json_put_str(out, om_str(error->type));
    om_json_put(out, ",\"param\":");
    if (error->param && *error->param)
        om_json_put_str(out, om_str(error->param));
    else
        om_json_put(out, "null");
    om_json_put(out, ",\"code\":");
    om_json_put_str(out, om_str(error->code));
    om_json_put(out, ",\"request_id\":");
    om_json_put_str(out, om_str(request_id));
    om_json_put(out, ",\"doc_url\":null");
    for (size_t i = 0; i < error->violated_count; i++) {
        om_json_put(out, i == 0 ? ",\"violated_policies\":[" : ",");
        om_json_put_str(out, om_str(error->violated[i]));
    }
    om_json_put(out, error->violated_count > 0 ? "]}}" : "}}");
}

static const struct {
    int status; // 0: any other
    const char *code;
} codes[] = {
    { 400, "malformed" },
    { 404, "not_found" },
    { 405, "method_not_allowed" },
    { 408, "request_timeout" },
    { 413, "too_large" },
    { 414, "uri_too_long" },
    { 415, "unsupported_media_type" },
    { 417, "expectation_failed" },
    { 431, "head_too_large" },
    { 501, "unsupported" },
    { 505, "version_not_supported" },
    { 0, "invalid_request" },
};

const char *
error_code(size_t index)
{
    return index < OM_COUNT(codes) ? codes[index].code : NULL;
}

struct error_text
error_of_status(int status)
{
    size_t i = 0;
    while (codes[i].status && codes[i].status != status)
        i++;
    const char *code = codes[i].code;
    const char *type = status == 404  ? "not_found_error"
                       : status < 500 ? "invalid_request_error"
                                      : "api_error";
    return (struct error_text){ .type = type, .code = code };
}
