// openapi_part.h - the parts of the OpenAPI document, for openapi.c.
//
// Each part is written from the tables of routes, records, results and admission, so that
// what is added there is in the document. Nothing here knows a route by its path, except
// the examples, which a test holds to the route table.
#pragma once
#include "json.h"
#include "route.h"

// ---- pieces of JSON

// Append "key":"value" behind `before`, which is a comma, a brace or empty.
void openapi_put_pair(struct om_buf *out, const char *before, const char *key,
                      const char *value);

// ---- schemas (openapi_schema.c)

// A reference to the schema of a record type.
void openapi_put_reference(struct om_buf *out, const struct rec *type);

// The schema of one field; `nullable` if it may be null instead.
void openapi_put_field(struct om_buf *out, const struct rec_field *field, bool nullable);

// Is the field one that clients see?
bool openapi_is_shown(const struct rec_field *field);

// All schemas: each record type that a route reads or shows, and the error's.
void openapi_put_schemas(struct om_buf *out);

// ---- parameters and bodies of requests (openapi_request.c)

void openapi_put_parameters(struct om_buf *out, const struct route *route);
void openapi_put_body(struct om_buf *out, const struct route *route);

// Does it do the same Idempotency-Key once?
bool openapi_takes_key(const struct route *route);

// A request as JSON that the route takes, as an example; NULL: none is kept.
const char *openapi_example(const struct route *route);
extern const size_t openapi_example_count;

// ---- answers (openapi_reply.c)

void openapi_put_responses(struct om_buf *out, const struct route *route);

// The header fields and the errors that answers share.
void openapi_put_headers(struct om_buf *out);
void openapi_put_errors(struct om_buf *out);
