// metric_list.h - every metric of the platform, once: what counts, shows, documents and
// checks them is made from these tables.
//
// A program shows the groups of its kind. Names follow Prometheus: base units, _total on
// counters. The values of a label are few and known, or bounded: a tenant's label is one
// of METRIC_TENANTS_MAX or "other" (metric_tenant.h), a statement's, operation's or
// route's is of a table.
#pragma once

// What a metric is, and how it is counted.
//  symbol   shown as     written by
#define METRIC_TYPE_LIST(X)                                                              \
    X(COUNT, "counter")   /* om_metric_add */                                            \
    X(MICROS, "counter")  /* om_metric_add, of millionths of the unit */                 \
    X(LEVEL, "gauge")     /* om_metric_add and its negative, by any thread */            \
    X(GAUGE, "gauge")     /* om_metric_set */                                            \
    X(TIMES, "histogram") /* om_metric_observe */

//  symbol      shown by
#define METRIC_GROUP_LIST(X)                                                             \
    X(PROCESS, "every program")                                                          \
    X(SERVICE, "every program but omni-broker and omni-ingest")                          \
    X(DATABASE, "the programs with a database of their own")                             \
    X(BROKER, "omni-broker")                                                             \
    X(EDGE, "omni-ingest")                                                               \
    X(INFERENCE, "omni-inference")                                                       \
    X(BILLING, "omni-billing")                                                           \
    X(COMPLIANCE, "omni-compliance")                                                     \
    X(SCHEDULER, "omni-scheduler")

// clang-format off
//    group    name                             type    unit      labels             help
#define METRICS_PROCESS(X)                                                                \
    X(PROCESS, omni_build_info,                 GAUGE,  "",       "service,version", "1; what runs is in the labels.") \
    X(PROCESS, omni_ready,                      GAUGE,  "",       "",                "Whether the program can do its work now, as its /readyz says.") \
    X(PROCESS, omni_log_lines_total,            COUNT,  "",       "level",           "Log lines written.") \
    X(PROCESS, omni_log_lines_dropped_total,    COUNT,  "",       "reason",          "Log lines suppressed, as their place logs too much, or lost, as nobody took them.") \
    X(PROCESS, omni_otel_spans_written_total,   COUNT,  "",       "",                "Spans that had a place in the queue of the exporter.") \
    X(PROCESS, omni_otel_spans_dropped_total,   COUNT,  "",       "",                "Spans that had none.") \
    X(PROCESS, omni_otel_spans_exported_total,  COUNT,  "",       "",                "Spans that a collector took.") \
    X(PROCESS, omni_otel_spans_lost_total,      COUNT,  "",       "",                "Spans that no collector took, or that it refused.") \
    X(PROCESS, omni_scrape_duration_seconds,    GAUGE,  "seconds", "",               "How long the last page of metrics took to write.") \
    X(PROCESS, process_cpu_seconds_total,       MICROS, "seconds", "",               "Processor time, user and system.") \
    X(PROCESS, process_resident_memory_bytes,   GAUGE,  "bytes",  "",                "Memory in use.") \
    X(PROCESS, process_virtual_memory_bytes,    GAUGE,  "bytes",  "",                "Addresses in use.") \
    X(PROCESS, process_open_fds,                GAUGE,  "",       "",                "Open descriptors.") \
    X(PROCESS, process_max_fds,                 GAUGE,  "",       "",                "Descriptors that may be open.") \
    X(PROCESS, process_start_time_seconds,      GAUGE,  "seconds", "",               "When it was started, since 1970.")

#define METRICS_SERVICE(X)                                                                \
    X(SERVICE, omni_operations_total,           COUNT,  "",       "operation,outcome", "Calls and jobs handled: ok, refused (the caller's fault) or failed.") \
    X(SERVICE, omni_operation_duration_seconds, TIMES,  "seconds", "operation",      "How long handling took.") \
    X(SERVICE, omni_worker_slots,               GAUGE,  "",       "",                "How many calls and jobs it can handle at a time.") \
    X(SERVICE, omni_worker_busy,                LEVEL,  "",       "",                "How many it handles now.") \
    X(SERVICE, omni_event_runs_total,           COUNT,  "",       "outcome",         "Runs of events of a subscription: applied or failed.") \
    X(SERVICE, omni_events_applied_total,       COUNT,  "",       "",                "Events in the runs that were applied.") \
    X(SERVICE, omni_event_age_seconds,          GAUGE,  "seconds", "",               "Age of the oldest event of the run that was applied last, then.")

#define METRICS_DATABASE(X)                                                               \
    X(DATABASE, omni_db_statement_duration_seconds, TIMES, "seconds", "statement",   "From the start of a statement to the last row that was read; commit too.") \
    X(DATABASE, omni_db_transactions_total,     COUNT,  "",       "outcome",         "Transactions: committed, rolled_back or failed.") \
    X(DATABASE, omni_db_pool_connections,       LEVEL,  "",       "state",           "Connections, in_use by a transaction or idle.") \
    X(DATABASE, omni_db_pool_max_connections,   LEVEL,  "",       "",                "Connections there may be; an SQLite file has one writer.") \
    X(DATABASE, omni_db_pool_busy_seconds_total, MICROS, "seconds", "",              "Time connections were in use.") \
    X(DATABASE, omni_db_pool_timeouts_total,    COUNT,  "",       "",                "Transactions that could not begin.")

#define METRICS_BROKER(X)                                                                 \
    X(BROKER, omni_queue_ready_messages,        GAUGE,  "",       "queue,tenant",    "Jobs that could start now. Without a tenant: all tenants of a queue of the platform.") \
    X(BROKER, omni_queue_scheduled_messages,    GAUGE,  "",       "queue,tenant",    "Jobs that wait for their time.") \
    X(BROKER, omni_queue_retrying_messages,     GAUGE,  "",       "queue,tenant",    "Jobs that wait for their next attempt.") \
    X(BROKER, omni_queue_blocked_messages,      GAUGE,  "",       "queue,tenant",    "Jobs that wait for other jobs.") \
    X(BROKER, omni_queue_unacked_messages,      GAUGE,  "",       "queue,tenant",    "Jobs at workers.") \
    X(BROKER, omni_queue_oldest_message_age_seconds, GAUGE, "seconds", "queue,tenant", "Age of the oldest job that could start.") \
    X(BROKER, omni_queue_workers,               GAUGE,  "",       "queue,tenant",    "Sessions of workers that take from it.") \
    X(BROKER, omni_queue_credit_messages,       GAUGE,  "",       "queue,tenant",    "Jobs the workers would take now.") \
    X(BROKER, omni_messages_published_total,    COUNT,  "",       "queue,tenant",    "Jobs submitted since the start of the broker.") \
    X(BROKER, omni_messages_acked_total,        COUNT,  "",       "queue,tenant",    "Jobs that succeeded.") \
    X(BROKER, omni_messages_dead_lettered_total, COUNT, "",       "queue,tenant",    "Jobs that failed for good.") \
    X(BROKER, omni_messages_redelivered_total,  COUNT,  "",       "queue,tenant",    "Attempts whose worker was lost, so that the job went to another.") \
    X(BROKER, omni_tasks_open,                  GAUGE,  "",       "",                "Tasks that have not ended.") \
    X(BROKER, omni_tasks_away,                  GAUGE,  "",       "",                "Open tasks that are on disk alone.") \
    X(BROKER, omni_tasks_recalled_total,        COUNT,  "",       "",                "Tasks read back into memory.") \
    X(BROKER, omni_tasks_ended_total,           COUNT,  "",       "outcome",         "Tasks that ended: succeeded, failed, cancelled or expired.") \
    X(BROKER, omni_leases,                      GAUGE,  "",       "",                "Leases that workers hold.") \
    X(BROKER, omni_leases_lost_total,           COUNT,  "",       "",                "Leases whose worker fell silent or lost them.") \
    X(BROKER, omni_leases_stale_total,          COUNT,  "",       "",                "Results refused because their lease was over.") \
    X(BROKER, omni_messages_delivered_total,    COUNT,  "",       "",                "Jobs given to workers, each attempt.") \
    X(BROKER, omni_messages_retried_total,      COUNT,  "",       "",                "Attempts that failed or were lost and are followed by another.") \
    X(BROKER, omni_workers,                     GAUGE,  "",       "state",           "Sessions that take work: busy, idle, draining, or silent for too long to get any.") \
    X(BROKER, omni_worker_silence_seconds,      GAUGE,  "seconds",      "",                "Since the worker last seen longest ago was seen.") \
    X(BROKER, omni_calls_waiting,               GAUGE,  "",       "",                "Calls that are not answered yet.") \
    X(BROKER, omni_sessions,                    GAUGE,  "",       "",                "Sessions of clients and workers.") \
    X(BROKER, omni_messages_malformed_total,    COUNT,  "",       "",                "Messages of a wrong shape, which were dropped.") \
    X(BROKER, omni_disk_free_ratio,             GAUGE,  "",       "",                "Free share of the disk with the journal; below 0.1 jobs are refused.") \
    X(BROKER, omni_commits_total,               COUNT,  "",       "outcome",         "Batches of changes committed, or failed.") \
    X(BROKER, omni_commit_changes_total,        COUNT,  "",       "",                "Changes in the batches that were committed.") \
    X(BROKER, omni_commit_duration_seconds,     TIMES,  "seconds", "",               "From a batch to its durable record, waiting for room too.") \
    X(BROKER, omni_journal_fsync_duration_seconds, TIMES, "seconds", "",             "Writing a record of the journal through to the disk.") \
    X(BROKER, omni_journal_written_bytes_total, COUNT,  "bytes",  "",                "Written to the journal.") \
    X(BROKER, omni_applier_lag_records,         GAUGE,  "",       "",                "Records of the journal that are not in the tables yet.") \
    X(BROKER, omni_applier_lag_seconds,         GAUGE,  "seconds", "",               "Age of the oldest of them.") \
    X(BROKER, omni_checkpoint_duration_seconds, TIMES,  "seconds", "",               "Checkpoints of the tables.") \
    X(BROKER, omni_broker_responsive,           GAUGE,  "",       "",                "Whether the thread of the broker answered this page within half a second.") \
    X(BROKER, omni_events_total,                COUNT,  "",       "",                "Events appended to the logs of subscribers.") \
    X(BROKER, omni_events_behind,               GAUGE,  "",       "queue",           "Events a subscriber has not applied, at most.") \
    X(BROKER, omni_events_stuck_seconds,        GAUGE,  "seconds", "queue",          "Since the slowest cursor of a subscriber that has events moved.") \
    X(BROKER, omni_events_dead_total,           COUNT,  "",       "queue",           "Events set aside because their subscriber failed on them.")

#define METRICS_EDGE(X)                                                                   \
    X(EDGE, omni_http_requests_total,           COUNT,  "",       "method,route,code", "Requests answered, by class of status.") \
    X(EDGE, omni_http_request_duration_seconds, TIMES,  "seconds", "method,route",   "From the head of a request to its answer, or to the beginning of a stream.") \
    X(EDGE, omni_http_errors_total,             COUNT,  "",       "error",           "Errors answered, by their code.") \
    X(EDGE, omni_http_unauthorized_total,       COUNT,  "",       "",                "Requests answered 401: no key, or one that is not valid.") \
    X(EDGE, omni_http_inflight_requests,        LEVEL,  "",       "",                "Requests that are not answered yet.") \
    X(EDGE, omni_http_connections,              GAUGE,  "",       "",                "Open connections of clients.") \
    X(EDGE, omni_limits_counted,                GAUGE,  "",       "",                "Limits that are counted at this edge.") \
    X(EDGE, omni_limits_refused_total,          COUNT,  "",       "",                "Requests refused for a limit or a quota.") \
    X(EDGE, omni_cache_up,                      GAUGE,  "",       "",                "Whether all threads are connected to the shared cache, if there is one.") \
    X(EDGE, omni_cache_unanswered_total,        COUNT,  "",       "",                "Decisions made without it.") \
    X(EDGE, omni_cache_requests_total,          COUNT,  "",       "method,route,result", "Requests answered of routes with a cache policy.") \
    X(EDGE, omni_cache_answers,                 GAUGE,  "",       "",                "Answers that are kept in memory.") \
    X(EDGE, omni_cache_bytes,                   GAUGE,  "bytes",  "",                "What they take of it.") \
    X(EDGE, omni_cache_evictions_total,         COUNT,  "",       "",                "Answers forgotten because memory was full.") \
    X(EDGE, omni_request_log_total,             COUNT,  "",       "result",          "Requests that failed, kept or dropped.") \
    X(EDGE, omni_failures_total,                COUNT,  "",       "result",          "Answers of 5xx to requests of a tenant, told for the groups of errors or dropped.") \
    X(EDGE, omni_broker_up,                     GAUGE,  "",       "",                "Whether all threads have a session with the broker.") \
    X(EDGE, omni_identity_answer_age_seconds,   GAUGE,  "seconds", "",               "Since identity told this edge what changed of keys; the slowest thread.") \
    X(EDGE, omni_tls_certificate_expiry_timestamp_seconds, GAUGE, "seconds", "",     "When the certificate that is served ends; only with TLS.") \
    X(EDGE, omni_tenant_requests_total,         COUNT,  "",       "tenant",          "Requests answered of a tenant; of the busiest, and all others.")

#define METRICS_INFERENCE(X)                                                              \
    X(INFERENCE, omni_inference_jobs_total,     COUNT,  "",       "model,outcome",   "Predictions: ok, refused (the caller's fault) or failed.") \
    X(INFERENCE, omni_inference_duration_seconds, TIMES, "seconds", "model",         "How long a prediction took, loading its model too.") \
    X(INFERENCE, omni_training_jobs_total,      COUNT,  "",       "model,outcome",   "Trainings: ok, refused (the caller's fault) or failed.") \
    X(INFERENCE, omni_training_duration_seconds, TIMES, "seconds", "model",          "How long a training took.") \
    X(INFERENCE, omni_model_cache_requests_total, COUNT, "",      "result",          "Trained models asked for: hit in memory, or miss.") \
    X(INFERENCE, omni_model_loads_total,        COUNT,  "",       "outcome",         "Models fetched and read: ok or failed.") \
    X(INFERENCE, omni_model_load_duration_seconds, TIMES, "seconds", "",             "How long that took.")

#define METRICS_BILLING(X)                                                                \
    X(BILLING, omni_usage_events_total,         COUNT,  "",       "meter",           "Usage events applied, once each.") \
    X(BILLING, omni_usage_units_total,          COUNT,  "",       "meter",           "Their quantity, in the meter's base unit.") \
    X(BILLING, omni_tenant_usage_units_total,   COUNT,  "",       "tenant,meter",    "The same of a tenant; of the busiest, and all others.") \
    X(BILLING, omni_usage_duplicates_total,     COUNT,  "",       "",                "Usage events that had been applied before, and were not again.")

#define METRICS_COMPLIANCE(X)                                                             \
    X(COMPLIANCE, omni_audit_records_total,     COUNT,  "",       "",                "Records added to the audit logs.") \
    X(COMPLIANCE, omni_audit_chain_intact,      GAUGE,  "",       "",                "Whether all audit logs looked at in the last round were as they were written.") \
    X(COMPLIANCE, omni_audit_verified_timestamp_seconds, GAUGE, "seconds", "",       "When the last round over all audit logs ended, since 1970.") \
    X(COMPLIANCE, omni_audit_verified_records_total, COUNT, "",   "",                "Records whose place in the chain was checked.")

#define METRICS_SCHEDULER(X)                                                              \
    X(SCHEDULER, omni_errors_total,             COUNT,  "",       "source",          "Errors counted, once each: attempts of jobs, and requests answered with a 5xx.") \
    X(SCHEDULER, omni_errors_ungrouped_total,   COUNT,  "",       "",                "Of those, counted as other, as their tenant has no room for a group.") \
    X(SCHEDULER, omni_errors_dropped_total,     COUNT,  "",       "reason",          "Events of errors that were not counted: malformed, or a repeat of one that was.") \
    X(SCHEDULER, omni_error_groups,             GAUGE,  "",       "status",          "Groups of errors that are open, resolved or ignored; looked at once a minute.") \
    X(SCHEDULER, omni_error_groups_opened_total, COUNT, "",       "owner,reason",    "Groups that are new, or regressed: came again after they were resolved. Of the platform, or of tenants' own queues.") \
    X(SCHEDULER, omni_error_groups_removed_total, COUNT, "",      "reason",          "Groups removed: expired, or evicted for a new one.")
// clang-format on

#define METRIC_LIST(X)                                                                   \
    METRICS_PROCESS(X)                                                                   \
    METRICS_SERVICE(X)                                                                   \
    METRICS_DATABASE(X)                                                                  \
    METRICS_BROKER(X)                                                                    \
    METRICS_EDGE(X)                                                                      \
    METRICS_INFERENCE(X)                                                                 \
    METRICS_BILLING(X)                                                                   \
    METRICS_COMPLIANCE(X)                                                                \
    METRICS_SCHEDULER(X)
