// submit.c - a client of the broker: it submits a job and says its id.
// usage: submit ENDPOINT TENANT QUEUE KIND PAYLOAD
#include <stdio.h>

#include "client.h"
#include "id.h"

int
main(int argc, char **argv)
{
    const char *why = "usage: submit ENDPOINT TENANT QUEUE KIND PAYLOAD";
    struct om_link_conf conf = { .endpoint = argv[1],
                                 .node = "submit",
                                 .role = ROLE_INGEST };
    struct om_client *client;
    struct om_uuid tenant;
    if (argc != 6 || om_typeid_decode(OM_ID_TENANT, om_str(argv[2]), &tenant) != OM_OK ||
        om_client_create(&conf, &client, &why) != OM_OK) {
        fprintf(stderr, "submit: %s\n", why);
        return 1;
    }
    char task[OM_TYPEID_MAX]; // made here: sent again, it is the same job
    om_id_text(OM_ID_TASK, om_uuid_shard(&tenant), task);
    struct wire_msg job = { 0 };
    WIRE_SET(&job, task, om_str(task));
    WIRE_SET(&job, tenant, om_str(argv[2]));
    WIRE_SET(&job, queue, om_str(argv[3]));
    WIRE_SET(&job, kind, om_str(argv[4]));
    struct om_str payload = om_str(argv[5]);
    struct om_answer answer =
        om_client_request(client, WIRE_SUBMIT, &job, payload, 10000);
    printf("%s: %s\n", task, om_rc_info(answer.rc)->code);
    om_client_destroy(&client);
    return answer.rc != OM_OK;
}
