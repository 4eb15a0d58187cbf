#include <stdio.h>

#include "fake_registry.h"
#include "id.h"

static void
send_answer(struct fake_registry *self, enum om_rc rc, struct om_buf *body)
{
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, self->broker.msg.id);
    if (rc != OM_OK)
        WIRE_SET(&msg, code, om_str(om_rc_info(rc)->code));
    wire_encode(rc == OM_OK ? WIRE_REPLY : WIRE_ERROR, &msg, &header);
    zmq_send(self->broker.router, self->broker.peer, self->broker.peer_size, ZMQ_SNDMORE);
    zmq_send(self->broker.router, header.data, header.size, ZMQ_SNDMORE);
    zmq_send(self->broker.router, body->data, body->size, 0);
    om_buf_finish(body);
    om_buf_finish(&header);
}

static void
answer(struct fake_registry *self, const struct rec *type, const void *reply)
{
    struct om_buf body = { 0 };
    rec_encode(type, reply, &body);
    send_answer(self, OM_OK, &body);
}

static void
refuse(struct fake_registry *self, enum om_rc rc)
{
    struct om_buf none = { 0 };
    send_answer(self, rc, &none);
}

static void
on_file_get(struct fake_registry *self)
{
    struct file_get_request request;
    struct file_get_reply reply = { 0 };
    self->file_gets++;
    if (rec_decode(&file_get_request_rec, self->broker.body, &request, NULL) != OM_OK ||
        !om_str_eq(request.id, om_str(self->file_id))) {
        refuse(self, OM_ENOTFOUND);
        return;
    }
    REC_SET(&reply, file_get_reply, id, om_str(self->file_id));
    REC_SET(&reply, file_get_reply, object, OM_LIT("file"));
    REC_SET(&reply, file_get_reply, purpose, OM_LIT("dataset"));
    REC_SET(&reply, file_get_reply, filename, OM_LIT("a.csv"));
    REC_SET(&reply, file_get_reply, bytes, 1);
    REC_SET(&reply, file_get_reply, sha256, om_str(self->file_sha256));
    REC_SET(&reply, file_get_reply, created_at, 1);
    REC_SET(&reply, file_get_reply, blob, om_str(self->file_blob));
    answer(self, &file_get_reply_rec, &reply);
}

static void
answer_model(struct fake_registry *self, struct om_str metrics)
{
    struct model_get_reply reply = { 0 };
    REC_SET(&reply, model_get_reply, id, om_str(self->model_id));
    REC_SET(&reply, model_get_reply, object, OM_LIT("model"));
    REC_SET(&reply, model_get_reply, name, OM_LIT("m"));
    REC_SET(&reply, model_get_reply, version, 3);
    REC_SET(&reply, model_get_reply, model_type, om_str(self->model_type));
    REC_SET(&reply, model_get_reply, task_id, om_str(self->task_id));
    REC_SET(&reply, model_get_reply, metrics, metrics);
    REC_SET(&reply, model_get_reply, bytes, self->model_bytes);
    REC_SET(&reply, model_get_reply, sha256, om_str(self->model_sha256));
    REC_SET(&reply, model_get_reply, created_at, 1);
    REC_SET(&reply, model_get_reply, blob, om_str(self->model_blob));
    answer(self, &model_get_reply_rec, &reply);
}

static void
on_model_get(struct fake_registry *self)
{
    struct model_get_request request;
    self->model_gets++;
    if (rec_decode(&model_get_request_rec, self->broker.body, &request, NULL) == OM_OK &&
        om_str_eq(request.id, om_str(self->model_id)))
        answer_model(self, (struct om_str){ "\x80", 1 });
    else
        refuse(self, OM_ENOTFOUND);
}

static void
keep(char *out, size_t size, struct om_str text)
{
    snprintf(out, size, "%.*s", (int)text.size, text.data);
}

static void
on_model_create(struct fake_registry *self)
{
    struct model_create_request request;
    self->model_creates++;
    if (self->outages > 0) {
        self->outages--;
        refuse(self, OM_EUNAVAILABLE);
        return;
    }
    if (rec_decode(&model_create_request_rec, self->broker.body, &request, NULL) !=
        OM_OK) {
        refuse(self, OM_ENOTFOUND);
        return;
    }
    om_id_text(OM_ID_MODEL, 0, self->model_id);
    keep(self->model_blob, sizeof(self->model_blob), request.blob);
    keep(self->model_sha256, sizeof(self->model_sha256), request.sha256);
    keep(self->model_type, sizeof(self->model_type), request.model_type);
    keep(self->task_id, sizeof(self->task_id), request.task_id);
    self->model_bytes = request.bytes;
    answer_model(self, request.metrics);
}

static void *
run(void *argument)
{
    struct fake_registry *self = argument;
    while (!self->stop) {
        if (!broker_recv(&self->broker, 10))
            continue;
        if (self->broker.msg.type == WIRE_HELLO)
            broker_welcome(&self->broker);
        else if (self->broker.msg.type != WIRE_CALL)
            continue;
        else if (om_str_eq(self->broker.msg.kind, OM_LIT("file_get")))
            on_file_get(self);
        else if (om_str_eq(self->broker.msg.kind, OM_LIT("model_get")))
            on_model_get(self);
        else
            on_model_create(self);
    }
    return NULL;
}

void
registry_start(struct fake_registry *self)
{
    memset(self, 0, sizeof(*self));
    broker_open(&self->broker);
    cr_assert_eq(pthread_create(&self->thread, NULL, run, self), 0);
}

void
registry_stop(struct fake_registry *self)
{
    self->stop = true;
    pthread_join(self->thread, NULL);
    broker_close(&self->broker);
}

struct om_client *
registry_client(struct fake_registry *self)
{
    const struct om_link_conf conf = { .endpoint = self->broker.endpoint,
                                       .node = "test",
                                       .role = ROLE_INFERENCE };
    struct om_client *client;
    const char *why;
    cr_assert_eq(om_client_create(&conf, &client, &why), OM_OK);
    return client;
}
