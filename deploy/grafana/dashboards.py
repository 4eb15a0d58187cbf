#!/usr/bin/env python3
"""Writes dashboards/*.json from the table below. With --check nothing is written: the files
must be what the table says, and every expression must be one to promtool."""
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROUTES = 'route!~"/healthz|/readyz|/metrics"'


def quantiles(metric, by, match=""):
    return [(f"histogram_quantile({q}, sum by (le{by}) "
             f"(rate({metric}_bucket{{{match}}}[$__rate_interval])))", name)
            for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


def rate(metric, by, match=""):
    return f"sum by ({by}) (rate({metric}{{{match}}}[$__rate_interval]))"


# Of each dashboard: panels of (title, unit, [(expression, legend), ...]).
DASHBOARDS = {
    "overview": ("Omni: overview", [
        ("Requests a second", "reqps", [("omni:http_requests:rate1m", "requests")]),
        ("Failed requests", "percentunit", [("omni:http_errors:ratio_rate5m", "5 min"),
                                            ("omni:http_errors:ratio_rate1h", "1 h")]),
        ("Error budget used in 30 days (99.9 %)", "percentunit", [
            (f'sum(increase(omni_http_requests_total{{code="5xx",{ROUTES}}}[30d])) / '
             f'sum(increase(omni_http_requests_total{{{ROUTES}}}[30d])) / 0.001', "used")]),
        ("Latency", "s", quantiles("omni_http_request_duration_seconds", "", ROUTES)),
        ("Programs that answer", "short", [('sum by (process) (up{job="omni"})', "{{process}}"),
                                           ("sum by (process) (omni_ready)", "{{process}} ready")]),
        ("Alerts", "short", [('sum by (alertname, severity) (ALERTS{alertstate="firing",severity!="none"})',
                              "{{alertname}} ({{severity}})")]),
        ("Processor", "short", [(rate("process_cpu_seconds_total", "process", 'job="omni"'), "{{process}}")]),
        ("Memory", "bytes", [('process_resident_memory_bytes{job="omni"}', "{{process}}")]),
        ("Descriptors", "percentunit", [('process_open_fds{job="omni"} / process_max_fds{job="omni"}', "{{process}}")]),
        ("Calls and jobs that failed", "ops", [(rate("omni_operations_total", "process, operation", 'outcome="failed"'), "{{process}} {{operation}}")]),
        ("Slowest statements, p95", "s", [
            ("topk(10, histogram_quantile(0.95, sum by (le, process, statement) "
             "(rate(omni_db_statement_duration_seconds_bucket[$__rate_interval]))))", "{{process}} {{statement}}")]),
        ("Database connections in use", "percentunit", [("rate(omni_db_pool_busy_seconds_total[$__rate_interval]) / omni_db_pool_max_connections", "{{process}}")]),
        ("Transactions", "ops", [(rate("omni_db_transactions_total", "process, outcome"), "{{process}} {{outcome}}")]),
        ("Error lines logged", "ops", [(rate("omni_log_lines_total", "process", 'level="error"'), "{{process}}")]),
        ("Spans not exported", "ops", [(rate("omni_otel_spans_dropped_total", "process"), "{{process}} dropped"),
                                       (rate("omni_otel_spans_lost_total", "process"), "{{process}} lost")]),
    ]),
    "edge": ("Omni: edge", [
        ("Requests by route", "reqps", [(rate("omni_http_requests_total", "method, route", ROUTES), "{{method}} {{route}}")]),
        ("Requests by status", "reqps", [(rate("omni_http_requests_total", "code", ROUTES), "{{code}}")]),
        ("5xx by route", "reqps", [(rate("omni_http_requests_total", "method, route", 'code="5xx"'), "{{method}} {{route}}")]),
        ("Errors by code", "reqps", [(rate("omni_http_errors_total", "error"), "{{error}}")]),
        ("Latency", "s", quantiles("omni_http_request_duration_seconds", "", ROUTES)),
        ("Latency by route, p95", "s", [
            ("histogram_quantile(0.95, sum by (le, method, route) "
             f"(rate(omni_http_request_duration_seconds_bucket{{{ROUTES}}}[$__rate_interval])))", "{{method}} {{route}}")]),
        ("Connections", "short", [("sum(omni_http_connections)", "open"), ("sum(omni_http_inflight_requests)", "requests in work")]),
        ("Without a valid key", "reqps", [("sum(rate(omni_http_unauthorized_total[$__rate_interval]))", "401")]),
        ("Refused for a limit or quota", "reqps", [("sum(rate(omni_limits_refused_total[$__rate_interval]))", "refused")]),
        ("Limits counted", "short", [("omni_limits_counted", "{{instance}}")]),
        ("Cache hits", "percentunit", [('sum(rate(omni_cache_requests_total{result="hit"}[$__rate_interval])) / '
                                        'sum(rate(omni_cache_requests_total{result=~"hit|miss"}[$__rate_interval]))', "hits")]),
        ("Cache", "bytes", [("omni_cache_bytes", "{{instance}}")]),
        ("Cached answers, and forgotten", "short", [("omni_cache_answers", "kept"), (rate("omni_cache_evictions_total", "instance"), "forgotten a second")]),
        ("Shared cache", "short", [("omni_cache_up", "{{instance}} connected"), (rate("omni_cache_unanswered_total", "instance"), "{{instance}} decided alone")]),
        ("Since identity told of keys", "s", [("omni_identity_answer_age_seconds", "{{instance}}")]),
        ("Session with the broker", "short", [("omni_broker_up", "{{instance}}")]),
        ("Failed requests kept", "reqps", [(rate("omni_request_log_total", "result"), "{{result}}")]),
        ("Certificate ends in", "s", [("omni_tls_certificate_expiry_timestamp_seconds - time()", "{{instance}}")]),
    ]),
    "broker": ("Omni: broker", [
        ("Ready jobs", "short", [('omni_queue_ready_messages{tenant=""}', "{{queue}}")]),
        ("Age of the oldest ready job", "s", [('omni_queue_oldest_message_age_seconds{tenant=""}', "{{queue}}")]),
        ("Jobs at workers", "short", [('omni_queue_unacked_messages{tenant=""}', "{{queue}}")]),
        ("Jobs that wait", "short", [("sum(omni_queue_scheduled_messages)", "for their time"), ("sum(omni_queue_retrying_messages)", "for another attempt"),
                                     ("sum(omni_queue_blocked_messages)", "for other jobs")]),
        ("In and out", "ops", [("sum(rate(omni_messages_published_total[$__rate_interval]))", "submitted"), ("sum(rate(omni_messages_acked_total[$__rate_interval]))", "succeeded"),
                               ("sum(rate(omni_messages_delivered_total[$__rate_interval]))", "attempts")]),
        ("What goes wrong", "ops", [("sum(rate(omni_messages_dead_lettered_total[$__rate_interval]))", "dead letters"), ("sum(rate(omni_messages_retried_total[$__rate_interval]))", "tried again"),
                                    ("sum(rate(omni_messages_redelivered_total[$__rate_interval]))", "lost by queue"), ("sum(rate(omni_leases_lost_total[$__rate_interval]))", "leases lost"),
                                    ("sum(rate(omni_leases_stale_total[$__rate_interval]))", "stale results"), ("sum(rate(omni_messages_malformed_total[$__rate_interval]))", "malformed")]),
        ("Workers", "short", [("omni_workers", "{{state}}"), ('sum(omni_queue_workers{tenant=""})', "takes, all queues")]),
        ("Longest silence of a worker", "s", [("omni_worker_silence_seconds", "silence")]),
        ("Room at workers", "short", [('omni_queue_credit_messages{tenant=""}', "{{queue}}")]),
        ("Tasks", "short", [("omni_tasks_open", "open"), ("omni_tasks_away", "on disk alone"), ("omni_leases", "leased"), ("omni_calls_waiting", "calls")]),
        ("Tasks that ended", "ops", [(rate("omni_tasks_ended_total", "outcome"), "{{outcome}}"), ("rate(omni_tasks_recalled_total[$__rate_interval])", "read back")]),
        ("Sessions", "short", [("omni_sessions", "sessions")]),
        ("Writing through to the disk", "s", quantiles("omni_journal_fsync_duration_seconds", "")),
        ("Commits", "s", quantiles("omni_commit_duration_seconds", "")),
        ("Commits a second", "ops", [(rate("omni_commits_total", "outcome"), "{{outcome}}"), ("rate(omni_commit_changes_total[$__rate_interval])", "changes")]),
        ("Journal", "Bps", [("rate(omni_journal_written_bytes_total[$__rate_interval])", "written")]),
        ("Tables behind the journal", "s", [("omni_applier_lag_seconds", "age"), ("omni_applier_lag_records", "records")]),
        ("Checkpoints", "s", quantiles("omni_checkpoint_duration_seconds", "")),
        ("Free disk", "percentunit", [("omni_disk_free_ratio", "free")]),
        ("Events not applied", "short", [("omni_events_behind", "{{queue}}"), ("rate(omni_events_total[$__rate_interval])", "appended a second")]),
        ("Events stand still", "s", [("omni_events_stuck_seconds", "{{queue}}")]),
        ("Events set aside", "ops", [(rate("omni_events_dead_total", "queue"), "{{queue}}")]),
        ("The broker's thread answers", "short", [("omni_broker_responsive", "answers")]),
    ]),
    "inference": ("Omni: inference", [
        ("Predictions", "ops", [(rate("omni_inference_jobs_total", "model, outcome"), "{{model}} {{outcome}}")]),
        ("Predictions that fail", "percentunit", [('sum(rate(omni_inference_jobs_total{outcome="failed"}[$__rate_interval])) / sum(rate(omni_inference_jobs_total[$__rate_interval]))', "failed")]),
        ("Time of a prediction", "s", [(e, n + " {{model}}") for e, n in quantiles("omni_inference_duration_seconds", ", model")]),
        ("Trainings", "ops", [(rate("omni_training_jobs_total", "model, outcome"), "{{model}} {{outcome}}")]),
        ("Time of a training", "s", [(e, n + " {{model}}") for e, n in quantiles("omni_training_duration_seconds", ", model")]),
        ("Models in memory", "percentunit", [('sum(rate(omni_model_cache_requests_total{result="hit"}[$__rate_interval])) / sum(rate(omni_model_cache_requests_total[$__rate_interval]))', "hits")]),
        ("Model loads", "ops", [(rate("omni_model_loads_total", "outcome"), "{{outcome}}")]),
        ("Time of a load", "s", quantiles("omni_model_load_duration_seconds", "")),
        ("Slots in use", "short", [('omni_worker_busy{process=~"inference|training"}', "{{process}} busy"), ('omni_worker_slots{process=~"inference|training"}', "{{process}} slots")]),
        ("Calls and jobs, p95", "s", [("histogram_quantile(0.95, sum by (le, process, operation) (rate(omni_operation_duration_seconds_bucket[$__rate_interval])))", "{{process}} {{operation}}")]),
    ]),
    "tenants": ("Omni: tenants and revenue", [
        ("Requests, busiest tenants", "reqps", [("topk(20, sum by (tenant) (rate(omni_tenant_requests_total[$__rate_interval])))", "{{tenant}}")]),
        ("Usage by meter", "short", [("sum by (meter) (increase(omni_usage_units_total[$__range]))", "{{meter}}")]),
        ("Usage of tenants", "short", [("topk(20, sum by (tenant, meter) (increase(omni_tenant_usage_units_total[$__range])))", "{{tenant}} {{meter}}")]),
        ("Usage a call", "short", [("sum by (meter) (rate(omni_usage_units_total[$__rate_interval])) / on() group_left() sum(rate(omni_http_requests_total[$__rate_interval]))", "{{meter}}")]),
        ("Usage events", "ops", [(rate("omni_usage_events_total", "meter"), "{{meter}}"), ("rate(omni_usage_duplicates_total[$__rate_interval])", "repeats")]),
        ("Age of what was metered last", "s", [("omni_event_age_seconds", "{{process}}")]),
        ("Runs of events", "ops", [(rate("omni_event_runs_total", "process, outcome"), "{{process}} {{outcome}}"), (rate("omni_events_applied_total", "process"), "{{process}} events")]),
        ("Audit records", "ops", [("rate(omni_audit_records_total[$__rate_interval])", "added"), ("rate(omni_audit_verified_records_total[$__rate_interval])", "checked")]),
        ("Audit chains", "short", [("omni_audit_chain_intact", "intact")]),
        ("Since the audit logs were checked", "s", [("time() - omni_audit_verified_timestamp_seconds", "since")]),
    ]),
}


def panel(number, title, unit, queries):
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number + 1, "type": "timeseries", "title": title, "datasource": source,
        "gridPos": {"h": 8, "w": 8, "x": number % 3 * 8, "y": number // 3 * 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(65 + i), "expr": expr, "legendFormat": legend,
                     "exemplar": "_bucket" in expr, "datasource": source}
                    for i, (expr, legend) in enumerate(queries)],
    }


def dashboard(name):
    title, panels = DASHBOARDS[name]
    return {
        "uid": f"omni-{name}", "title": title, "tags": ["omni"], "schemaVersion": 39,
        "editable": True, "refresh": "10s", "time": {"from": "now-1h", "to": "now"},
        "panels": [panel(i, *row) for i, row in enumerate(panels)],
    }


def expressions():
    return [expr for _, panels in DASHBOARDS.values() for _, _, queries in panels
            for expr, _ in queries]


def check_expressions():
    rules = [{"record": f"check:expr{i}", "expr": expr.replace("$__rate_interval", "5m").replace("$__range", "1h")}
             for i, expr in enumerate(expressions())]
    text = json.dumps({"groups": [{"name": "dashboards", "rules": rules}]})
    return subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input=text, text=True).returncode == 0


def check_names():
    """Every metric is in docs/metrics.md, every one of those on some dashboard or in an alert."""
    root = HERE.parents[1]
    known = set(re.findall(r"^\| `(\w+)`", (root / "docs/metrics.md").read_text(), re.M))
    rules = "".join((root / "deploy/prometheus" / name).read_text() for name in ("alerts.yml", "recording.yml"))
    used = set(re.findall(r"\b(?<!:)(?:omni|process)_\w+\b", " ".join(expressions()) + re.sub(r"(?m)^ *(summary|runbook_url).*$", "", rules)))
    used = {re.sub(r"_bucket$", "", name) for name in used}
    unknown = used - known
    print("not in docs/metrics.md:", ", ".join(sorted(unknown)) or "none")
    return not unknown


def main():
    check = sys.argv[1:] == ["--check"]
    good = not check or (check_expressions() and check_names())
    for name in DASHBOARDS:
        path = HERE / "dashboards" / f"{name}.json"
        text = json.dumps(dashboard(name), indent=1) + "\n"
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"{path.name} is not what dashboards.py makes: run it")
            good = False
    return not good


if __name__ == "__main__":
    sys.exit(main())
