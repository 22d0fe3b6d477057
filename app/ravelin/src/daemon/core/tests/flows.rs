//! `ipsec netstat --flows`: the layout of OpenBSD's `ipsecctl -s all`.

use super::pair::Pair;
use super::*;

/// The listing, with SPIs as their direction.
fn listed(pair: &mut Pair, line: &str) -> String {
    let answer = pair.0[0].ok(line);
    let mut text = crate::render::tables(&answer);
    for sa in &pair.0[0].plane.0.borrow().sas {
        let name = if sa.params.direction == Direction::Inbound { "IN" } else { "OUT" };
        text = text.replace(&sa.params.spi.to_string(), name);
    }
    text
}

// S-229
#[test]
fn flows_have_the_layout_of_openbsd() {
    let mut pair = Pair::new(
        "flows",
        ["-g fqdn:here.example -f fqdn:there.example", "-e AES128-CBC -a HMAC-SHA-1"],
        ["-g fqdn:there.example -f fqdn:here.example", "-e AES128-CBC -a HMAC-SHA-1"],
    );
    pair.0[0].ok("ipsec policy -n web --action bypass -p tcp -s 10.1.0.1,80 -d any -l 3");
    pair.0[0].ok("ipsec policy -n no --action discard -p udp -s 10.1.0.0/16 -d 10.9.0.0/16 --direction out -l 2");
    pair.initiate();
    let text = listed(&mut pair, "ipsec netstat --flows");
    let automatic = text.find("flow esp out proto udp from 10.1.0.0/16").unwrap();
    assert!(
        text.starts_with("FLOWS:\nflow esp in proto udp from 0.0.0.0/0 to 0.0.0.0/0 port 500 type bypass\n"),
        "{text}"
    );
    assert!(
        text.contains(" proto icmp6 from ::/0 icmp-type 133-137 to ::/0 icmp-type 133-137 type bypass\n"),
        "{text}"
    );
    assert_eq!(
        text[automatic..],
        *"flow esp out proto udp from 10.1.0.0/16 to 10.9.0.0/16 type deny\n\
         flow esp in proto tcp from 0.0.0.0/0 to 10.1.0.1 port 80 type bypass\n\
         flow esp out proto tcp from 10.1.0.1 port 80 to 0.0.0.0/0 type bypass\n\
         flow esp in from 10.2.0.0/16 to 10.1.0.0/16 peer 10.0.0.2 srcid FQDN/here.example dstid FQDN/there.example type use\n\
         flow esp out from 10.1.0.0/16 to 10.2.0.0/16 peer 10.0.0.2 srcid FQDN/here.example dstid FQDN/there.example \
         type require\n\
         \n\
         SAD:\n\
         esp tunnel from 10.0.0.2 to 10.0.0.1 spi 0xIN auth hmac-sha1 enc aes\n\
         esp tunnel from 10.0.0.1 to 10.0.0.2 spi 0xOUT auth hmac-sha1 enc aes\n"
    );
    assert!(!listed(&mut pair, "ipsec netstat --flows -p").contains("SAD"));
    assert_eq!(listed(&mut pair, "ipsec netstat --flows -c").lines().count(), 3);
    let json = crate::render::json(&pair.0[0].ok("ipsec netstat --flows --json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["flows"].as_array().unwrap().last().unwrap()["srcid"], "fqdn:here.example");
    assert_eq!((json["sas"].as_array().unwrap().len(), json.get("layout")), (1, None));
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let mut bench = Bench::new("no-flows");
    bench.ok("ipsec flush -p");
    let text = crate::render::tables(&bench.ok("ipsec netstat --flows"));
    assert!(text.ends_with("SAD:\nNo entries\n"), "{text}");
}
