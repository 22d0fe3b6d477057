//! `why`: two daemons that do not agree, and what each is told.

use super::pair::Pair;
use super::*;

impl Pair {
    fn why(&mut self, at: usize, peer: &str) -> String {
        crate::render::tables(&self.0[at].ok(&format!("why {peer}")))
    }
}

#[test]
fn an_offer_that_does_not_meet_is_shown_as_a_difference() {
    let mut pair = Pair::new("offer", ["-e AES256-CBC -d MODP3072", ""], ["-e AES128-GCM,AES256-CBC -d ECP256", ""]);
    pair.initiate();
    assert_eq!(
        pair.why(1, "gw"),
        "gw (10.0.0.1): no IKE SA: the first packet of a policy begins one, or ike initiate p1\n  \
         IKE_SA_INIT, 0 secs ago: the IKE proposals have no algorithm set in common\n    \
         key exchange:\n      \
         peer: MODP3072\n      \
         here: ECP256\n    \
         peer: IKE: AES256-CBC, HMAC-SHA-2-256, HMAC-SHA-2-384, HMAC-SHA-2-512, PRF-HMAC-SHA-2-256, \
         PRF-HMAC-SHA-2-384, PRF-HMAC-SHA-2-512, MODP3072\n    \
         here: IKE: AES128-GCM, PRF-HMAC-SHA-2-256, PRF-HMAC-SHA-2-384, PRF-HMAC-SHA-2-512, ECP256\n    \
         here: IKE: AES256-CBC, HMAC-SHA-2-256, HMAC-SHA-2-384, HMAC-SHA-2-512, PRF-HMAC-SHA-2-256, \
         PRF-HMAC-SHA-2-384, PRF-HMAC-SHA-2-512, ECP256\n    \
         change: here: ike remote -n gw ... -d MODP3072, or there: ECP256\n    \
         change: give both sides a proposal in common\n"
    );
    // The initiator is told less, and what it offered.
    let text = pair.why(0, "gw");
    assert!(text.contains("peer: NO_PROPOSAL_CHOSEN\n    here: IKE: AES256-CBC"), "{text}");
    let json = crate::render::json(&pair.0[1].ok("why 10.0.0.1"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let exchange = &json["why"][0]["exchanges"][0];
    assert_eq!(exchange["differences"][0]["of"], "key exchange");
    assert_eq!(exchange["differences"][0]["peer"][0], "MODP3072");
    assert_eq!(exchange["resolved"], false);
}

#[test]
fn a_side_that_only_accepts_says_whether_the_peer_has_begun() {
    let mut pair = Pair::new("accepts", ["-d MODP3072", ""], ["", ""]);
    pair.0[1].ok("ike remote -x gw");
    pair.0[1].ok("ike remote -n gw -u -r 10.0.0.1 --local 10.0.0.2 -h psk -d ECP256");
    let accepts = "no IKE SA: this side only accepts (no -w), and";
    assert!(pair.why(1, "gw").contains(&format!("{accepts} the peer has not begun\n")));
    pair.initiate();
    let text = pair.why(1, "gw");
    assert!(text.contains(&format!("{accepts} what the peer began has failed\n")), "{text}");
    assert!(text.contains("IKE_SA_INIT, 0 secs ago"), "{text}");
}

// RFC 4301 §5.2: both sides learn of a packet that is not within the selectors of its SA, and nothing else happens.
#[test]
fn a_packet_outside_of_its_sa_is_told_on_both_sides() {
    let mut pair = Pair::new("outside", ["", ""], ["", ""]);
    pair.initiate();
    let sas = pair.0[1].plane.0.borrow().sas.clone();
    let id = sas.iter().map(|sa| sa.params.id()).find(|id| id.direction == Direction::Inbound).unwrap();
    let packet = PacketStart::of(&[
        0x45, 0, 0, 60, 0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 2, 0, 1, 0, 5, 0, 80, 0, 40, 0, 0, 0, 0, 0, 0,
    ]);
    pair.0[1].happens(DataPlaneEvent::OutsideSelectors { id, packet });
    pair.exchange();
    let flow = "10.9.0.1 -> 10.2.0.1 protocol 17 ports 5 -> 80";
    for (at, peer, here) in [
        (0, format!("INVALID_SELECTORS: it dropped {flow}"), "sends 10.1.0.0/16 -> 10.2.0.0/16"),
        (1, format!("sent {flow}"), "takes 10.1.0.0/16 -> 10.2.0.0/16"),
    ] {
        let text = pair.why(at, "gw");
        assert!(
            text.contains("INFORMATIONAL for p1, 0 secs ago: a packet was not within the selectors of its SA"),
            "{text}"
        );
        assert!(text.contains(&format!("peer: {peer}\n    here: {here}\n")), "{text}");
        assert_eq!(pair.0[at].plane.0.borrow().sas.len(), 2);
    }
}

#[test]
fn each_cause_is_told_with_what_mends_it() {
    /// What the remote and the policy are given here and there, the exchange that fails, and what is said of it.
    type Cause = ([&'static str; 2], [&'static str; 2], &'static str, [&'static str; 2]);
    let cases: [Cause; 5] = [
        (
            ["", "-e AES128-CBC -a HMAC-SHA-1"],
            ["", "-e AES128-CBC -a HMAC-SHA-2-256"],
            "IKE_AUTH for p1",
            ["integrity:", "ipsec policy -n p1 ... -a HMAC-SHA-1, or there: HMAC-SHA-2-256"],
        ),
        (
            ["", ""],
            ["", "-s 10.7.0.0/16 -d 10.1.0.0/16"],
            "IKE_AUTH",
            ["traffic selectors", "peer: 10.1.0.0/16 === 10.2.0.0/16"],
        ),
        (
            ["-g fqdn:a", ""],
            ["-f fqdn:b", ""],
            "IKE_AUTH",
            ["not who the configuration expects", "ike remote -n gw ... -f fqdn:a"],
        ),
        (["", ""], ["-z 1", ""], "IKE_SA_INIT", ["here: IKEv1 only", "both with the same version of IKE"]),
        (["", ""], ["", "-t AH"], "IKE_AUTH", ["", "change: "]),
    ];
    for (index, (here, there, exchange, words)) in cases.into_iter().enumerate() {
        let mut pair = Pair::new(&format!("cause-{index}"), here, there);
        pair.initiate();
        let text = pair.why(1, "10.0.0.1");
        assert!(text.contains(exchange), "{index}: {text}");
        assert!(words.iter().all(|words| text.contains(words)), "{index}: {text}");
    }
}

// The key is right, the password is not.
#[test]
fn another_password_is_not_another_key() {
    let v1 = "-z 1 -e AES128-CBC -a SHA256 -d MODP2048";
    let mut pair =
        Pair::new("xauth", [&format!("{v1} --xauth-login me"), ""], [&format!("{v1} --xauth-users users"), ""]);
    pair.initiate();
    for (at, words) in [(0, "here: XAuth as carol"), (1, "peer: XAuth as fqdn:carol")] {
        let text = pair.why(at, "gw");
        assert!(text.contains("the user's login is not accepted") && text.contains(words), "{text}");
        assert!(text.contains("change: check the user and the password of both sides"), "{text}");
        assert!(!text.contains("key"), "{text}");
    }
}

#[test]
fn another_key_and_silence_are_told() {
    let mut pair = Pair::new("psk", ["", ""], ["", ""]);
    let directory = pair.0[1].directory.clone();
    std::fs::write(directory.join("psk"), "another").unwrap();
    pair.0[1].ok("ike remote -x gw");
    pair.0[1].ok("ike remote -n gw -w -u -r 10.0.0.1 --local 10.0.0.2 -h psk");
    pair.initiate();
    for (at, words) in [(0, "does not take our pre-shared key"), (1, "do not have the same pre-shared key")] {
        let text = pair.why(at, "gw");
        assert!(text.contains("IKE_AUTH") && text.contains(words), "{text}");
        assert!(text.contains("psk with the key of the peer") && !text.contains("another"), "{text}");
    }
    // And then it goes well. What was said of a remote is forgotten with it.
    std::fs::write(directory.join("psk"), "secret").unwrap();
    pair.0[1].ok("ike remote -x gw");
    pair.0[1].ok("ike remote -n gw -w -u -r 10.0.0.1 --local 10.0.0.2 -h psk");
    pair.0.iter_mut().for_each(|bench| bench.now = Instant::ZERO + Duration::from_secs(1));
    pair.initiate();
    let text = pair.why(0, "p1");
    assert!(text.starts_with("gw (10.0.0.2): IKE SA ESTABLISHED, 1 Child SAs\n"), "{text}");
    assert!(text.contains("(it went well since)"), "{text}");
    assert!(pair.why(1, "gw").contains("nothing failed since the start"));

    let mut bench = Bench::new("silence");
    bench.ok(REMOTE);
    bench.ok(POLICY);
    assert!(crate::render::tables(&bench.ok("why gw")).contains("nothing failed since the start"));
    bench.ok("ike initiate p1 --timeout 0");
    bench.now = Instant::ZERO;
    while !bench.core.is_idle() {
        bench.now = bench.core.deadline().unwrap();
        bench.core.timer(bench.now);
    }
    let text = crate::render::tables(&bench.ok("why p1"));
    assert!(text.contains("the peer does not answer") && text.contains("UDP 500 and 4500 pass?"), "{text}");
    assert!(bench.refused("why g").contains("there is no remote g; did you mean gw?"));
    assert!(crate::render::tables(&bench.ok("why 10.0.0.77")).contains("no remote is configured for this address"));
}

// Row 93 of docs/HISTORY.md: groups that can be computed are for those who name them, on either side.
#[test]
fn weak_groups_are_for_those_who_name_them() {
    let v1 = "-z 1 -e AES128-CBC -a SHA256";
    for (others, policy, groups) in [
        ("-e AES256-CBC", "", &["MODP768", "MODP1024", "MODP1536", "MODP1024S160", "ECP192"][..]),
        (v1, "-e AES128-CBC -a HMAC-SHA-1", &["MODP768", "MODP1024", "MODP1536"]),
    ] {
        for group in groups {
            let weak = format!("{others} -d {group}");
            for (here, there, agreed) in [(&*weak, others, false), (others, &weak, false), (&weak, &weak, true)] {
                let mut pair = Pair::new(&format!("weak-{group}"), [here, policy], [there, policy]);
                pair.initiate();
                let sas = [0, 1].map(|at| pair.0[at].plane.0.borrow().sas.len());
                assert_eq!(sas, if agreed { [2, 2] } else { [0, 0] }, "{here}, {there}");
            }
        }
    }
}
