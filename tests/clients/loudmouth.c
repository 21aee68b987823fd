/* loudmouth (C, the library of mcabber): both log in by PLAIN, one at the domain, the other at the number that it has
 * connected to, which is another name of the host.
 *
 * Run by `tests/clients/run`. It speaks TLS only where it is told to.
 * apt: libloudmouth1-dev gcc libc6-dev pkg-config
 * pkg-config: loudmouth-1.0
 */

#include <stdlib.h>
#include <unistd.h>

#include <loudmouth/loudmouth.h>

#define BODY "你好，世界 😀 <&> ']]>"

struct someone {
    char *address;
    LmConnection *connection;
    gboolean present;
    /* From whom a message is to come, until it has. */
    const char *expected;
};

static void hold(gboolean fact, const char *what)
{
    if (!fact) {
        g_printerr("not so: %s\n", what);
        exit(1);
    }
}

static gboolean is(LmMessageNode *node, const char *attribute, const char *value)
{
    return node && !g_strcmp0(attribute ? lm_message_node_get_attribute(node, attribute) : lm_message_node_get_value(node), value);
}

static LmHandlerResult on_presence(LmMessageHandler *handler, LmConnection *connection, LmMessage *presence, gpointer someone)
{
    (void)handler, (void)connection;
    struct someone *self = someone;
    hold(is(lm_message_get_node(presence), "from", self->address), "the own presence");
    self->present = TRUE;
    return LM_HANDLER_RESULT_REMOVE_MESSAGE;
}

/* Holds that a message has arrived as it was sent. */
static LmHandlerResult on_message(LmMessageHandler *handler, LmConnection *connection, LmMessage *message, gpointer someone)
{
    (void)handler, (void)connection;
    struct someone *self = someone;
    LmMessageNode *node = lm_message_get_node(message);
    LmMessageNode *x = lm_message_node_get_child(node, "x");
    hold(is(node, "from", self->expected) && is(node, "type", "chat"), "from and type");
    hold(is(lm_message_node_get_child(node, "body"), NULL, BODY), "the body");
    hold(is(x, "xmlns", "urn:example:note"), "the extension");
    hold(is(lm_message_node_get_child(x, "time"), "zone", "东八区"), "the attribute in the extension");
    hold(is(lm_message_node_get_child(x, "time"), NULL, "2015-06-18 14:25:36"), "the text in the extension");
    hold(is(lm_message_node_get_child(x, "msg"), NULL, "内容"), "the other text in the extension");
    self->expected = NULL;
    return LM_HANDLER_RESULT_REMOVE_MESSAGE;
}

static void handle(struct someone *self, LmMessageType type, LmHandleMessageFunction function)
{
    LmMessageHandler *handler = lm_message_handler_new(function, self, NULL);
    lm_connection_register_message_handler(self->connection, handler, type, LM_HANDLER_PRIORITY_NORMAL);
    lm_message_handler_unref(handler);
}

static void come(struct someone *self, const char *port, const char *name, const char *secret, const char *resource, gboolean at_domain)
{
    GError *error = NULL;
    self->address = g_strdup_printf("%s@localhost/%s", name, resource);
    self->connection = lm_connection_new("127.0.0.1");
    lm_connection_set_port(self->connection, (guint)atoi(port));
    if (at_domain)
        lm_connection_set_jid(self->connection, self->address);
    handle(self, LM_MESSAGE_TYPE_PRESENCE, on_presence);
    handle(self, LM_MESSAGE_TYPE_MESSAGE, on_message);
    hold(lm_connection_open_and_block(self->connection, &error), "connecting");
    hold(lm_connection_authenticate_and_block(self->connection, name, secret, resource, &error), "logging in");

    LmMessage *get = lm_message_new_with_sub_type(NULL, LM_MESSAGE_TYPE_IQ, LM_MESSAGE_SUB_TYPE_GET);
    LmMessageNode *query = lm_message_node_add_child(lm_message_get_node(get), "query", NULL);
    lm_message_node_set_attribute(query, "xmlns", "jabber:iq:roster");
    LmMessage *result = lm_connection_send_with_reply_and_block(self->connection, get, &error);
    hold(result && lm_message_get_sub_type(result) == LM_MESSAGE_SUB_TYPE_RESULT, "a roster");
    hold(!lm_message_node_find_child(lm_message_get_node(result), "item"), "an empty roster");
    lm_message_unref(result);
    lm_message_unref(get);

    LmMessage *presence = lm_message_new(NULL, LM_MESSAGE_TYPE_PRESENCE);
    hold(lm_connection_send(self->connection, presence, &error), "sending presence");
    lm_message_unref(presence);
    while (!self->present)
        g_main_context_iteration(NULL, TRUE);
}

static void say(struct someone *from, const char *to, struct someone *receiver)
{
    LmMessage *message = lm_message_new_with_sub_type(to, LM_MESSAGE_TYPE_MESSAGE, LM_MESSAGE_SUB_TYPE_CHAT);
    LmMessageNode *node = lm_message_get_node(message);
    lm_message_node_add_child(node, "body", BODY);
    LmMessageNode *x = lm_message_node_add_child(node, "x", NULL);
    lm_message_node_set_attribute(x, "xmlns", "urn:example:note");
    lm_message_node_set_attribute(lm_message_node_add_child(x, "time", "2015-06-18 14:25:36"), "zone", "东八区");
    lm_message_node_add_child(x, "msg", "内容");
    receiver->expected = from->address;
    hold(lm_connection_send(from->connection, message, NULL), "sending a message");
    lm_message_unref(message);
    while (receiver->expected)
        g_main_context_iteration(NULL, TRUE);
}

int main(int argc, char **argv)
{
    struct someone one = {0}, two = {0};
    hold(argc == 6, "five arguments");
    alarm(30);
    come(&one, argv[1], argv[2], argv[3], "手机", FALSE);
    come(&two, argv[1], argv[4], argv[5], "desk", TRUE);
    char *account = g_strdup_printf("%s@localhost", argv[4]);
    say(&one, account, &two);
    say(&two, one.address, &one);
    hold(lm_connection_close(one.connection, NULL) && lm_connection_close(two.connection, NULL), "an end");
    g_print("PLAIN, and the host by its number\n");
    return 0;
}
