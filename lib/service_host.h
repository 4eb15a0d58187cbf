// service_host.h - what runs a service: its loop (service.c), and each piece of its work
// (service_work.c).
#pragma once
#include "service.h"

struct service_host {
    const struct om_service *service;
    const struct om_route *routes;
    struct om_service_conf *conf;
    struct om_link_conf link; // of clients: the control thread's and each slot's
    struct om_client *client; // the control thread's
    void *self;               // the service's own
    struct om_worker *worker;
    int signal_fd;
    int64_t purge_ms; // when answers that are over are forgotten next
};

// Handle a call, a job or a run of events; `context` is the host.
void service_handle(void *context, struct om_job *job);

// The same in the control thread, if it can be answered at once. False: it cannot.
bool service_handle_now(void *context, struct om_job *job);
