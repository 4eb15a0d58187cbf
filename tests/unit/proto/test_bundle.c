// Several messages as one, and what is refused of them.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bundle.h"

static struct bundle bundle;

static void
open_bundle(void)
{
    cr_assert(bundle_init(&bundle));
}

static void
close_bundle(void)
{
    bundle_finish(&bundle);
}

TestSuite(bundle, .init = open_bundle, .fini = close_bundle);

Test(bundle, has_the_header_that_the_encoder_makes)
{
    struct om_buf buf = { 0 };
    struct wire_msg msg = { 0 };
    wire_encode(WIRE_BUNDLE, &msg, &buf);
    cr_expect(bundle_is(om_buf_str(&buf)));
    cr_expect_eq(wire_decode(bundle_header(), &msg), OM_OK);
    cr_expect_eq(msg.type, WIRE_BUNDLE);
    om_buf_finish(&buf);
}

Test(bundle, gives_back_what_was_added_in_its_order)
{
    static const struct {
        struct om_str header, payload;
    } rows[] = {
        { { "first", 5 }, { "payload", 7 } },
        { { "second", 6 }, { NULL, 0 } },
        { { "x", 1 }, { "\xc4", 1 } },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        cr_expect(bundle_is_small(rows[i].header, rows[i].payload));
        bundle_add(&bundle, rows[i].header, rows[i].payload);
    }
    struct om_str header, payload;
    struct bundle_iter iter = bundle_iter(om_buf_str(&bundle.bytes));
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        cr_assert(bundle_next(&iter, &header, &payload), "row %zu", i);
        cr_expect(om_str_eq(header, rows[i].header), "row %zu", i);
        cr_expect(om_str_eq(payload, rows[i].payload), "row %zu", i);
    }
    cr_expect_not(bundle_next(&iter, &header, &payload));
    cr_expect_eq(iter.rest.size, 0);
    cr_expect_eq(iter.count, OM_COUNT(rows));
}

Test(bundle, takes_as_much_as_it_has_memory_for)
{
    static char bytes[BUNDLE_SMALL + 1];
    static const size_t sizes[] = { 1, 100, 255, 256, BUNDLE_SMALL / 2 };
    const char *memory = bundle.bytes.data;
    for (size_t i = 0; i < OM_COUNT(sizes); i++) {
        struct om_str half = { bytes, sizes[i] }, header, payload;
        while (bundle_has_room(&bundle, half, half))
            bundle_add(&bundle, half, half);
        cr_expect_eq(bundle.bytes.data, memory, "memory was had anew");
        cr_expect(bundle.bytes.size <= BUNDLE_BYTES && bundle.count > 1);
        struct bundle_iter iter = bundle_iter(om_buf_str(&bundle.bytes));
        while (bundle_next(&iter, &header, &payload))
            ;
        cr_expect_eq(iter.count, bundle.count);
        cr_expect_eq(iter.rest.size, 0);
        bundle_reset(&bundle);
    }
    struct om_str none = { "", 0 }, large = { bytes, sizeof(bytes) };
    cr_expect_not(bundle_is_small(large, none));
    cr_expect_not(bundle_is_small(none, large));
}

#define BYTES(literal)                                                                   \
    {                                                                                    \
        literal, sizeof(literal) - 1                                                     \
    }
#define GOOD "\xc4\x01h\xc4\x01p"

// How many messages come before the damage.
Test(bundle, ends_where_it_is_no_bundle)
{
    static const struct {
        size_t good;
        struct om_str bytes;
    } rows[] = {
        { 0, BYTES("\xc4") },
        { 0, BYTES("\xc4\x01h") },     // no payload
        { 0, BYTES("\xc4\x01h\xc4") }, // cut
        { 0, BYTES("\xc4\x01h\xc4\x05p") },
        { 0, BYTES("\xc4\x02h") },
        { 0, BYTES("\xc4\x00\xc4\x01p") },              // no header
        { 0, BYTES("\xa1h\xc4\x01p") },                 // a string
        { 0, BYTES("\xc4\x01h\xa1p") },                 //
        { 0, BYTES("\xc4\x01h\xc0") },                  // nil
        { 0, BYTES("\x92" GOOD) },                      // an array
        { 0, BYTES("\xc1" GOOD) },                      // no msgpack
        { 0, BYTES("\xc7\x01\x05h\xc4\x01p") },         // an extension
        { 0, BYTES("\xc6\xff\xff\xff\xffh\xc4\x01p") }, // larger than all there is
        { 1, BYTES(GOOD "\xc4") },
        { 1, BYTES(GOOD "\xc4\x01h") },
        { 1, BYTES(GOOD "\xc4\x01h\xc5\x00") },
        { 2, BYTES(GOOD GOOD "garbage") },
        { 1, BYTES(GOOD "\xc4\x07\x82\xa1v\x01\xa1t\x08\xc4\x06" GOOD) }, // a bundle
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        // A copy of exact size lets the address sanitizer see a read past the end.
        char *copy = malloc(rows[i].bytes.size);
        cr_assert(copy);
        memcpy(copy, rows[i].bytes.data, rows[i].bytes.size);
        struct om_str header, payload;
        struct bundle_iter iter =
            bundle_iter((struct om_str){ copy, rows[i].bytes.size });
        while (bundle_next(&iter, &header, &payload))
            cr_expect(om_str_eq(header, OM_LIT("h")) && om_str_eq(payload, OM_LIT("p")));
        cr_expect_eq(iter.count, rows[i].good, "row %zu", i);
        cr_expect_neq(iter.rest.size, 0, "row %zu", i);
        free(copy);
    }
}

// An array of `count` messages with a header and a payload of these sizes.
static struct om_buf
make(size_t count, size_t header, size_t payload)
{
    static char bytes[WIRE_PAYLOAD_MAX + 1];
    struct om_buf buf = { 0 };
    for (size_t i = 0; i < count; i++) {
        om_pack_bin(&buf, (struct om_str){ bytes, header });
        om_pack_bin(&buf, (struct om_str){ bytes, payload });
    }
    return buf;
}

Test(bundle, of_others_is_read_up_to_the_limits_of_messages)
{
    static const struct {
        size_t count, header, payload, good;
    } rows[] = {
        { BUNDLE_MESSAGES_MAX, 1, 1, BUNDLE_MESSAGES_MAX },
        { BUNDLE_MESSAGES_MAX + 1, 1, 1, BUNDLE_MESSAGES_MAX },
        { 3, WIRE_HEADER_MAX, 0, 3 },
        { 3, WIRE_HEADER_MAX + 1, 0, 0 },
        { 1, 1, WIRE_PAYLOAD_MAX, 1 },
        { 1, 1, WIRE_PAYLOAD_MAX + 1, 0 },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct om_buf buf = make(rows[i].count, rows[i].header, rows[i].payload);
        struct om_str header, payload;
        struct bundle_iter iter = bundle_iter(om_buf_str(&buf));
        while (bundle_next(&iter, &header, &payload))
            ;
        cr_expect_eq(iter.count, rows[i].good, "row %zu", i);
        cr_expect_eq(iter.rest.size == 0, rows[i].count == rows[i].good, "row %zu", i);
        om_buf_finish(&buf);
    }
}
