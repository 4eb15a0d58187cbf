// How many schedules a tenant may have.
#include "../services/call.h"
#include "id.h"
#include "scheduler.h"

enum { MOST = 1000 };

static struct call_folder folder;
static struct scheduler scheduler;
static struct call call;

static void
open_scheduler(void)
{
    folder = call_folder_make();
    scheduler = (struct scheduler){ 0 };
    scheduler.db = call_open_db(&folder, "scheduler", scheduler_schema);
}

static void
close_scheduler(void)
{
    om_db_close(&scheduler.db);
    call_finish(&call);
    call_folder_remove(&folder);
}

TestSuite(schedule_limit, .init = open_scheduler, .fini = close_scheduler, .timeout = 60);

static enum om_rc
create(struct om_uuid tenant, int number, char id[OM_TYPEID_MAX])
{
    char call_id[32];
    struct schedule_create_request request = { 0 };
    struct schedule_item made;
    snprintf(call_id, sizeof(call_id), "req_%d", number);
    REC_SET(&request, schedule_create_request, cron, OM_LIT("* * * * *"));
    REC_SET(&request, schedule_create_request, queue, OM_LIT("reports"));
    REC_SET(&request, schedule_create_request, kind, OM_LIT("report"));
    enum om_rc rc = call_op(&call, scheduler_routes, &scheduler, OP_schedule_create,
                            tenant, call_id, &request, &made);
    if (rc == OM_OK)
        snprintf(id, OM_TYPEID_MAX, "%.*s", (int)made.id.size, made.id.data);
    return rc;
}

Test(schedule_limit, refuses_one_more_but_knows_the_last_one_when_it_is_asked_for_again)
{
    struct om_uuid tenant = om_id_new(9), other = om_id_new(9);
    char id[OM_TYPEID_MAX], again[OM_TYPEID_MAX];
    for (int i = 1; i <= MOST; i++)
        cr_assert_eq(create(tenant, i, id), OM_OK, "%d", i);
    cr_expect_eq(create(tenant, MOST + 1, again), OM_ECONFLICT);
    cr_assert_eq(create(tenant, MOST, again), OM_OK, "%s", call.job.text);
    cr_expect_str_eq(again, id);
    cr_expect_eq(create(tenant, MOST + 1, again), OM_ECONFLICT, "nothing of it was kept");
    cr_expect_eq(create(other, 1, again), OM_OK, "another tenant's are not counted");
}
