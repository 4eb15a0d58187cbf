// fuzz_cidr.c - any text as a network, a list of them, and X-Forwarded-For. What is read
// must be written as a text that is read as the same.
#include <stdlib.h>

#include "cidr.h"

enum { NETWORKS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_address(struct om_str text)
{
    struct om_address one, again;
    char usual[OM_ADDRESS_MAX];
    if (om_address_parse(text, &one) != OM_OK)
        return;
    size_t size = om_address_text(&one, usual);
    if (size == 0 || size >= sizeof(usual) ||
        om_address_parse((struct om_str){ usual, size }, &again) != OM_OK ||
        memcmp(&one, &again, sizeof(one)) != 0)
        abort();
}

static void
check_network(struct om_str text)
{
    struct om_cidr one, again;
    char usual[OM_CIDR_MAX];
    if (om_cidr_parse(text, &one) != OM_OK)
        return;
    size_t size = om_cidr_text(&one, usual);
    if (size >= sizeof(usual) ||
        om_cidr_parse((struct om_str){ usual, size }, &again) != OM_OK ||
        memcmp(&one.address, &again.address, sizeof(one.address)) != 0 ||
        one.prefix != again.prefix || !om_cidr_contains(&one, &one.address))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct om_address remote = { { 10, 0, 0, 1 }, 32 };
    struct om_str text = { (const char *)data, size }, bad;
    struct om_cidr networks[NETWORKS], trusted;
    size_t count;
    check_address(text);
    check_network(text);
    if (om_cidr_list(text, networks, NETWORKS, &count, &bad) == OM_OK && count > NETWORKS)
        abort();
    if (om_cidr_parse(OM_LIT("10.0.0.0/8"), &trusted) != OM_OK)
        abort();
    struct om_address client = om_forwarded_for(&remote, text, &trusted, 1);
    if (client.bits != 32 && client.bits != 128)
        abort();
    return 0;
}
