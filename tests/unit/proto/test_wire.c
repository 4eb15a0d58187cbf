#include <criterion/criterion.h>

#include "random_record.h"

Test(wire, every_message_keeps_its_own_fields_and_no_others)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    random_record_init(&random, 5);
    size_t checked = 0;
    for (int round = 0; round < 100; round++)
        for (size_t i = 0; i < wire_info_count; i++) {
            const struct wire_info *info = &wire_infos[i];
            struct wire_msg in, out;
            random_record_fill(&random, &wire_msg_rec, info->required, &in);
            om_buf_reset(&buf);
            wire_encode((enum wire_type)info->number, &in, &buf);
            if (buf.size > WIRE_HEADER_MAX)
                continue;
            checked++;
            cr_assert_eq(wire_decode(om_buf_str(&buf), &out), OM_OK, "%s", info->name);
            cr_expect_eq(out.type, info->number);
            cr_expect_eq(out.version, WIRE_VERSION);
            uint64_t own = info->required | info->optional;
            cr_expect_eq(out.has, (in.has & own) | W(version) | W(type), "%s",
                         info->name);
        }
    cr_expect_gt(checked, 50 * wire_info_count);
    random_record_finish(&random);
}

Test(wire, a_spliced_header_says_what_an_encoded_one_does)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf whole = { 0 }, part = { 0 }, spliced = { 0 };
    random_record_init(&random, 7);
    for (int round = 0; round < 200; round++) {
        struct wire_msg in, out, again;
        random_record_fill(&random, &wire_msg_rec, wire_find(WIRE_JOB)->required, &in);
        om_buf_reset(&whole);
        om_buf_reset(&part);
        om_buf_reset(&spliced);
        wire_encode(WIRE_JOB, &in, &whole);
        struct wire_part fixed =
            wire_encode_part(WIRE_JOB, &in, random_record_bits(&random), &part);
        in.has &= ~(fixed.has & ~W(queue)); // the part's field goes before the message's
        in.queue = OM_LIT("another");
        wire_encode_spliced(WIRE_JOB, &in, fixed, &spliced);
        if (whole.size > WIRE_HEADER_MAX)
            continue;
        cr_assert_eq(wire_decode(om_buf_str(&whole), &out), OM_OK);
        cr_assert_eq(wire_decode(om_buf_str(&spliced), &again), OM_OK);
        cr_expect_eq(out.has, again.has);
        cr_expect(om_str_eq(out.token, again.token));
        cr_expect(
            om_str_eq(again.queue, fixed.has & W(queue) ? out.queue : OM_LIT("another")));
    }
    random_record_finish(&random);
}

Test(wire, a_message_without_what_it_requires_is_refused)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    random_record_init(&random, 6);
    for (size_t i = 0; i < wire_info_count; i++)
        for (uint64_t left = wire_infos[i].required; left; left &= left - 1) {
            struct wire_msg in = { 0 }, all, out;
            random_record_fill(&random, &wire_msg_rec, ~UINT64_C(0), &all);
            in = all;
            in.has = wire_infos[i].required & ~(left & -left);
            om_buf_reset(&buf);
            wire_encode((enum wire_type)wire_infos[i].number, &in, &buf);
            if (buf.size <= WIRE_HEADER_MAX)
                cr_expect_eq(wire_decode(om_buf_str(&buf), &out), OM_EINVAL, "%s",
                             wire_infos[i].name);
        }
    random_record_finish(&random);
}

Test(wire, another_version_or_number_is_unsupported)
{
    static const struct {
        int64_t version, type;
        enum om_rc rc;
    } rows[] = {
        { WIRE_VERSION, WIRE_PING, OM_OK },
        { WIRE_VERSION + 1, WIRE_PING, OM_EUNSUPPORTED },
        { 255, WIRE_PING, OM_EUNSUPPORTED },
        { WIRE_VERSION, 255, OM_EUNSUPPORTED },
        { WIRE_VERSION, 9, OM_EUNSUPPORTED },
        { 0, WIRE_PING, OM_EPROTO },
        { 256, WIRE_PING, OM_EPROTO },
        { WIRE_VERSION, 0, OM_EPROTO },
        { WIRE_VERSION, 256, OM_EPROTO },
        { WIRE_VERSION, -1, OM_EPROTO },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        struct wire_msg in = { 0 }, out;
        WIRE_SET(&in, version, rows[i].version);
        WIRE_SET(&in, type, rows[i].type);
        WIRE_SET(&in, id, OM_LIT("req_1"));
        rec_encode(&wire_msg_rec, &in, &buf);
        cr_expect_eq(wire_decode(om_buf_str(&buf), &out), rows[i].rc, "row %zu", i);
        if (rows[i].rc != OM_EPROTO)
            cr_expect(om_str_eq(out.id, OM_LIT("req_1")), "to answer it");
    }
}

Test(wire, a_header_without_version_or_number_is_refused)
{
    struct wire_msg out;
    cr_expect_eq(wire_decode(OM_LIT("\x80"), &out), OM_EPROTO);
    cr_expect_eq(wire_decode(OM_LIT("\x81\xa1v\x01"), &out), OM_EPROTO);
    cr_expect_eq(wire_decode(OM_LIT("\x81\xa1t\x04"), &out), OM_EPROTO);
    cr_expect_eq(wire_decode(OM_LIT("\x82\xa1v\x01\xa1t\x04"), &out), OM_OK);
    cr_expect_eq(wire_decode(OM_LIT(""), &out), OM_EPROTO);
}

Test(wire, a_header_beyond_the_limit_is_refused)
{
    for (size_t extra = 0; extra < 2; extra++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        char text[WIRE_HEADER_MAX];
        struct wire_msg out;
        memset(text, 'x', sizeof(text));
        om_pack_map(&buf, 3);
        om_buf_put(&buf, "\xa1v\x01\xa1t\x04\xa1?", 8);
        size_t size = WIRE_HEADER_MAX - buf.size - 3 + extra;
        om_pack_str(&buf, (struct om_str){ text, size });
        cr_assert_eq(buf.size, WIRE_HEADER_MAX + extra);
        cr_expect_eq(wire_decode(om_buf_str(&buf), &out), extra ? OM_EPROTO : OM_OK);
    }
}

Test(wire, numbers_and_keys_are_unique)
{
    for (size_t i = 0; i < wire_info_count; i++) {
        cr_expect_eq(wire_find(wire_infos[i].number), &wire_infos[i]);
        cr_expect_eq(wire_infos[i].required & wire_infos[i].optional, 0, "%s",
                     wire_infos[i].name);
    }
    for (size_t i = 0; i < wire_msg_rec.count; i++)
        for (size_t j = 0; j < i; j++)
            cr_expect_str_neq(wire_msg_rec.fields[i].key.data,
                              wire_msg_rec.fields[j].key.data);
    static const int64_t none[] = { -1, 0, 9, 255, 256, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < OM_COUNT(none); i++)
        cr_expect_null(wire_find(none[i]));
}

Test(wire, a_token_survives_its_bytes)
{
    struct wire_token in = { .attempt = 0x01020304,
                             .epoch = 0xfffefdfc,
                             .lease = 0x1122334455667788 },
                      out;
    memset(in.task.bytes, 0xab, 16);
    char bytes[WIRE_TOKEN_BYTES + 1];
    wire_token_encode(&in, bytes);
    cr_expect_eq(memcmp(bytes + 16, "\x01\x02\x03\x04\xff\xfe\xfd\xfc\x11\x22", 10), 0);
    cr_assert_eq(wire_token_decode((struct om_str){ bytes, WIRE_TOKEN_BYTES }, &out),
                 OM_OK);
    cr_expect(om_uuid_eq(&in.task, &out.task));
    cr_expect(in.attempt == out.attempt && in.epoch == out.epoch &&
              in.lease == out.lease);
    for (size_t size = 0; size <= sizeof(bytes); size++)
        cr_expect_eq(wire_token_decode((struct om_str){ bytes, size }, &out),
                     size == WIRE_TOKEN_BYTES ? OM_OK : OM_EPROTO);
}
