#include <criterion/criterion.h>

#include "uuid.h"

static struct om_uuid
from_hex(const char *text)
{
    struct om_uuid id = { 0 };
    size_t digits = 0;
    for (; *text; text++) {
        if (*text == '-')
            continue;
        int value = *text <= '9' ? *text - '0' : *text - 'a' + 10;
        id.bytes[digits / 2] = (uint8_t)(id.bytes[digits / 2] << 4 | value);
        digits++;
    }
    cr_assert(digits == 32);
    return id;
}

// valid.yml of https://github.com/jetify-com/typeid/tree/main/spec
static const struct {
    const char *text, *uuid;
} valid[] = {
    { "prefix_00000000000000000000000000", "00000000-0000-0000-0000-000000000000" },
    { "prefix_00000000000000000000000001", "00000000-0000-0000-0000-000000000001" },
    { "prefix_0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a" },
    { "prefix_0000000000000000000000000g", "00000000-0000-0000-0000-000000000010" },
    { "prefix_00000000000000000000000010", "00000000-0000-0000-0000-000000000020" },
    { "prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff" },
    { "prefix_0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19" },
    { "prefix_01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057" },
};

Test(uuid, has_the_text_of_the_typeid_specification)
{
    for (size_t i = 0; i < OM_COUNT(valid); i++) {
        struct om_uuid id = from_hex(valid[i].uuid), read;
        char text[OM_TYPEID_MAX];
        cr_expect_eq(om_typeid_encode("prefix", &id, text), strlen(valid[i].text));
        cr_expect_str_eq(text, valid[i].text);
        cr_assert_eq(om_typeid_decode("prefix", om_str(valid[i].text), &read), OM_OK);
        cr_expect(om_uuid_eq(&read, &id), "%s", valid[i].text);
    }
}

// invalid.yml of the same, and more.
Test(uuid, takes_no_other_text)
{
    static const char *const texts[] = {
        "",
        "prefix",
        "prefix_",
        "_",
        "PREFIX_00000000000000000000000000",
        "12345_00000000000000000000000000",
        "pre.fix_00000000000000000000000000",
        "préfix_00000000000000000000000000",
        "  prefix_00000000000000000000000000",
        "_prefix_00000000000000000000000000",
        "prefix__00000000000000000000000000",
        "_00000000000000000000000000",
        "00000000000000000000000000",
        "prefix-00000000000000000000000000",
        "prefi_00000000000000000000000000",
        "prefix_1234567890123456789012345",
        "prefix_123456789012345678901234567",
        "prefix_1234567890123456789012345 ",
        "prefix_0123456789ABCDEFGHJKMNPQRS",
        "prefix_123456789-123456789-123456",
        "prefix_ooooooiiiiiiuuuuuuulllllll",
        "prefix_i23456789ol23456789oi23456",
        "prefix_123456789-0123456789-0123456",
        "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "prefix_0000000000000000000000000\xff",
    };
    struct om_uuid id;
    for (size_t i = 0; i < OM_COUNT(texts); i++)
        cr_expect_eq(om_typeid_decode("prefix", om_str(texts[i]), &id), OM_EINVAL, "%s",
                     texts[i]);
    cr_expect_eq(om_typeid_decode("prefix", (struct om_str){ 0 }, &id), OM_EINVAL);
    cr_expect_eq(
        om_typeid_decode("prefix", OM_LIT("prefix_0000000000000\0000000000000"), &id),
        OM_EINVAL);
}

// RFC 9562, appendix A.6.
Test(uuid, has_the_layout_of_version_7)
{
    static const uint8_t entropy[] = { 0x0c, 0xc3, 0x18, 0xc4, 0xdc,
                                       0x0c, 0x0c, 0x07, 0x39, 0x8f };
    struct om_uuid id = om_uuid_make(0x017f22e279b0, entropy, 0x8f);
    struct om_uuid wanted = from_hex("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    cr_expect(om_uuid_eq(&id, &wanted));
    cr_expect_eq(om_uuid_time_ms(&id), 0x017f22e279b0);
    cr_expect_eq(om_uuid_shard(&id), 0x8f);
}

Test(uuid, ends_in_its_shard_and_keeps_its_time)
{
    static const int64_t times[] = { 0, 1, 1700000000000, 0xffffffffffff };
    static const uint8_t entropy[10] = { 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff };
    for (size_t t = 0; t < OM_COUNT(times); t++)
        for (int shard = 0; shard < OM_SHARD_COUNT; shard++) {
            struct om_uuid id = om_uuid_make(times[t], entropy, (uint8_t)shard);
            cr_expect_eq(om_uuid_shard(&id), shard);
            cr_expect_eq(om_uuid_time_ms(&id), times[t]);
            cr_expect_eq(id.bytes[6] >> 4, 7);
            cr_expect_eq(id.bytes[8] >> 6, 2);
        }
}

Test(uuid, orders_by_time_as_text_too)
{
    static const uint8_t low[10] = { 0 }, high[10] = { 0xff, 0xff, 0xff, 0xff, 0xff };
    struct om_uuid first = om_uuid_make(1000, high, 255),
                   second = om_uuid_make(1001, low, 0);
    char a[OM_TYPEID_MAX], b[OM_TYPEID_MAX];
    om_typeid_encode("task", &first, a);
    om_typeid_encode("task", &second, b);
    cr_expect_lt(strcmp(a, b), 0);
    cr_expect_lt(memcmp(&first, &second, 16), 0);
}

Test(uuid, knows_the_one_of_zeros)
{
    struct om_uuid zero = { 0 }, one = { { [15] = 1 } };
    cr_expect(om_uuid_is_zero(&zero));
    cr_expect_not(om_uuid_is_zero(&one));
}
