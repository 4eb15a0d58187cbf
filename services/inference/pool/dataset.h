// dataset.h - the series in a column of an uploaded CSV file.
#pragma once
#include "pool.h"

// Read the column `target` of the file `file_id` of the call's tenant. The caller frees
// *values. On failure the call fails with a reason that names the field, the row and the
// fix.
OM_MUST_CHECK enum om_rc dataset_read(struct pool *pool, struct om_call *call,
                                      struct om_str file_id, struct om_str target,
                                      size_t rows_min, double **values, size_t *count);
