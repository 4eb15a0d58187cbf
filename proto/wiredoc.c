// wiredoc.c - prints docs/wire.md from the tables, so that the reference cannot drift.
#include <stdio.h>

#include "bundle.h"
#include "ops.h"

static const char *const type_texts[] = {
#define TYPE_TEXT(name, ctype, text) [REC_##name] = text,
    REC_TYPE_LIST(TYPE_TEXT)
#undef TYPE_TEXT
};

static const char *const directions[] = {
    [WIRE_ANY] = "either",
    [WIRE_CLIENT] = "client → broker",
    [WIRE_WORKER] = "worker → broker",
    [WIRE_TO_CLIENT] = "broker → client",
    [WIRE_TO_WORKER] = "broker → worker",
};

static const char *const presences[] = {
    [REC_REQUIRED] = "required",
    [REC_OPTIONAL] = "optional",
    [REC_INTERNAL] = "internal",
};

static void
print_keys(uint64_t mask)
{
    if (!mask)
        printf("–");
    for (const char *comma = ""; mask; mask &= mask - 1, comma = ", ")
        printf("%s`%s`", comma, wire_msg_rec.fields[__builtin_ctzll(mask)].key.data);
}

static void
print_messages(void)
{
    printf("## Messages\n\n| no | message | from → to | required | optional | meaning |\n"
           "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < wire_info_count; i++) {
        const struct wire_info *info = &wire_infos[i];
        printf("| %d | %s | %s | ", (int)info->number, info->name,
               directions[info->from]);
        print_keys(info->required);
        printf(" | ");
        print_keys(info->optional);
        printf(" | %s |\n", info->doc);
    }
}

static void
print_record(const struct rec *type, bool header)
{
    printf("| key | type | %s | low–high | meaning |\n|---|---|---|---|---|\n",
           header ? "name" : "presence");
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        printf("| `%s` | %s%s%s | %s | %.15g–%.15g | %s |\n", field->key.data,
               type_texts[field->type], field->item ? " of " : "",
               field->item ? field->item->name : "",
               header ? field->name : presences[field->presence], field->low, field->high,
               field->doc);
    }
    printf("\n");
}

static void
print_queues(void)
{
    printf("## Queues of the platform\n\n"
           "| queue | owner | class | hard limit | events |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < QUEUE_COUNT; i++) {
        const char *topic = "–";
        for (size_t s = 0; s < SUBSCRIPTION_COUNT; s++)
            if (subscriptions[s].queue == i)
                topic = subscriptions[s].topic;
        printf("| `%s` | %s | %s | ", queues[i].name, role_name(queues[i].owner),
               queues[i].class == CLASS_LONG ? "long" : "short");
        if (queues[i].hard_ms)
            printf("%d s", (int)(queues[i].hard_ms / 1000));
        else
            printf("none");
        printf(" | %s |\n", topic);
    }
    printf("\n");
}

static void
print_operations(void)
{
    printf("## Operations\n\n");
    for (size_t i = 0; i < OP_COUNT; i++) {
        printf("### %s\n\n%s. Queue `%s`, %s lane, callers:", ops[i].name, ops[i].doc,
               queues[ops[i].queue].name, ops[i].lane == LANE_JOB ? "job" : "call");
        for (unsigned role = 0; role < ROLE_COUNT; role++)
            if (ops[i].callers >> role & 1)
                printf(" %s", role_name((enum role)role));
        printf(".\n\nRequest:\n\n");
        print_record(ops[i].request, false);
        printf("Reply:\n\n");
        print_record(ops[i].reply, false);
    }
}

static void
print_results(void)
{
    printf("## Result codes\n\n| code | retried | HTTP | type | meaning |\n"
           "|---|---|---|---|---|\n");
    for (unsigned rc = 0; rc < OM_RC_COUNT; rc++) {
        const struct om_rc_info *info = om_rc_info((enum om_rc)rc);
        printf("| `%s` | %s | %d | %s | %s |\n", info->code,
               info->retryable ? "yes" : "no", info->http_status, info->type, info->text);
    }
    printf("\n");
}

static void
print_capabilities(void)
{
#define CAPABILITY_ROW(bit, name, doc) printf("| %d | %s | %s |\n", bit, #name, doc);
    printf("## Capabilities\n\n| bit | capability | what the peer understands |\n"
           "|---|---|---|\n");
    CAPABILITY_LIST(CAPABILITY_ROW)
#undef CAPABILITY_ROW
    printf("\n");
}

static void
print_states(void)
{
    printf("## Task states\n\n| no | state | in the HTTP interface | ended |\n"
           "|---|---|---|---|\n");
    for (int64_t state = 1; state < STATE_COUNT; state++)
        printf("| %d | %s | %s | %s |\n", (int)state, state_info(state)->name,
               state_info(state)->public_name, state_info(state)->ended ? "yes" : "no");
    printf("\n");
}

static void
print_bundles(void)
{
    struct om_str header = bundle_header();
    printf("Who has said that it understands BUNDLE, a peer in HELLO and the broker in "
           "WELCOME,\n"
           "may be sent several messages as one: a header of these bytes, `");
    for (size_t i = 0; i < header.size; i++)
        printf("%s%02x", i ? " " : "", (uint8_t)header.data[i]);
    printf("`, and a\n"
           "payload that is msgpack binary after msgpack binary, the header and the "
           "payload of each\n"
           "message in turn, an empty one for no payload; at most %d messages, and no "
           "BUNDLE among\n"
           "them. Where it is no bundle it ends; the messages before count.\n\n",
           BUNDLE_MESSAGES_MAX);
}

int
main(void)
{
    printf(
        "# Wire reference\n\n"
        "Made by `omni-wiredoc` from `proto/wire.h`, `proto/peer.h`, `proto/ops.h` and\n"
        "`proto/rc.h`; a test fails when this file and the tables differ.\n\n"
        "A message is two ZeroMQ frames, `[header][payload]`; the payload may be "
        "absent.\n"
        "The header is one msgpack map of at most %d bytes, with the keys below. This "
        "is\n"
        "version %d; version N talks to N−1. Unknown keys are ignored, unknown message\n"
        "numbers are answered with ERROR `unsupported`.\n\n",
        WIRE_HEADER_MAX, WIRE_VERSION);
    print_bundles();
    print_messages();
    printf("\n## Header fields\n\n");
    print_record(&wire_msg_rec, true);
    static const struct rec *const records[] = {
        &wire_held_rec,   &wire_usage_rec,     &wire_event_rec,     &wire_logged_rec,
        &wire_task_rec,   &wire_setting_rec,   &wire_queue_rec,     &wire_limit_rec,
        &wire_worker_rec, &wire_batch_job_rec, &wire_batch_item_rec
    };
    for (size_t i = 0; i < OM_COUNT(records); i++) {
        printf("### Record %s\n\n", records[i]->name);
        print_record(records[i], false);
    }
    print_capabilities();
    print_queues();
    print_states();
    print_results();
    print_operations();
    return 0;
}
