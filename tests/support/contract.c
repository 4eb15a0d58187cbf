#include "contract.h"

#include <ctype.h>
#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 32, WHY_MAX = 512, PLACE_MAX = 160 };

static char why[WHY_MAX];

struct check {
    const json_t *document;
    int depth;
    char place[PLACE_MAX]; // of the value in the whole, for people
};

static bool __attribute__((format(printf, 2, 3)))
fail(const struct check *check, const char *format, ...)
{
    int size = snprintf(why, sizeof(why), "%s ", *check->place ? check->place : "it");
    va_list list;
    va_start(list, format);
    vsnprintf(why + size, sizeof(why) - (size_t)size, format, list);
    va_end(list);
    return false;
}

// ---- references

static const json_t *
resolve(const json_t *document, const json_t *value)
{
    const char *reference = json_string_value(json_object_get(value, "$ref"));
    if (!reference)
        return value;
    char path[256], *rest = path;
    snprintf(path, sizeof(path), "%s", reference + strlen("#/"));
    const json_t *at = document;
    for (char *part; (part = strsep(&rest, "/"));)
        at = json_object_get(at, part);
    return at;
}

// ---- keywords of JSON Schema

static bool match(struct check *check, const json_t *schema, const json_t *value);

static bool
is_of(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_INTEGER:
        return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL:
        return strcmp(type, "number") == 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    case JSON_NULL:
        return strcmp(type, "null") == 0;
    }
    return false;
}

static bool
match_type(struct check *check, const json_t *schema, const json_t *types,
           const json_t *value)
{
    (void)schema;
    bool one = json_is_string(types) && is_of(value, json_string_value(types));
    for (size_t i = 0; i < json_array_size(types); i++)
        one = one || is_of(value, json_string_value(json_array_get(types, i)));
    return one || fail(check, "has a type that is not documented");
}

static size_t
characters(const json_t *value)
{
    size_t count = 0;
    for (const char *at = json_string_value(value); at && *at; at++)
        count += (*at & 0xc0) != 0x80;
    return count;
}

// What the ranges of a keyword's kind of value measure; NAN: another kind of value.
static double
measure(const char *keyword, const json_t *value)
{
    if (strstr(keyword, "Length"))
        return json_is_string(value) ? (double)characters(value) : NAN;
    if (strstr(keyword, "Items"))
        return json_is_array(value) ? (double)json_array_size(value) : NAN;
    if (strstr(keyword, "Properties"))
        return json_is_object(value) ? (double)json_object_size(value) : NAN;
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool
match_range(struct check *check, const char *keyword, double limit, const json_t *value)
{
    double seen = measure(keyword, value);
    bool low = strncmp(keyword, "min", 3) == 0;
    if (isnan(seen) || (low ? seen >= limit : seen <= limit))
        return true;
    return fail(check, "is %g, and its %s is %g", seen, keyword, limit);
}

static bool
match_pattern(struct check *check, const json_t *schema, const json_t *pattern,
              const json_t *value)
{
    (void)schema;
    regex_t regex;
    if (!json_is_string(value))
        return true;
    if (regcomp(&regex, json_string_value(pattern), REG_EXTENDED | REG_NOSUB) != 0)
        return fail(check, "has a pattern that cannot be read");
    bool found = regexec(&regex, json_string_value(value), 0, NULL, 0) == 0;
    regfree(&regex);
    return found || fail(check, "is \"%s\", not %s", json_string_value(value),
                         json_string_value(pattern));
}

static bool
match_enum(struct check *check, const json_t *schema, const json_t *list,
           const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return fail(check, "is none of those that are documented");
}

static bool
match_required(struct check *check, const json_t *schema, const json_t *names,
               const json_t *value)
{
    (void)schema;
    for (size_t i = 0; json_is_object(value) && i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!json_object_get(value, name))
            return fail(check, "has no \"%s\"", name);
    }
    return true;
}

// Match below, at a place with one more step.
static bool __attribute__((format(printf, 4, 5)))
step(struct check *check, const json_t *schema, const json_t *value, const char *format,
     ...)
{
    size_t size = strlen(check->place);
    va_list list;
    va_start(list, format);
    vsnprintf(check->place + size, sizeof(check->place) - size, format, list);
    va_end(list);
    bool matches = match(check, schema, value);
    check->place[size] = '\0';
    return matches;
}

static bool
match_properties(struct check *check, const json_t *schema, const json_t *properties,
                 const json_t *value)
{
    (void)schema;
    const char *name;
    json_t *member;
    json_object_foreach ((json_t *)(uintptr_t)value, name, member) {
        const json_t *known = json_object_get(properties, name);
        if (!known)
            return fail(check, "has \"%s\", which is not documented", name);
        if (!step(check, known, member, ".%s", name))
            return false;
    }
    return true;
}

static bool
match_items(struct check *check, const json_t *schema, const json_t *items,
            const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!step(check, items, json_array_get(value, i), "[%zu]", i))
            return false;
    return true;
}

static bool
match_any(struct check *check, const json_t *schema, const json_t *list,
          const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (match(check, json_array_get(list, i), value))
            return true;
    return false;
}

static bool
match_all(struct check *check, const json_t *schema, const json_t *list,
          const json_t *value)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!match(check, json_array_get(list, i), value))
            return false;
    return true;
}

static bool
match_reference(struct check *check, const json_t *schema, const json_t *reference,
                const json_t *value)
{
    const json_t *target = resolve(check->document, schema);
    if (!target || target == schema)
        return fail(check, "is documented by %s, which is not there",
                    json_string_value(reference));
    return match(check, target, value);
}

typedef bool keyword_fn(struct check *check, const json_t *schema, const json_t *argument,
                        const json_t *value);

static const struct {
    const char *name;
    keyword_fn *match; // NULL: it says nothing of the value
} keywords[] = {
    { "$ref", match_reference },
    { "additionalProperties", NULL }, // what is not named is refused anyway
    { "allOf", match_all },
    { "anyOf", match_any },
    { "contentMediaType", NULL },
    { "description", NULL },
    { "enum", match_enum },
    { "example", NULL },
    { "items", match_items },
    { "pattern", match_pattern },
    { "properties", match_properties },
    { "required", match_required },
    { "title", NULL },
    { "type", match_type },
};

static bool
match_keyword(struct check *check, const char *name, const json_t *schema,
              const json_t *argument, const json_t *value)
{
    if (strncmp(name, "min", 3) == 0 || strncmp(name, "max", 3) == 0)
        return match_range(check, name, json_number_value(argument), value);
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(keywords[i].name, name) == 0)
            return !keywords[i].match ||
                   keywords[i].match(check, schema, argument, value);
    return fail(check, "is documented by \"%s\", which this test does not know", name);
}

static bool
match(struct check *check, const json_t *schema, const json_t *value)
{
    const char *name;
    json_t *argument;
    if (++check->depth > DEPTH_MAX)
        return fail(check, "is too deep");
    bool matches = true;
    json_object_foreach ((json_t *)(uintptr_t)schema, name, argument)
        matches = matches && match_keyword(check, name, schema, argument, value);
    check->depth--;
    return matches;
}

const char *
contract_match(const json_t *document, const json_t *schema, const json_t *value)
{
    struct check check = { .document = document };
    return match(&check, schema, value) ? NULL : why;
}

// ---- which operation was asked

// How many segments of the path stand in the template as they are; -1: it is another.
static int
match_path(const char *template, const char *path)
{
    int same = 0;
    while (*template == '/' && *path == '/') {
        size_t want = strcspn(++template, "/"), have = strcspn(++path, "/?");
        if (template[0] == '{' ? have == 0
                               : want != have || strncmp(template, path, want) != 0)
            return -1;
        same += template[0] != '{';
        template += want;
        path += have;
    }
    return *template == '\0' && (*path == '\0' || *path == '?') ? same : -1;
}

static const json_t *
find_operation(const json_t *document, const char *method, const char *path)
{
    char name[16];
    size_t size = 0;
    int best = -1;
    const char *template;
    json_t *operations;
    const json_t *found = NULL;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (; method[size] && size + 1 < sizeof(name); size++)
        name[size] = (char)tolower((unsigned char)method[size]);
    name[size] = '\0';
    json_object_foreach (json_object_get(document, "paths"), template, operations) {
        int same = match_path(template, path);
        if (same <= best || !json_object_get(operations, name))
            continue;
        best = same;
        found = json_object_get(operations, name);
    }
    return found;
}

// ---- an answer

static const char *
not_documented(const struct contract_answer *answer, const char *what)
{
    snprintf(why, sizeof(why), "%s %.200s: %ld: %.250s", answer->method, answer->path,
             answer->status, what);
    return why;
}

static const char *
explain(const struct contract_answer *answer)
{
    char what[WHY_MAX / 2];
    snprintf(what, sizeof(what), "%.*s", (int)sizeof(what) - 1, why);
    return not_documented(answer, what);
}

static bool
find_field(const char *fields, const char *name, char *value, size_t size)
{
    size_t name_size = strlen(name);
    for (const char *at = fields; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : at)
        if (strncasecmp(at, name, name_size) == 0 && at[name_size] == ':') {
            at += name_size + 1 + strspn(at + name_size + 1, " ");
            snprintf(value, size, "%.*s", (int)strcspn(at, "\r\n"), at);
            return true;
        }
    return false;
}

static bool
check_fields(const json_t *document, const json_t *response,
             const struct contract_answer *answer)
{
    const char *name;
    json_t *header;
    json_object_foreach (json_object_get(response, "headers"), name, header) {
        struct check check = { .document = document };
        const json_t *is = resolve(document, header);
        const json_t *schema = json_object_get(is, "schema");
        char text[1024], *end;
        snprintf(check.place, sizeof(check.place), "the field %s", name);
        if (!find_field(answer->fields, name, text, sizeof(text))) {
            if (json_is_true(json_object_get(is, "required")))
                return fail(&check, "is not there");
            continue;
        }
        long long number = strtoll(text, &end, 10);
        const char *type = json_string_value(json_object_get(schema, "type"));
        bool integer = type && strcmp(type, "integer") == 0 && end > text && !*end;
        json_t *value = integer ? json_integer(number) : json_string(text);
        bool matches = match(&check, schema, value);
        json_decref(value);
        if (!matches)
            return false;
    }
    return true;
}

static const char *
check_content(const json_t *document, const json_t *response,
              const struct contract_answer *answer)
{
    const json_t *content = json_object_get(response, "content");
    const char *type = answer->content_type;
    char name[64] = "application/json";
    if (strcmp(answer->method, "HEAD") == 0)
        return NULL;
    if (!content)
        return answer->body_bytes > 0 ? not_documented(answer, "no body is documented")
                                      : NULL;
    if (type)
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(type, "; "), type);
    const json_t *media = json_object_get(content, name);
    if (!media)
        return not_documented(answer, type ? type : "it has no JSON");
    if (strcmp(name, "application/json") != 0)
        return NULL;
    if (!answer->body)
        return not_documented(answer, "its body is no JSON");
    const json_t *schema = json_object_get(media, "schema");
    return contract_match(document, schema, answer->body) ? explain(answer) : NULL;
}

const char *
contract_check(const json_t *document, const struct contract_answer *answer)
{
    char status[24];
    const json_t *operation = find_operation(document, answer->method, answer->path);
    const json_t *schemas =
        json_object_get(json_object_get(document, "components"), "schemas");
    snprintf(status, sizeof(status), "%ld", answer->status);
    if (!operation) { // a preflight, or an error that every path has
        bool error =
            answer->status >= 400 &&
            (strcmp(answer->method, "HEAD") == 0 || !answer->body ||
             !contract_match(document, json_object_get(schemas, "error"), answer->body));
        bool asked = strcmp(answer->method, "OPTIONS") == 0 && answer->status == 204;
        return error || asked ? NULL : not_documented(answer, "there is no such path");
    }
    const json_t *response = resolve(
        document, json_object_get(json_object_get(operation, "responses"), status));
    if (!response)
        return not_documented(answer, "this status is not documented");
    if (answer->fields && !check_fields(document, response, answer))
        return explain(answer);
    return check_content(document, response, answer);
}
