/* libstrophe (C): both log in by SCRAM-SHA-1, with stream management; it would fall back to PLAIN.
 *
 * Run by `tests/clients/run`. It speaks TLS only where the server offers it.
 * apt: libstrophe-dev gcc libc6-dev pkg-config
 * pkg-config: libstrophe
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <strophe.h>

#define BODY "你好，世界 😀 <&> ']]>"
#define EXTENSION "<x xmlns='urn:example:note'><time zone='东八区'>2015-06-18 14:25:36</time><msg>内容</msg></x>"

struct someone {
    char address[200];
    xmpp_conn_t *conn;
    xmpp_conn_event_t event;
    int roster, presence, message;
};

static xmpp_ctx_t *ctx;

static void hold(int fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "not so: %s\n", what);
        exit(1);
    }
}

static void connected(xmpp_conn_t *conn, xmpp_conn_event_t event, int error, xmpp_stream_error_t *stream_error, void *someone)
{
    (void)conn, (void)error, (void)stream_error;
    ((struct someone *)someone)->event = event;
}

static int on_roster(xmpp_conn_t *conn, xmpp_stanza_t *result, void *someone)
{
    (void)conn;
    xmpp_stanza_t *query = xmpp_stanza_get_child_by_name_and_ns(result, "query", XMPP_NS_ROSTER);
    hold(query && !xmpp_stanza_get_children(query), "an empty roster");
    ((struct someone *)someone)->roster = 1;
    return 0;
}

static int on_presence(xmpp_conn_t *conn, xmpp_stanza_t *presence, void *someone)
{
    (void)conn;
    hold(!strcmp(xmpp_stanza_get_from(presence), ((struct someone *)someone)->address), "the own presence");
    ((struct someone *)someone)->presence = 1;
    return 1;
}

/* Holds that a message of somebody else's has arrived as it was sent. */
static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *message, void *someone)
{
    (void)conn;
    struct someone *self = someone;
    char *body = xmpp_message_get_body(message);
    xmpp_stanza_t *x = xmpp_stanza_get_child_by_name_and_ns(message, "x", "urn:example:note");
    hold(strcmp(xmpp_stanza_get_from(message), self->address) != 0, "from the other one");
    hold(strchr(xmpp_stanza_get_from(message), '/') != NULL, "from a full address");
    hold(!strcmp(xmpp_stanza_get_type(message), "chat") && body && !strcmp(body, BODY), "type and body");
    hold(x != NULL, "an extension");
    xmpp_stanza_t *time = xmpp_stanza_get_child_by_name(x, "time");
    char *when = xmpp_stanza_get_text(time);
    char *msg = xmpp_stanza_get_text(xmpp_stanza_get_child_by_name(x, "msg"));
    hold(!strcmp(when, "2015-06-18 14:25:36") && !strcmp(msg, "内容"), "the text in the extension");
    hold(!strcmp(xmpp_stanza_get_attribute(time, "zone"), "东八区"), "the attribute in the extension");
    self->message = 1;
    return 1;
}

static void come(struct someone *self, const char *name, const char *secret, const char *resource, const char *port)
{
    snprintf(self->address, sizeof self->address, "%s@localhost/%s", name, resource);
    self->conn = xmpp_conn_new(ctx);
    self->event = XMPP_CONN_RAW_CONNECT; /* which does not happen here, and so stands for nothing yet */
    xmpp_conn_set_jid(self->conn, self->address);
    xmpp_conn_set_pass(self->conn, secret);
    hold(!xmpp_connect_client(self->conn, "127.0.0.1", (unsigned short)atoi(port), connected, self), "connecting");
    while (self->event == XMPP_CONN_RAW_CONNECT)
        xmpp_run_once(ctx, 100);
    hold(self->event == XMPP_CONN_CONNECT, "logging in");
    hold(!strcmp(xmpp_conn_get_bound_jid(self->conn), self->address), "the address that was asked for");

    xmpp_id_handler_add(self->conn, on_roster, "roster", self);
    xmpp_handler_add(self->conn, on_presence, NULL, "presence", NULL, self);
    xmpp_handler_add(self->conn, on_message, NULL, "message", NULL, self);
    xmpp_send_raw_string(self->conn, "<iq type='get' id='roster'><query xmlns='%s'/></iq>", XMPP_NS_ROSTER);
    xmpp_stanza_t *presence = xmpp_presence_new(ctx);
    xmpp_send(self->conn, presence);
    xmpp_stanza_release(presence);
    while (!self->roster || !self->presence)
        xmpp_run_once(ctx, 100);
}

static void say(struct someone *from, const char *to, struct someone *receiver)
{
    xmpp_stanza_t *message = xmpp_message_new(ctx, "chat", to, NULL);
    xmpp_stanza_t *extension = xmpp_stanza_new_from_string(ctx, EXTENSION);
    xmpp_message_set_body(message, BODY);
    xmpp_stanza_add_child_ex(message, extension, 0);
    xmpp_send(from->conn, message);
    xmpp_stanza_release(message);
    while (!receiver->message)
        xmpp_run_once(ctx, 100);
}

static void leave(struct someone *self)
{
    xmpp_disconnect(self->conn);
    while (self->event != XMPP_CONN_DISCONNECT)
        xmpp_run_once(ctx, 100);
    xmpp_conn_release(self->conn);
}

int main(int argc, char **argv)
{
    struct someone one = {0}, two = {0};
    char account[200];
    hold(argc == 6, "five arguments");
    alarm(30);
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_WARN));
    come(&one, argv[2], argv[3], "手机", argv[1]);
    come(&two, argv[4], argv[5], "desk", argv[1]);
    snprintf(account, sizeof account, "%s@localhost", argv[4]);
    say(&one, account, &two);
    say(&two, one.address, &one);
    leave(&one);
    leave(&two);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    puts("SCRAM-SHA-1");
    return 0;
}
