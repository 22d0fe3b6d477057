use super::*;

fn rows(rows: impl IntoIterator<Item = Message>) -> Message {
    let mut all = Message::new();
    for (index, row) in rows.into_iter().enumerate() {
        all.put_section(&(index + 1).to_string(), row);
    }
    all
}

fn policy(cells: [&str; 6]) -> Message {
    let names = ["spid", "priority", "protocol", "action", "source", "destination"];
    names.into_iter().zip(cells).fold(Message::new(), |row, (name, cell)| row.with(name, cell))
}

fn sa(spi: &str, keys: bool) -> Message {
    let mut sa =
        Message::new().with("type", "ESP").with("spi", spi).with("integrity", "SHA384").with("integrity-key-len", 48);
    if keys {
        sa.put("integrity-key", "28055727");
    }
    sa = sa.with("encryption", "AES256-CBC").with("encryption-key-len", 32);
    if keys {
        sa.put("encryption-key", "c176e39e");
    }
    sa.with("packets", 7).with("bytes", 420).with("sequence", 7).with("dummy-packets", 0)
}

fn sample(keys: bool) -> Message {
    let mut session = Message::new()
        .with("spi", "b96e76e3")
        .with("spid", 7)
        .with("created", 603)
        .with("hard-seconds", 3600)
        .with("hard-in", 3439)
        .with("soft-in", 3429);
    session.put_section("outbound", sa("d17c6fc7", keys));
    let inbound = sa("b96e76e3", keys).with("replayed", 1).with("forged", 0).with("bad-selector", 0);
    session.put_section("inbound", inbound);
    let mut answer = Message::new().with("success", "yes");
    answer.put_section("sas", rows([session]));
    let secure = policy(["7", "4", "tcp", "secure", "10.0.0.78", "10.0.0.77"])
        .with("mode", "transport")
        .with("gateway", "10.0.0.77");
    answer.put_section(
        "policies",
        rows([
            policy(["1", "2", "udp", "bypass", "10.0.0.78:500", "any"]),
            secure,
            policy(["23", "7", "0", "bypass", "any", "any"]),
        ]),
    );
    answer
}

// Document 003 §5.1, step 3, with our lines on packets added.
#[test]
fn ipsec_netstat_has_the_documents_layout() {
    assert_eq!(tables(&sample(true)), include_str!("testdata/ipsec_netstat_keys.txt"));
}

#[test]
fn keys_show_only_when_they_are_in_the_answer() {
    let text = tables(&sample(false));
    assert_eq!(text, include_str!("testdata/ipsec_netstat.txt"));
    assert!(!text.contains("c176e39e") && text.contains("Key: [len=32]\n"));
}

#[test]
fn a_long_value_widens_its_column() {
    let mut answer = Message::new();
    let long = "3ffe:501:ffff:2::/64";
    answer.put_section("policies", rows([policy(["1", "4", "tcp", "bypass", long, "any6"])]));
    let text = tables(&answer);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].find("dst-id"), lines[1].find("any6"));
}

#[test]
fn json_has_numbers_arrays_and_hexadecimal_text() {
    let text = json(&sample(false));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["sas"][0]["spid"], 7);
    assert_eq!(value["sas"][0]["inbound"]["spi"], "b96e76e3");
    assert_eq!(value["policies"][1]["gateway"], "10.0.0.77");
    assert_eq!(value["policies"].as_array().unwrap().len(), 3);
    assert!(value.get("success").is_none());
    let mut empty = Message::new();
    empty.put_section("sas", Message::new());
    assert_eq!(json(&empty), "{\n  \"sas\": []\n}\n");
}

#[test]
fn ike_netstat_tells_the_last_failure() {
    let mut failure = Message::new()
        .with("age", 3)
        .with("address", "10.0.0.2")
        .with("exchange", "IKE_SA_INIT")
        .with("what", "the IKE proposals have no algorithm set in common");
    failure.put_list("theirs", ["NO_PROPOSAL_CHOSEN"]);
    failure.put_list("ours", ["IKE: AES128-GCM, CURVE25519"]);
    failure.put("advice", "use an algorithm that the peer has");
    let mut remote = Message::new()
        .with("name", "gw")
        .with("endpoint", "10.0.0.2")
        .with("version", 2)
        .with("initiate", "yes")
        .with("accept", "yes")
        .with("own-id", "fqdn:a")
        .with("peer-id", "fqdn:b")
        .with("auth", "PresharedKey")
        .with("secret-file", "psk")
        .with("lifetime", 86400)
        .with("retransmit-ms", 1000)
        .with("tries", 7)
        .with("liveness", 60)
        .with("liveness-regular", "no");
    remote.put_list("policies", ["p1", "p2"]);
    remote.put_section("failures", rows([failure]));
    let mut answer = Message::new();
    answer.put_section("remotes", rows([remote]));
    assert_eq!(tables(&answer), include_str!("testdata/ike_netstat_failure.txt"));
}
