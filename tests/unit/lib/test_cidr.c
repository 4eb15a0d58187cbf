#include <criterion/criterion.h>
#include <stdio.h>

#include "cidr.h"

static struct om_address
address(const char *text)
{
    struct om_address out = { 0 };
    cr_assert_eq(om_address_parse(om_str(text), &out), OM_OK, "%s", text);
    return out;
}

Test(cidr, reads_addresses_and_writes_them_in_their_usual_form)
{
    static const struct {
        const char *text, *usual;
    } cases[] = {
        { "0.0.0.0", "0.0.0.0" },
        { "192.0.2.1", "192.0.2.1" },
        { "255.255.255.255", "255.255.255.255" },
        { "::", "::" },
        { "::1", "::1" },
        { "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "::FFFF:C000:201", "192.0.2.1" },
        { "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_address one = address(cases[i].text);
        char text[OM_ADDRESS_MAX];
        cr_expect_eq(om_address_text(&one, text), strlen(cases[i].usual));
        cr_expect_str_eq(text, cases[i].usual);
    }
}

Test(cidr, refuses_whatever_is_no_address)
{
    static const char *const cases[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.-1",
        "01.2.3.4",
        "1.2.3.04",
        "1.2.3.00",
        "0x7f.0.0.1",
        "127.1",
        "2130706433",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4/8",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "localhost",
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "12345::",
        "::g",
        "fe80::1%eth0",
        "[::1]",
        "::ffff:1.2.3",
        "::ffff:01.2.3.4",
        "::ffff:1.2.3.256",
        "::1.2.3.4.5",
        "1.2.3.4::",
        "2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    struct om_address out;
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(om_address_parse(om_str(cases[i]), &out), OM_EINVAL, "%s", cases[i]);
    cr_expect_eq(om_address_parse((struct om_str){ "1.2.3.4\0x", 9 }, &out), OM_EINVAL);
    cr_expect_eq(om_address_parse((struct om_str){ NULL, 0 }, &out), OM_EINVAL);
}

Test(cidr, reads_networks_strictly)
{
    static const struct {
        const char *text, *usual; // NULL: refused
    } cases[] = {
        { "10.0.0.0/8", "10.0.0.0/8" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "192.0.2.7", "192.0.2.7/32" },
        { "192.0.2.7/32", "192.0.2.7/32" },
        { "192.0.2.128/25", "192.0.2.128/25" },
        { "2001:db8::/32", "2001:db8::/32" },
        { "::/0", "::/0" },
        { "::1", "::1/128" },
        { "::ffff:10.0.0.0/104", "10.0.0.0/8" },
        { "::ffff:10.0.0.1", "10.0.0.1/32" },
        { "::ffff:0:0/96", "0.0.0.0/0" },
        { "", NULL },
        { "/8", NULL },
        { "10.0.0.0/", NULL },
        { "10.0.0.0/33", NULL },
        { "10.0.0.0/08", NULL },
        { "10.0.0.0/+8", NULL },
        { "10.0.0.0/8 ", NULL },
        { "10.0.0.0/8/8", NULL },
        { "10.0.0.0/1000", NULL },
        { "10.0.0.0/255.0.0.0", NULL },
        { "10/8", NULL },
        { "10.0.0.1/8", NULL },
        { "192.0.2.129/25", NULL },
        { "2001:db8::/129", NULL },
        { "2001:db8::1/32", NULL },
        { "::ffff:10.0.0.0/8", NULL },
        { "::ffff:10.0.0.1/104", NULL },
        { "*", NULL },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_cidr one;
        char text[OM_CIDR_MAX] = "";
        enum om_rc rc = om_cidr_parse(om_str(cases[i].text), &one);
        cr_expect_eq(rc, cases[i].usual ? OM_OK : OM_EINVAL, "%s", cases[i].text);
        if (rc != OM_OK || !cases[i].usual)
            continue;
        cr_expect_eq(om_cidr_text(&one, text), strlen(cases[i].usual));
        cr_expect_str_eq(text, cases[i].usual);
    }
}

Test(cidr, contains_what_shares_its_prefix_and_nothing_of_the_other_family)
{
    static const struct {
        const char *cidr, *address;
        bool inside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "10.0.0.0/8", "::ffff:10.0.0.1", true },
        { "192.0.2.128/25", "192.0.2.128", true },
        { "192.0.2.128/25", "192.0.2.255", true },
        { "192.0.2.128/25", "192.0.2.127", false },
        { "192.0.2.7", "192.0.2.7", true },
        { "192.0.2.7", "192.0.2.6", false },
        { "0.0.0.0/0", "8.8.8.8", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "::/0", "2001:db8::1", true },
        { "::/0", "8.8.8.8", false },
        { "::/0", "::ffff:8.8.8.8", false },
        { "2001:db8::/33", "2001:db8:7fff::", true },
        { "2001:db8::/33", "2001:db8:8000::", false },
        { "::1", "::1", true },
        { "::1", "::", false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_cidr cidr;
        struct om_address one = address(cases[i].address);
        cr_assert_eq(om_cidr_parse(om_str(cases[i].cidr), &cidr), OM_OK);
        cr_expect_eq(om_cidr_contains(&cidr, &one), cases[i].inside, "%s in %s",
                     cases[i].address, cases[i].cidr);
    }
    struct om_cidr all;
    struct om_address none = { 0 };
    cr_assert_eq(om_cidr_parse(OM_LIT("0.0.0.0/0"), &all), OM_OK);
    cr_expect_not(om_cidr_contains(&all, &none),
                  "an address that is not known is nowhere");
}

Test(cidr, agrees_with_a_comparison_bit_by_bit)
{
    unsigned state = 1;
    for (int round = 0; round < 20000; round++) {
        struct om_cidr cidr = { .address.bits = round % 2 ? 32 : 128 };
        struct om_address one = { .bits = cidr.address.bits };
        state = state * 1103515245 + 12345;
        cidr.prefix = (uint8_t)((state >> 16) % (one.bits + 1u));
        int differ = (int)(state >> 8) % (one.bits + 1);
        for (unsigned i = 0; i < one.bits / 8u; i++) {
            state = state * 1103515245 + 12345;
            one.bytes[i] = (uint8_t)(state >> 16);
        }
        memcpy(cidr.address.bytes, one.bytes, sizeof(one.bytes));
        if (differ < one.bits)
            one.bytes[differ / 8] ^= (uint8_t)(0x80 >> differ % 8);
        cr_assert_eq(om_cidr_contains(&cidr, &one), differ >= cidr.prefix,
                     "prefix %u, first difference at %d", cidr.prefix, differ);
    }
}

Test(cidr, reads_a_list_and_names_the_item_that_is_wrong)
{
    static const struct {
        const char *text;
        enum om_rc rc;
        size_t count;
        const char *bad;
    } cases[] = {
        { "", OM_OK, 0, NULL },
        { "  ", OM_OK, 0, NULL },
        { "10.0.0.0/8", OM_OK, 1, NULL },
        { " 10.0.0.0/8 ,\t::1,192.0.2.0/24", OM_OK, 3, NULL },
        { "10.0.0.0/8,", OM_EINVAL, 0, "" },
        { ",10.0.0.0/8", OM_EINVAL, 0, "" },
        { "10.0.0.0/8,,::1", OM_EINVAL, 0, "" },
        { "10.0.0.0/8,localhost", OM_EINVAL, 0, "localhost" },
        { "10.0.0.0/8 ::1", OM_EINVAL, 0, "10.0.0.0/8 ::1" },
        { "1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4", OM_ETOOBIG, 0, "4.4.4.4" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_cidr out[3];
        size_t count;
        struct om_str bad = { 0 };
        cr_expect_eq(om_cidr_list(om_str(cases[i].text), out, 3, &count, &bad),
                     cases[i].rc, "%s", cases[i].text);
        if (cases[i].rc == OM_OK)
            cr_expect_eq(count, cases[i].count, "%s", cases[i].text);
        else
            cr_expect(om_str_eq(bad, om_str(cases[i].bad)), "%s: %.*s", cases[i].text,
                      (int)bad.size, bad.data);
    }
}

Test(cidr, believes_proxies_it_trusts_and_nobody_else)
{
    static const struct {
        const char *remote, *field, *client;
    } cases[] = {
        // nobody says anything
        { "203.0.113.9", "", "203.0.113.9" },
        { "10.0.0.1", "", "10.0.0.1" },
        // a stranger says what it likes
        { "203.0.113.9", "198.51.100.1", "203.0.113.9" },
        { "203.0.113.9", "10.0.0.1", "203.0.113.9" },
        // a proxy of ours
        { "10.0.0.1", "198.51.100.1", "198.51.100.1" },
        { "10.0.0.1", " 198.51.100.1 ", "198.51.100.1" },
        { "::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1" },
        { "2001:db8:1::1", "2001:db8:2::9", "2001:db8:2::9" },
        // what stands left of the rightmost stranger was said by that stranger
        { "10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1" },
        { "10.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1" },
        { "10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1" },
        { "10.0.0.1", "198.51.100.1,10.0.0.3,10.0.0.2", "198.51.100.1" },
        // proxies all the way
        { "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3" },
        // ports
        { "10.0.0.1", "198.51.100.1:4711", "198.51.100.1" },
        { "10.0.0.1", "[2001:db8:2::9]:4711", "2001:db8:2::9" },
        { "10.0.0.1", "[2001:db8:2::9]", "2001:db8:2::9" },
        // what cannot be read hides whatever is behind it
        { "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1" },
        { "10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2" },
        { "10.0.0.1", "198.51.100.1,", "10.0.0.1" },
        { "10.0.0.1", ",", "10.0.0.1" },
        { "10.0.0.1", "[::1", "10.0.0.1" },
        { "10.0.0.1", "[::1]x", "10.0.0.1" },
        { "10.0.0.1", "198.51.100.01", "10.0.0.1" },
    };
    struct om_cidr trusted[2];
    size_t count;
    cr_assert_eq(
        om_cidr_list(OM_LIT("10.0.0.0/8,2001:db8:1::/48"), trusted, 2, &count, NULL),
        OM_OK);
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_address remote = address(cases[i].remote);
        struct om_address client =
            om_forwarded_for(&remote, om_str(cases[i].field), trusted, count);
        char text[OM_ADDRESS_MAX];
        om_address_text(&client, text);
        cr_expect_str_eq(text, cases[i].client, "%s behind %s is %s", cases[i].field,
                         cases[i].remote, text);
    }
}

Test(cidr, believes_nobody_if_no_proxy_is_trusted)
{
    struct om_address remote = address("127.0.0.1");
    struct om_address client = om_forwarded_for(&remote, OM_LIT("1.2.3.4"), NULL, 0);
    cr_expect_eq(memcmp(&client, &remote, sizeof(remote)), 0);
}
