// The tables of the protocol are whole, and the reference page is made from them.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "random_record.h"

Test(ops, are_found_by_their_names)
{
    for (size_t i = 0; i < OP_COUNT; i++)
        cr_expect_eq(op_find(om_str(ops[i].name)), &ops[i], "%s", ops[i].name);
    cr_expect_null(op_find(OM_LIT("")));
    cr_expect_null(op_find(OM_LIT("key_resolv")));
    cr_expect_null(op_find(OM_LIT("key_resolve\0")));
    cr_expect_null(op_find((struct om_str){ 0 }));
}

Test(ops, have_callers_of_the_platform_only)
{
    for (size_t i = 0; i < OP_COUNT; i++) {
        cr_expect_neq(ops[i].callers, 0, "%s", ops[i].name);
        cr_expect_eq(ops[i].callers & ~ROLES_PLATFORM, 0, "%s", ops[i].name);
        cr_expect(*ops[i].doc, "%s", ops[i].name);
    }
}

Test(ops, records_have_fields_that_make_sense)
{
    for (size_t t = 0; t < random_record_type_count; t++) {
        const struct rec *type = random_record_types[t];
        for (size_t i = 0; i < type->count; i++) {
            const struct rec_field *field = &type->fields[i];
            cr_expect(*field->doc, "%s.%s", type->name, field->name);
            cr_expect_leq(field->low, field->high, "%s.%s", type->name, field->name);
            cr_expect_eq(field->type == REC_RECS, field->item != NULL, "%s.%s",
                         type->name, field->name);
            for (size_t j = 0; j < i; j++)
                cr_expect_str_neq(field->key.data, type->fields[j].key.data, "%s",
                                  type->name);
        }
    }
}

Test(rc, codes_are_unique_and_become_http_statuses)
{
    for (unsigned i = 0; i < OM_RC_COUNT; i++) {
        const struct om_rc_info *info = om_rc_info((enum om_rc)i);
        cr_expect_eq(om_rc_find(om_str(info->code)), i, "%s", info->symbol);
        cr_expect(*info->text, "%s", info->symbol);
        bool success = info->http_status < 300;
        cr_expect(success || (info->http_status >= 400 && info->http_status < 600), "%s",
                  info->symbol);
        cr_expect_eq(success, *info->type == '\0', "%s", info->symbol);
        cr_expect(!info->retryable || info->http_status >= 429, "%s", info->symbol);
        // Codes are a public vocabulary of lower-case words.
        cr_expect_eq(strspn(info->code, "abcdefghijklmnopqrstuvwxyz_"),
                     strlen(info->code));
    }
}

Test(rc, is_internal_error_when_it_is_unknown)
{
    cr_expect_eq(om_rc_info((enum om_rc)9999), om_rc_info(OM_EINTERNAL));
    cr_expect_eq(om_rc_find(OM_LIT("")), OM_EINTERNAL);
    cr_expect_eq(om_rc_find(OM_LIT("no_such_code")), OM_EINTERNAL);
}

Test(peer, roles_and_queues_are_found_by_their_names)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++)
        cr_expect_eq(role_find(om_str(role_name((enum role)i))), i);
    cr_expect_eq(role_find(OM_LIT("root")), ROLE_NONE);
    cr_expect_eq(role_find((struct om_str){ 0 }), ROLE_NONE);
    cr_expect_str_eq(role_name((enum role)99), "none");

    for (size_t i = 0; i < QUEUE_COUNT; i++) {
        struct om_str name = om_str(queues[i].name);
        cr_expect_eq(queue_find(name), &queues[i]);
        cr_expect_eq(strncmp(name.data, QUEUE_PLATFORM_PREFIX, 5), 0);
        cr_expect_not(queue_name_valid(name), "%s is no tenant's", name.data);
        cr_expect(ROLES_PLATFORM >> queues[i].owner & 1);
    }
    cr_expect_null(queue_find(OM_LIT("omni.nothing")));
}

Test(peer, tenants_name_their_queues_within_bounds)
{
    static const struct {
        const char *name;
        bool valid;
    } rows[] = {
        { "a", true },
        { "emails-2_x", true },
        { "a123456789012345678901234567890123456789012345678901234567890123", true },
        { "a1234567890123456789012345678901234567890123456789012345678901234", false },
        { "", false },
        { "1a", false },
        { "-a", false },
        { "_a", false },
        { "A", false },
        { "aB", false },
        { "a.b", false },
        { "a b", false },
        { "a/b", false },
        { "omni.x", false },
        { "é", false },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        cr_expect_eq(queue_name_valid(om_str(rows[i].name)), rows[i].valid, "%s",
                     rows[i].name);
    cr_expect_not(queue_name_valid(OM_LIT("a\0b")));
    cr_expect_not(queue_name_valid((struct om_str){ 0 }));
}

Test(peer, states_have_names_and_other_numbers_none)
{
    for (int64_t state = 1; state < STATE_COUNT; state++) {
        cr_expect(*state_info(state)->name && *state_info(state)->public_name);
        cr_expect_eq(state_info(state)->ended, state >= STATE_SUCCEEDED);
    }
    static const int64_t none[] = { 0, -1, STATE_COUNT, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < OM_COUNT(none); i++)
        cr_expect_str_eq(state_info(none[i])->name, "");
}

// The whole of what a stream gives; the caller frees it.
static char *
read_all(FILE *stream, size_t *size)
{
    char *text = NULL;
    size_t capacity = 0;
    cr_assert(stream);
    *size = 0;
    do {
        if (capacity - *size < 4096) {
            text = realloc(text, capacity += 65536);
            cr_assert(text);
        }
        *size += fread(text + *size, 1, capacity - *size, stream);
    } while (!feof(stream) && !ferror(stream));
    return text;
}

Test(ops, reference_page_is_what_the_tables_say)
{
    size_t page_size, made_size;
    FILE *page = fopen(OMNI_SOURCE_DIR "/docs/wire.md", "re");
    FILE *made = popen(OMNI_BIN_DIR "/omni-wiredoc", "re");
    char *in_page = read_all(page, &page_size), *in_made = read_all(made, &made_size);
    cr_assert_eq(pclose(made), 0);
    fclose(page);
    cr_expect(page_size == made_size && memcmp(in_page, in_made, made_size) == 0,
              "docs/wire.md is out of date: build the target wire-reference");
    free(in_page);
    free(in_made);
}
