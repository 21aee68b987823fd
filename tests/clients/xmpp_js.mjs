// @xmpp/client (Node.js): one logs in by SCRAM-SHA-1 and two by PLAIN. Then two loses its connection, and its stream goes
// on over the next one (XEP-0198) with the message that was sent in between.
//
// Run by `tests/clients/run`. Without TLS it takes SCRAM-SHA-1 by itself, and PLAIN if told to.
// npm: @xmpp/client@0.14.0
// accounts: ascii, since it logs in with the btoa of the browsers, which takes no others

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

// Node.js has this by itself since version 20.
globalThis.crypto ??= (await import("node:crypto")).webcrypto;

// An import looks beside this file only; a require looks in NODE_PATH, too.
const { client, xml } = await import(createRequire(import.meta.url).resolve("@xmpp/client"));

const [port, oneName, secret1, twoName, secret2] = process.argv.slice(2);
const body = "你好，世界 😀 <&> ']]>";
const extension = () =>
  xml(
    "x",
    { xmlns: "urn:example:note" },
    xml("time", { zone: "东八区" }, "2015-06-18 14:25:36"),
    xml("msg", {}, "内容"),
  );

setTimeout(() => assert.fail("this takes too long"), 30_000).unref();

async function someone(username, password, resource, mechanism) {
  const credentials = (authenticate) => authenticate({ username, password }, mechanism);
  const service = `xmpp://127.0.0.1:${port}`;
  const someone = client({ service, domain: "localhost", resource, credentials });
  someone.on("error", (error) => assert.fail(error));
  await someone.start();
  assert.equal(someone.jid.toString(), `${username}@localhost/${resource}`);
  const roster = await someone.iqCaller.get(xml("query", "jabber:iq:roster"));
  assert.deepEqual(roster.getChildren("item"), []);
  someone.send(xml("presence"));
  const [own] = await once(someone, "stanza");
  assert.deepEqual([own.name, own.attrs.from], ["presence", someone.jid.toString()]);
  return someone;
}

function send(from, to) {
  from.send(xml("message", { type: "chat", to: to.toString() }, xml("body", {}, body), extension()));
}

/** Holds that the next stanza is the message of `send`, as it was sent. */
async function expectFrom(from, to) {
  const [got] = await once(to, "stanza");
  assert.equal(got.name, "message", got.toString());
  assert.deepEqual([got.attrs.from, got.attrs.type], [from.jid.toString(), "chat"]);
  assert.equal(got.getChildText("body"), body);
  assert.equal(got.getChild("x", "urn:example:note").toString(), extension().toString());
}

const one = await someone(oneName, secret1, "手机", "SCRAM-SHA-1");
const two = await someone(twoName, secret2, "desk", "PLAIN");
send(one, two.jid.bare());
await expectFrom(one, two);
send(two, one.jid);
await expectFrom(two, one);

two.reconnect.delay = 100;
const resumed = once(two.streamManagement, "resumed");
two.socket.destroy();
await once(two, "disconnect");
send(one, two.jid);
await Promise.all([resumed, expectFrom(one, two)]);

await one.iqCaller.get(xml("ping", "urn:xmpp:ping"), "localhost");
await Promise.all([one.stop(), two.stop()]);
console.log("SCRAM-SHA-1, PLAIN, and a stream resumed");
