// Whose context is gone on with, and how often a caller may have a trace recorded.
#include <criterion/criterion.h>

#include "traced.h"

Test(traced, trust_has_three_names)
{
    enum traced_trust trust;
    cr_expect(traced_trust_find("never", &trust) && trust == TRACED_NEVER);
    cr_expect(traced_trust_find("authenticated", &trust) &&
              trust == TRACED_AUTHENTICATED);
    cr_expect(traced_trust_find("always", &trust) && trust == TRACED_ALWAYS);
    cr_expect_not(traced_trust_find("", &trust));
    cr_expect_not(traced_trust_find("Always", &trust));
}

Test(traced, so_many_traces_a_second_are_recorded_because_a_caller_asks)
{
    struct traced_budget budget = { 0 };
    int taken = 0;
    for (int i = 0; i < 1000; i++)
        taken += traced_budget_take(&budget, 10, 5000);
    cr_expect_eq(taken, 10, "a burst");
    cr_expect_not(traced_budget_take(&budget, 10, 5099));
    cr_expect(traced_budget_take(&budget, 10, 5201));
    for (int i = 0; i < 1000; i++)
        taken += traced_budget_take(&budget, 10, 60000);
    cr_expect_eq(taken, 20, "what was not used is not saved up");
    cr_expect_not(traced_budget_take(&(struct traced_budget){ 0 }, 0, 1));
}
