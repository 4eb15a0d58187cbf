#include "ops.h"

REC_DEFINE(rate_limit_item, RATE_LIMIT_ITEM);
REC_DEFINE(key_item, KEY_ITEM);
REC_DEFINE(setting_item, SETTING_ITEM);
REC_DEFINE(tenant_item, TENANT_ITEM);
REC_DEFINE(user_item, USER_ITEM);
REC_DEFINE(permission_item, PERMISSION_ITEM);
REC_DEFINE(role_item, ROLE_ITEM);
REC_DEFINE(binding_item, BINDING_ITEM);
REC_DEFINE(team_item, TEAM_ITEM);
REC_DEFINE(key_change_item, KEY_CHANGE_ITEM);
REC_DEFINE(purge_item, PURGE_ITEM);
REC_DEFINE(file_item, FILE_ITEM);
REC_DEFINE(model_item, MODEL_ITEM);
REC_DEFINE(predict_part, PREDICT_PART);
REC_DEFINE(usage_item, USAGE_ITEM);
REC_DEFINE(plan_quota, PLAN_QUOTA);
REC_DEFINE(plan_item, PLAN_ITEM);
REC_DEFINE(quota_item, QUOTA_ITEM);
REC_DEFINE(audit_event, AUDIT_EVENT);
REC_DEFINE(audit_item, AUDIT_ITEM);
REC_DEFINE(header_item, HEADER_ITEM);
REC_DEFINE(request_summary, REQUEST_SUMMARY);
REC_DEFINE(request_kept, REQUEST_KEPT);
REC_DEFINE(error_event, ERROR_EVENT);
REC_DEFINE(error_sample, ERROR_SAMPLE);
REC_DEFINE(error_group, ERROR_GROUP);
REC_DEFINE(schedule_item, SCHEDULE_ITEM);
REC_DEFINE(status_day, STATUS_DAY);
REC_DEFINE(status_component, STATUS_COMPONENT);
REC_DEFINE(status_window, STATUS_WINDOW);
REC_DEFINE(status_objective, STATUS_OBJECTIVE);
REC_DEFINE(status_incident, STATUS_INCIDENT);

#define OP_DEFINE(name, queue, lane, request, reply, callers, doc)                       \
    REC_DEFINE(name##_request, request);                                                 \
    REC_DEFINE(name##_reply, reply);
OP_LIST(OP_DEFINE)
#undef OP_DEFINE

const struct op_info ops[OP_COUNT] = {
#define OP_ROW(name, queue, lane, request, reply, callers, doc)                          \
    [OP_##name] = { #name,                                                               \
                    QUEUE_##queue,                                                       \
                    LANE_##lane,                                                         \
                    &name##_request_rec,                                                 \
                    &name##_reply_rec,                                                   \
                    callers,                                                             \
                    doc },
    OP_LIST(OP_ROW)
#undef OP_ROW
};

const struct op_info *
op_find(struct om_str name)
{
    for (size_t i = 0; i < OP_COUNT; i++)
        if (om_str_eq(name, om_str(ops[i].name)))
            return &ops[i];
    return NULL;
}
