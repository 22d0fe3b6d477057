"""Commands a Ravelin through strongSwan's own client for Python; the argument is the control socket."""

import socket
import sys

import vici


def connect():
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(sys.argv[1])
    return vici.Session(stream)


def refused(call, *arguments):
    try:
        call(*arguments)
    except vici.exception.CommandException as error:
        return str(error)
    raise AssertionError("it was not refused")


v = connect()
assert v.version()["daemon"] == b"ravelin", v.version()
assert int(v.stats()["ikesas"]["total"]) == 0

child = {
    "local_ts": ["10.1.0.0/16"],
    "remote_ts": ["10.2.0.0/16"],
    "esp_proposals": ["aes128gcm16"],
    "start_action": "trap",
}
connection = {
    "version": 2,
    "local_addrs": ["192.0.2.1"],
    "remote_addrs": ["192.0.2.2"],
    "proposals": ["aes128-sha256-x25519"],
    "local-1": {"auth": "psk", "id": "l.lab"},
    "remote-1": {"auth": "psk", "id": "r.lab"},
    "children": {"pynet": child},
}
v.load_shared({"id": "lab", "type": "IKE", "data": "labsecret", "owners": ["l.lab", "r.lab"]})
v.load_conn({"py": connection})
assert v.get_conns()["conns"] == [b"py"], v.get_conns()
assert v.get_shared()["keys"] == [b"lab"], v.get_shared()

listed = list(v.list_conns())
assert listed[0]["py"]["children"]["pynet"]["local-ts"] == [b"10.1.0.0/16"], listed
policies = list(v.list_policies({"trap": "yes"}))
assert policies[0]["py/pynet"]["mode"] == b"TUNNEL", policies

# The peer does not answer, so the time that a client gives it runs out, with a log of what was done until then.
log = []
try:
    for line in v.initiate({"child": "pynet", "ike": "py", "timeout": 300, "loglevel": 1}):
        log.append(line["msg"].decode())
    raise AssertionError("nobody answered, and it is up")
except vici.exception.CommandException:
    pass
assert any("IKE_SA_INIT request" in line for line in log), log
sas = list(v.list_sas())
assert sas[0]["py"]["state"] == b"CONNECTING", sas
list(v.terminate({"ike": "py", "timeout": 5000}))
assert list(v.list_sas()) == []
assert int(v.get_counters({"all": "yes"})["counters"]["py"]["ike-init-out-req"]) >= 1

assert "unknown option: nonsense" in refused(v.load_conn, {"bad": {"nonsense": 1}})
said = refused(v.load_token, {"handle": "zz"})
assert "handle" in said, said

# Events come to whoever listens, on a connection of its own.
listener = connect()
events = listener.listen(["log"])
refused(lambda: list(v.initiate({"child": "nothere"})))
list(v.initiate({"child": "pynet", "timeout": -1}))
name, event = next(events)
assert name == b"log" and event["msg"], (name, event)

v.unload_conn({"name": "py"})
v.clear_creds()
assert v.get_conns()["conns"] == [] and v.get_shared()["keys"] == []
print("done")
