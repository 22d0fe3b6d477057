//! JSON of a message: sections become objects, lists arrays; numbered sections, which stand for arrays, become those.

use ravelin_control::{Message, Value as Item};
use serde_json::{Map, Number, Value};

/// Sections whose members are numbered.
const ARRAYS: &[&str] = &[
    "sas",
    "policies",
    "ike-sas",
    "remotes",
    "failures",
    "children",
    "why",
    "exchanges",
    "differences",
    "interfaces",
    "flows",
    "certificates",
    "pools",
];
/// Values that are decimal numbers wherever they occur. (An SPI is hexadecimal even where it has no letter in it.)
const NUMBERS: &[&str] = &[
    "spid",
    "priority",
    "created",
    "age",
    "hard-in",
    "soft-in",
    "hard-seconds",
    "soft-seconds",
    "hard-bytes",
    "soft-bytes",
    "hard-packets",
    "soft-packets",
    "replay-window",
    "packets",
    "bytes",
    "sequence",
    "dummy-packets",
    "replayed",
    "forged",
    "bad-selector",
    "too-old",
    "bad-length",
    "bad-padding",
    "bad-next-header",
    "bad-inner",
    "bad-policy",
    "expired",
    "unsendable",
    "inactivity",
    "ah-integrity-key-len",
    "integrity-key-len",
    "encryption-key-len",
    "udp-local-port",
    "udp-remote-port",
    "version",
    "rekey-in",
    "reauth-in",
    "lifetime",
    "retransmit-ms",
    "tries",
    "index",
    "mtu",
    "received-packets",
    "received-bytes",
    "sent-packets",
    "sent-bytes",
    "reauth",
    "liveness",
    "cpi-in",
    "cpi-out",
    "database",
    "size",
    "revoked",
];
/// Values that are yes or no.
const BOOLEANS: &[&str] = &[
    "automatic",
    "remote-configured",
    "nat-local",
    "nat-remote",
    "initiate",
    "accept",
    "resolved",
    "cloned",
    "full-transcript",
    "aggressive",
    "liveness-regular",
    "encap",
    "mobike",
    "ppk-required",
    "resumption",
    "crash-detection",
    "announce",
];

/// The listings of an answer.
pub fn json(answer: &Message) -> String {
    let mut value = section("", answer);
    if let Some(object) = value.as_object_mut() {
        object.remove("success");
        object.remove("notes");
        object.remove("layout");
    }
    // Values out of strings, numbers and maps with string keys: serializing cannot fail.
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn section(name: &str, message: &Message) -> Value {
    if ARRAYS.contains(&name) && message.items().all(|(_, item)| matches!(item, Item::Section(_))) {
        return message.sections().map(|(_, inner)| section("", inner)).collect();
    }
    let counters = ["counters", "ike-counters", "statistics"].contains(&name);
    let members = message.items().map(|(name, item)| (name.to_owned(), value(name, item, counters)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn value(name: &str, item: &Item, counter: bool) -> Value {
    match item {
        Item::Data(data) => scalar(name, &String::from_utf8_lossy(data), counter),
        Item::List(items) => items.iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect(),
        Item::Section(inner) => section(name, inner),
    }
}

fn scalar(name: &str, text: &str, counter: bool) -> Value {
    if (counter || NUMBERS.contains(&name))
        && let Ok(number) = text.parse::<u64>()
    {
        return Value::Number(Number::from(number));
    }
    match text {
        "yes" if BOOLEANS.contains(&name) => Value::Bool(true),
        "no" if BOOLEANS.contains(&name) => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}
