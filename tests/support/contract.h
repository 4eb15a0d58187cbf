// contract.h - is an answer what the OpenAPI document says it may be?
//
// Stricter than the document: a member that a schema does not name is a failure, since
// nobody was told of it. A keyword of JSON Schema that is not understood here is one too.
// One thread.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct contract_answer {
    const char *method, *path; // as they were asked; with the query
    long status;
    const char *fields;       // the head of the answer, in lines; NULL: not known
    const char *content_type; // NULL: not known
    size_t body_bytes;
    const json_t *body; // NULL: none, or no JSON
};

// NULL: it is. Else why not, in static memory.
const char *contract_check(const json_t *document, const struct contract_answer *answer);

// Does the value match the schema? NULL: it does. Else why not, in static memory.
const char *contract_match(const json_t *document, const json_t *schema,
                           const json_t *value);
