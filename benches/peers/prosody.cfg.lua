-- Prosody for measuring: loopback only, accounts for everybody, passwords and logins as they are.
-- prosody --config benches/peers/prosody.cfg.lua -F      (as another user than root)

certificates = "/tmp/peers/prosody" -- none
data_path = "/tmp/peers/prosody"
pidfile = "/tmp/peers/prosody/prosody.pid"
log = { warn = "/tmp/peers/prosody/prosody.log" }

interfaces = { "127.0.0.1" }
run_as_root = true -- it does nothing here but answer the load
c2s_ports = { 5301 }
network_backend = "event" -- libevent, from the package lua-event; faster here than its own epoll
network_settings = { tcp_backlog = 4096, opportunistic_writes = true, nagle = false, read_size = 16384 }
gc = { mode = "incremental", threshold = 200, speed = 500 } -- faster here than the other, "generational"

modules_enabled = { "roster", "saslauth", "legacyauth", "register_ibr", "ping", "disco" }
modules_disabled = { "s2s", "tls", "http" }
authentication = "internal_plain"
allow_registration = true
allow_unencrypted_plain_auth = true
c2s_require_encryption = false

VirtualHost "localhost"
