// status_record.h - what anybody may know of how the platform does.
#pragma once
#include "record.h"

// clang-format off
#define STATUS_DAY(F, M)                                                                  \
    F(M, STR, day,    REQUIRED, 10, 10, NULL, "YYYY-MM-DD, UTC")                          \
    F(M, F64, uptime, REQUIRED, 0, 1, NULL, "share of the looks at which it was ready")
REC_DECLARE(status_day, STATUS_DAY);

#define STATUS_COMPONENT(F, M)                                                            \
    F(M, STR,  name,   REQUIRED, 1, 32, NULL, "of the program")                           \
    F(M, STR,  state,  REQUIRED, 1, 16, NULL, "operational or down")                      \
    F(M, F64,  uptime, REQUIRED, 0, 1, NULL, "of the days below")                         \
    F(M, RECS, days,   REQUIRED, 0, 91, &status_day_rec, "the last 90 days that it was looked at, oldest first")
REC_DECLARE(status_component, STATUS_COMPONENT);

#define STATUS_WINDOW(F, M)                                                               \
    F(M, STR, window, REQUIRED, 1, 8, NULL, "1h, 24h or 30d, until now")                  \
    F(M, I64, total,  REQUIRED, 0, 9e15, NULL, "what was counted")                        \
    F(M, F64, good,   REQUIRED, 0, 1, NULL, "share of it that was good; 1 if there was nothing") \
    F(M, F64, burn,   REQUIRED, 0, 1e9, NULL, "1: the error budget is used up just as it comes")
REC_DECLARE(status_window, STATUS_WINDOW);

#define STATUS_OBJECTIVE(F, M)                                                            \
    F(M, STR,  name,        REQUIRED, 1, 32, NULL, "of the objective")                    \
    F(M, STR,  doc,         REQUIRED, 1, 128, NULL, "what is good")                       \
    F(M, F64,  target,      REQUIRED, 0, 1, NULL, "share that is to be good")             \
    F(M, BOOL, met,         REQUIRED, 0, 1, NULL, "over 30 days")                         \
    F(M, F64,  budget_left, REQUIRED, -1e9, 1, NULL, "share of the 30 days' error budget that is left; negative: overdrawn") \
    F(M, RECS, windows,     REQUIRED, 0, 8, &status_window_rec, "")
REC_DECLARE(status_objective, STATUS_OBJECTIVE);

#define STATUS_INCIDENT(F, M)                                                             \
    F(M, STR, component, REQUIRED, 1, 32, NULL, "what was not ready")                     \
    F(M, I64, began_at,  REQUIRED, 0, 9e12, NULL, "s since 1970")                         \
    F(M, I64, ended_at,  OPTIONAL, 0, 9e12, NULL, "s since 1970; absent: it goes on")
REC_DECLARE(status_incident, STATUS_INCIDENT);

#define STATUS_REPLY(F, M)                                                                \
    F(M, STR,  state,      REQUIRED, 1, 16, NULL, "operational, degraded, outage, or unknown: nothing was seen lately") \
    F(M, I64,  updated_at, REQUIRED, 0, 9e12, NULL, "of the last look, s since 1970; 0: there was none") \
    F(M, RECS, components, REQUIRED, 0, 32, &status_component_rec, "the programs")        \
    F(M, RECS, objectives, REQUIRED, 0, 8, &status_objective_rec, "what is promised, and how it is kept") \
    F(M, RECS, incidents,  REQUIRED, 0, 50, &status_incident_rec, "of 90 days, the latest first")
// clang-format on
