//! Packets that are compressed before they are protected.

use ravelin_types::Cpi;

use super::*;

fn sa(spi: u32, direction: Direction, cpi: Option<u16>) -> SaParams {
    let out = outbound(spi, 2, 0);
    let options = SaOptions { ipcomp: cpi.map(Cpi).into(), ..SaOptions::default() };
    let (local_ts, remote_ts) =
        (vec![TrafficSelector::host([10, 1, 0, 1].into())], vec![TrafficSelector::host([10, 2, 0, 1].into())]);
    let out = SaParams { options, local_ts: local_ts.into(), remote_ts: remote_ts.into(), ..out };
    match direction {
        Direction::Outbound => out,
        Direction::Inbound => SaParams { direction, src: out.dst, dst: out.src, replay_window: 32, ..out },
    }
}

/// `proto P ... mode M` of each template.
fn templates(line: &str) -> Vec<String> {
    let words = |template: &str| {
        let words: Vec<&str> = template.split_whitespace().filter(|word| !word.contains('.')).collect();
        words.join(" ").replace(" reqid 1375731713", "")
    };
    line.split(" tmpl ").skip(1).map(words).collect()
}

#[test]
fn the_compression_is_the_tunnel_and_what_arrives_may_come_without() {
    let mut book = Book::default();
    book.add_policy(&policy(IfIds::default())).unwrap();
    // SPI 0x201 is the pair of 0x200.
    let states = lines(&book.add_sa(&sa(0x201, Direction::Inbound, Some(0x1234))).unwrap());
    assert_eq!(states.len(), 2, "{states:#?}");
    assert!(states[0].contains("proto comp spi 0x00001234") && states[0].contains("mode tunnel"), "{states:#?}");
    assert!(states[0].contains("comp 'deflate'") && states[0].contains("af-unspec"), "{states:#?}");
    assert!(!states[0].contains("sel"), "what is not compressed has the same state for all SAs: {states:#?}");
    assert!(states[1].contains("proto esp spi 0x00000201") && states[1].contains("mode transport"), "{states:#?}");
    assert!(states[1].contains("sel src 10.2.0.1/32 dst 10.1.0.1/32"), "{states:#?}");
    let steps = lines(&book.add_sa(&sa(0x200, Direction::Outbound, Some(0x4321))).unwrap());
    let (states, policies) = steps.split_at(2);
    assert!(
        states[0].contains("proto comp spi 0x00004321") && states[0].contains("sel src 10.1.0.1/32"),
        "{states:#?}"
    );
    assert_eq!(policies.len(), 3, "{policies:#?}");
    for line in policies {
        let level = if line.contains(" dir out") { "" } else { " level use" };
        let expected = ["src dst proto comp mode tunnel".to_owned() + level, "src dst proto esp mode transport".into()];
        assert_eq!(templates(line), expected, "{line}");
    }
    let gone = lines(&book.delete_sa(sa(0x200, Direction::Outbound, Some(0x4321)).id()).unwrap());
    assert!(gone[0].contains("delete") && gone[0].contains("proto comp spi 0x00004321"), "{gone:#?}");
}

#[test]
fn one_direction_may_go_without() {
    let mut book = Book::default();
    book.add_policy(&policy(IfIds::default())).unwrap();
    book.add_sa(&sa(0x201, Direction::Inbound, Some(0x1234))).unwrap();
    let steps = lines(&book.add_sa(&sa(0x200, Direction::Outbound, None)).unwrap());
    assert!(steps[0].contains("proto esp") && steps[0].contains("mode tunnel"), "{steps:#?}");
    let layers: Vec<_> = steps[1..].iter().map(|line| templates(line).len()).collect();
    assert_eq!(layers, [1, 2, 2], "out, in and forward: {steps:#?}");
    // With the next SAs there is none at all.
    book.add_sa(&sa(0x301, Direction::Inbound, None)).unwrap();
    let steps = lines(&book.add_sa(&sa(0x300, Direction::Outbound, None)).unwrap());
    assert!(steps.len() == 3 && steps[1..].iter().all(|line| templates(line).len() == 1), "{steps:#?}");
}

// Linux takes no transport mode with a selector of another family, so what is behind the tunnel has none.
#[test]
fn another_family_inside_is_for_all_that_the_policy_selects() {
    let (six, part) =
        (vec![TrafficSelector::any_v6()], vec![TrafficSelector::host([0xfd, 0, 0, 0, 0, 0, 0, 1].into())]);
    let mut book = Book::default();
    let wide = Policy { local: six.clone(), remote: six.clone(), ..policy(IfIds::default()) };
    book.add_policy(&wide).unwrap();
    book.commit();
    let params = |remote_ts| SaParams {
        local_ts: six.as_slice().into(),
        remote_ts,
        ..sa(0x200, Direction::Outbound, Some(0x4321))
    };
    let steps = lines(&book.add_sa(&params(six.as_slice().into())).unwrap());
    assert!(steps[0].contains("proto comp") && steps[0].contains(" sel src ::/0"), "{steps:#?}");
    assert!(steps[1].contains("proto esp") && steps[1].contains("mode transport flag af-unspec"), "{steps:#?}");
    assert!(!steps[1].contains(" sel "), "{steps:#?}");
    book.roll_back();
    let why = book.add_sa(&params(part.into())).unwrap_err().to_string();
    assert!(why.contains("another family inside"), "{why}");
}
