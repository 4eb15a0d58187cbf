// The command line against a whole Omni: what it prints, and how it ends.
#include <stdio.h>
#include <stdlib.h>

#include "tools.h"

static struct omni omni;
static const char *out;

// Run `omni ARGUMENTS` for the data folder; its standard output is in `out`. Returns the
// exit status.
static int
run(const char *arguments)
{
    return omni_run(&omni, arguments, &out);
}

// Run it with --json and read a text field of the answer.
static const char *
run_json(const char *arguments, const char *field)
{
    static char text[256];
    char command[900];
    snprintf(command, sizeof(command), "%s --json", arguments);
    cr_assert_eq(run(command), EXIT_DONE, "%s: %s", command, out);
    json_t *answer = json_loads(out, 0, NULL);
    cr_assert(answer, "%s: no JSON: %s", command, out);
    const char *value = json_string_value(json_object_get(answer, field));
    snprintf(text, sizeof(text), "%s", value ? value : "");
    json_decref(answer);
    return text;
}

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    omni_close(&omni);
}

TestSuite(cli, .init = begin, .fini = end, .timeout = 120);

Test(cli, a_file_is_uploaded_trained_on_and_deleted)
{
    char command[256], file[64];
    const char *id = run_json(
        "files upload " OMNI_SOURCE_DIR "/examples/airline-passengers.csv", "id");
    snprintf(file, sizeof(file), "%s", id);
    cr_assert_eq(strncmp(file, "file_", 5), 0);
    snprintf(command, sizeof(command), "train %s --target passengers --name sales --wait",
             file);
    cr_assert_eq(run(command), EXIT_DONE, "%s", out);
    cr_assert(strstr(out, "complete") && strstr(out, "result.model_id"), "%s", out);
    cr_assert_eq(run("models list"), EXIT_DONE);
    cr_assert(strstr(out, "sales"), "%s", out);
    cr_assert_eq(run("tasks list --status complete"), EXIT_DONE);
    cr_assert(strstr(out, "train"), "%s", out);
    snprintf(command, sizeof(command), "files delete %s", file);
    cr_assert_eq(run(command), EXIT_DONE);
    cr_assert_eq(run("files list"), EXIT_DONE);
    cr_assert(strstr(out, "there are none"), "%s", out);
    omni_stop(&omni);
}

Test(cli, a_series_is_forecast_from_words_and_from_a_file)
{
    cr_assert_eq(run("predict seasonal-naive --series 1,2,3,1,2,3 --period 3 --steps 2"),
                 EXIT_DONE);
    cr_assert(strstr(out, "FORECAST") && strstr(out, "seasonal-naive"), "%s", out);
    cr_assert_eq(run("predict seasonal-naive --column passengers --file " OMNI_SOURCE_DIR
                     "/examples/airline-passengers.csv"),
                 EXIT_DONE);
    cr_assert(strstr(out, "\n  12 "), "%s", out);
    cr_assert_eq(run("predict seasonal-naive --column none --file " OMNI_SOURCE_DIR
                     "/examples/airline-passengers.csv"),
                 EXIT_USAGE);
    omni_stop(&omni);
}

Test(cli, keys_schedules_usage_and_audit_have_their_commands)
{
    char command[256];
    snprintf(command, sizeof(command), "keys revoke %s",
             run_json("keys create laptop --scopes predict --days 1", "id"));
    cr_assert_eq(run(command), EXIT_DONE);
    cr_assert_eq(run("keys list"), EXIT_DONE);
    cr_assert(strstr(out, "laptop"), "%s", out);
    snprintf(command, sizeof(command), "schedules delete %s",
             run_json("schedules create '0 4 * * *' nightly report '{\"a\":1}'", "id"));
    cr_assert_eq(run("schedules list"), EXIT_DONE);
    cr_assert(strstr(out, "0 4 * * *"), "%s", out);
    cr_assert_eq(run(command), EXIT_DONE);
    cr_assert_eq(run("usage --from 2026-01-01"), EXIT_DONE);
    cr_assert_eq(run("audit list"), EXIT_DONE);
    cr_assert(strstr(out, "keys.create"), "%s", out);
    cr_assert_eq(run("audit verify"), EXIT_DONE);
    cr_assert(strstr(out, "yes"), "%s", out);
    omni_stop(&omni);
}

Test(cli, a_job_is_submitted_waited_for_and_cancelled)
{
    char command[256], task[64];
    const char *id = run_json("submit reports build '{\"a\":1}'", "task_id");
    snprintf(task, sizeof(task), "%s", id);
    snprintf(command, sizeof(command), "tasks wait %s --timeout 1", task);
    cr_assert_eq(run(command), EXIT_REFUSED, "it waited for a worker: %s", out);
    snprintf(command, sizeof(command), "tasks cancel %s", task);
    cr_assert_eq(run(command), EXIT_DONE);
    snprintf(command, sizeof(command), "tasks wait %s --timeout 20", task);
    cr_assert_eq(run(command), EXIT_REFUSED, "a cancelled task did not complete");
    omni_stop(&omni);
}

Test(cli, batches_workflows_and_keys_have_their_commands)
{
    char command[512], parent[64], held[64], first[64];
    cr_assert_eq(
        run("submit reports build --delay 3600 --expires 4000000000000 --priority 2"
            " --attempts 5 --soft 60 --hard 90 --retain 3600"),
        EXIT_DONE, "%s", out);
    cr_assert(strstr(out, "scheduled"), "%s", out);
    cr_assert_eq(run("submit reports build --due 3999999999500"), EXIT_DONE, "%s", out);
    cr_assert(strstr(out, "scheduled"), "%s", out);
    cr_assert_eq(run("submit reports build --priority 10"), EXIT_USAGE);
    snprintf(parent, sizeof(parent), "%s", run_json("submit reports build", "task_id"));
    snprintf(command, sizeof(command), "submit reports build --after %s,%s", parent,
             parent);
    snprintf(first, sizeof(first), "%s", run_json(command, "task_id"));
    snprintf(command, sizeof(command), "tasks cancel %s", parent);
    cr_assert_eq(run(command), EXIT_DONE);
    snprintf(command, sizeof(command), "tasks wait %s --timeout 20", first);
    cr_assert_eq(run(command), EXIT_REFUSED);
    snprintf(command, sizeof(command), "tasks get %s", first);
    cr_expect_str_eq(run_json(command, "status"), "cancelled");

    static const char unique[] = "submit reports build --unique nightly --unique-for 60";
    snprintf(held, sizeof(held), "%s", run_json(unique, "task_id"));
    cr_expect_str_eq(run_json(unique, "task_id"), held);
    static const char once[] = "submit reports build --idempotency-key order-17";
    snprintf(held, sizeof(held), "%s", run_json(once, "task_id"));
    cr_expect_str_eq(run_json(once, "task_id"), held);
    static const char late[] = "submit reports build --idempotency-key late --delay 5";
    snprintf(held, sizeof(held), "%s", run_json(late, "task_id"));
    cr_expect_str_eq(run_json(late, "task_id"), held);
    snprintf(command, sizeof(command), "%s --delay 5", once);
    cr_expect_eq(run(command), EXIT_REFUSED, "another job under the key");

    snprintf(command, sizeof(command), "%s/jobs.jsonl", omni.folder);
    FILE *file = fopen(command, "w");
    cr_assert(file);
    fputs("{\"queue\":\"reports\",\"kind\":\"build\"}\n\n"
          "{\"queue\":\"omni.x\",\"kind\":\"build\"}\n",
          file);
    fclose(file);
    snprintf(command, sizeof(command), "submit --batch %s/jobs.jsonl", omni.folder);
    cr_expect_eq(run(command), EXIT_REFUSED);
    cr_expect(strncmp(out, "task_", 5) == 0, "%s", out);
    snprintf(command, sizeof(command), "submit --batch %s/jobs.jsonl --atomic",
             omni.folder);
    cr_expect_eq(run(command), EXIT_REFUSED);
    cr_expect_str_empty(out);
    cr_expect_eq(run("submit --batch /nothing"), EXIT_USAGE);
    cr_expect_eq(run("submit"), EXIT_USAGE);

    snprintf(command, sizeof(command), "%s/chain.json", omni.folder);
    file = fopen(command, "w");
    cr_assert(file);
    fputs("{\"chain\":[{\"queue\":\"reports\",\"kind\":\"a\"},"
          "{\"queue\":\"reports\",\"kind\":\"b\"}]}",
          file);
    fclose(file);
    snprintf(command, sizeof(command), "workflow %s/chain.json", omni.folder);
    cr_expect_eq(run(command), EXIT_DONE);
    cr_expect(strstr(out, "NAME") && strstr(out, "task_"), "%s", out);
    omni_stop(&omni);
}

Test(cli, a_worker_streams_to_who_watches_and_dead_letters_are_retried)
{
    char command[512], id[64];
    struct program worker = { 0 };
    omni_start_worker(&omni, &worker, "worker", "echo");
    snprintf(id, sizeof(id), "%s", run_json("submit echo stream", "task_id"));
    snprintf(command, sizeof(command), "tasks watch %s", id);
    cr_assert_eq(run(command), EXIT_DONE, "%s", out);
    cr_assert_str_eq(out, "{\"loss\":0.5}\na line\n(4 bytes in base64)\n");
    cr_assert_eq(run("workers"), EXIT_DONE);
    cr_assert(strstr(out, "echo") && strstr(out, "tenant"), "%s", out);
    cr_assert_eq(run("workers --all"), EXIT_DONE);
    cr_assert(strstr(out, "identity"), "%s", out);

    cr_assert_eq(run("submit echo fail --wait 2>&1"), EXIT_REFUSED);
    cr_assert_eq(run("tasks list --status failed --kind fail --code invalid_request"),
                 EXIT_DONE);
    cr_assert(strstr(out, "LOST") && strstr(out, "fail"), "%s", out);
    cr_assert_eq(run("tasks retry"), EXIT_USAGE);
    cr_assert_eq(run("tasks retry --kind fail"), EXIT_DONE);
    cr_assert_str_eq(out, "1 tasks are ready again\n");
    cr_assert_eq(run("workers drain echo"), EXIT_DONE);
    cr_assert_eq(program_wait(&worker, 5000), 0, "%s", worker.log);
    cr_assert_eq(run("workers drain echo 2>&1"), EXIT_REFUSED);
    omni_stop(&omni);
}

Test(cli, the_exit_status_says_what_kind_of_failure_it_was)
{
    cr_expect_eq(run("tasks get task_nonsense"), EXIT_REFUSED);
    cr_expect_eq(run("tasks list --key omni_live_wrong"), EXIT_REFUSED);
    cr_expect_eq(run("tasks list --url http://127.0.0.1:1 --key x"), EXIT_UNREACHABLE);
    cr_expect_eq(run("submit a b '{'"), EXIT_USAGE);
    cr_expect_eq(run("train nothing.csv --target x"), EXIT_USAGE);
    cr_expect_eq(run("train nothing.csv"), EXIT_USAGE);
    cr_expect_eq(run("predict seasonal-naive"), EXIT_USAGE);
    cr_expect_eq(run("predict seasonal-naive --series 1,x"), EXIT_USAGE);
    omni_stop(&omni);
    cr_expect_eq(run("tasks list"), EXIT_USAGE, "nothing runs on the folder any more");
}

Test(cli, the_demo_shows_all_of_it_and_leaves_nothing_behind)
{
    cr_assert_eq(run("demo"), EXIT_DONE, "%s", out);
    static const char *const words[] = { "file_", "model_",  "MASE",   "custom_model",
                                         "chain", "1960-12", "Stopped" };
    for (size_t i = 0; i < OM_COUNT(words); i++)
        cr_expect(strstr(out, words[i]), "no %s in: %s", words[i], out);
    omni_stop(&omni);
}
