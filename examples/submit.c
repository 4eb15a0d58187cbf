// submit.c - a client in a few lines: it submits a job and says its id once it is on
// disk.
//
// usage: submit ENDPOINT TENANT QUEUE KIND [PAYLOAD], e.g. ipc:///run/omni/client
// tenant_… The endpoint is the broker's client socket, which services use; others go
// through HTTP.
#include <stdio.h>

#include "client.h"
#include "id.h"

static int
fail(const char *what, enum om_rc rc)
{
    fprintf(stderr, "submit: %s (%s)\n", what, om_rc_info(rc)->code);
    return 1;
}

int
main(int argc, char **argv)
{
    struct om_link_conf conf = { .node = "submit", .role = ROLE_INGEST };
    struct om_client *client;
    struct om_uuid tenant;
    const char *why;
    if (argc < 5 || om_typeid_decode(OM_ID_TENANT, om_str(argv[2]), &tenant) != OM_OK)
        return fail("usage: submit ENDPOINT TENANT QUEUE KIND [PAYLOAD]", OM_EINVAL);
    conf.endpoint = argv[1];
    enum om_rc rc = om_client_create(&conf, &client, &why);
    if (rc != OM_OK)
        return fail(why, rc);

    char task[OM_TYPEID_MAX]; // made here: sent again, it is the same job
    om_id_text(OM_ID_TASK, om_uuid_shard(&tenant), task);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(task));
    WIRE_SET(&msg, tenant, om_str(argv[2]));
    WIRE_SET(&msg, queue, om_str(argv[3]));
    WIRE_SET(&msg, kind, om_str(argv[4]));
    struct om_str payload = om_str(argc > 5 ? argv[5] : "");
    struct om_answer answer =
        om_client_request(client, WIRE_SUBMIT, &msg, payload, 10000);
    rc = answer.rc;
    om_client_destroy(&client);
    if (rc != OM_OK)
        return fail("the job was not taken", rc);
    printf("%s\n", task);
    return 0;
}
