#include <sqlite3.h>

#include "store_suite.h"

struct fixture fx;

void
store_begin(void)
{
    disk_fail(SQLITE_OK, SQLITE_OK);
    fixture_init(&fx);
}

void
store_end(void)
{
    disk_fail(SQLITE_OK, SQLITE_OK);
    fixture_finish(&fx);
}
