// http_out.h - the sending half of a connection: responses as they are, from a source, or
// written piece by piece (a stream). http_conn.c is its only caller.
#pragma once
#include "http_conn.h"

// Is there anything to send now?
static inline bool
om_http_out_waits(const struct om_http_conn *conn)
{
    return conn->out_sent < conn->out.size;
}

// Append bytes as they are.
void om_http_out_put(struct om_http_conn *conn, struct om_str bytes);

// Append a response and take its source. If there is no memory for it nothing is sent,
// and the connection will be closed.
void om_http_out_response(struct om_http_conn *conn,
                          const struct om_http_response *response, bool keep_alive);

// Send nothing more of what waits; free it, and close the source.
void om_http_out_drop(struct om_http_conn *conn);

// Has the stream room that its writer was not told of?
bool om_http_out_has_room(const struct om_http_conn *conn);

// ---- of http_conn.c, for http_out.c

// Tell the owner, once, that the request ends without its answer.
void om_http_conn_tell_gone(struct om_http_conn *conn);

// Send what is in `out`, then close.
void om_http_conn_close(struct om_http_conn *conn, bool linger);

// The request of a stream needs no strings any more: free what holds them.
void om_http_conn_shed(struct om_http_conn *conn);
