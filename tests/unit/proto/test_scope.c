#include <criterion/criterion.h>

#include "scope.h"

static struct om_str
pack(struct om_buf *buf, const char *const *names, size_t count)
{
    om_pack_array(buf, count);
    for (size_t i = 0; i < count; i++)
        om_pack_str(buf, om_str(names[i]));
    return om_buf_str(buf);
}

Test(scope, survives_encoding)
{
    for (uint64_t mask = 0; mask < UINT64_C(1) << SCOPE_COUNT; mask += 6007) {
        struct om_buf buf = { 0 };
        uint64_t read;
        scopes_encode(mask, &buf);
        cr_assert(scopes_decode(om_buf_str(&buf), &read, NULL) == OM_OK);
        cr_assert(read == mask);
        om_buf_finish(&buf);
    }
}

Test(scope, names_the_one_that_is_unknown)
{
    const char *names[] = { "train", "files:erase", "predict" };
    struct om_buf buf = { 0 };
    struct om_str unknown;
    uint64_t mask;
    cr_expect(scopes_decode(pack(&buf, names, 3), &mask, &unknown) == OM_EINVAL);
    cr_expect(om_str_eq(unknown, OM_LIT("files:erase")));
    om_buf_finish(&buf);
}

Test(scope, refuses_what_is_no_list_of_names)
{
    struct om_buf buf = { 0 };
    struct om_str unknown;
    uint64_t mask;
    om_pack_array(&buf, 1);
    om_pack_i64(&buf, 4);
    cr_expect(scopes_decode(om_buf_str(&buf), &mask, &unknown) == OM_EINVAL);
    cr_expect(!unknown.data);
    cr_expect(scopes_decode((struct om_str){ 0 }, &mask, &unknown) == OM_OK && mask == 0);
    om_buf_finish(&buf);
}

Test(scope, gives_the_operator_scope_to_nobody_by_default)
{
    cr_expect(!(SCOPES_OWNER & SCOPE_BIT(OPERATOR)));
    cr_expect(
        !(SCOPES_DEFAULT & (SCOPE_BIT(OPERATOR) | SCOPE_BIT(WORKER) | SCOPE_BIT(ALL))));
}
