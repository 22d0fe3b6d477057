//! Devices that take whole packets: entries and states name them together.

use ravelin_types::options::Offload;

use super::*;

const LOOPBACK: i32 = 1;

fn wanting(offload: Offload) -> Policy {
    let mut policy = policy(IfIds::default());
    if let Action::Protect(protection) = &mut policy.action {
        protection.local = Some([192, 0, 2, 1].into());
        protection.options.offload = offload;
    }
    policy
}

fn sa(spi: u32, direction: Direction, offload: Offload) -> SaParams {
    let out = outbound(spi, 2, 0);
    let (src, dst) = match direction {
        Direction::Outbound => (out.src, out.dst),
        Direction::Inbound => (out.dst, out.src),
    };
    let pair = Spi(spi ^ 1);
    let remote_ts = vec![TrafficSelector::any_v4()];
    SaParams {
        direction,
        src,
        dst,
        pair,
        remote_ts: remote_ts.into(),
        options: SaOptions { offload, ..SaOptions::default() },
        ..out
    }
}

fn ends() -> Ends {
    (Some([192, 0, 2, 1].into()), [192, 0, 2, 2].into())
}

#[test]
fn entries_and_states_name_the_device_of_our_end() {
    let mut book = Book::default();
    book.set_device(ends(), Some(LOOPBACK));
    let entries = lines(&book.add_policy(&wanting(Offload::Packet)).unwrap());
    let at = |way: &str| entries.iter().find(|line| line.contains(&format!(" dir {way} "))).unwrap();
    assert!(at("out").contains("offload packet dev lo") && at("in").contains("offload packet dev lo"), "{entries:?}");
    assert!(!at("fwd").contains("offload"), "{entries:?}");
    let inbound = sa(0x201, Direction::Inbound, Offload::Auto);
    assert!(book.gives_packets(&inbound));
    let states = lines(&book.add_sa(&sa(0x201, Direction::Inbound, Offload::Packet)).unwrap());
    assert!(states[0].contains("offload packet dev lo dir in"), "{states:?}");
    assert!(book.gives_packets(&sa(0x200, Direction::Outbound, Offload::Auto)));
    let steps = lines(&book.add_sa(&sa(0x200, Direction::Outbound, Offload::Packet)).unwrap());
    assert_eq!(steps.len(), 1, "the entries have the device already: {steps:?}");
    assert!(steps[0].contains("offload packet dev lo dir out"), "{steps:?}");
    book.commit();

    // The next pair is not taken: the entries go back to the processor, and what belongs together stays so.
    book.add_sa(&sa(0x301, Direction::Inbound, Offload::Crypto)).unwrap();
    assert!(!book.gives_packets(&sa(0x300, Direction::Outbound, Offload::Auto)));
    let steps = lines(&book.add_sa(&sa(0x300, Direction::Outbound, Offload::Crypto)).unwrap());
    let entries: Vec<&String> = steps.iter().filter(|line| line.contains("policy update")).collect();
    assert_eq!(entries.len(), 2, "{steps:?}");
    assert!(entries.iter().all(|line| !line.contains("offload")), "{steps:?}");
    let id = sa(0x300, Direction::Outbound, Offload::Off).id();
    book.done_by_processor(id);
    assert_eq!(book.sa(id).unwrap().options.offload, Offload::Off);
}

#[test]
fn without_a_device_an_sa_is_refused_and_a_policy_waits_for_one() {
    let mut book = Book::default();
    let entries = lines(&book.add_policy(&wanting(Offload::Packet)).unwrap());
    assert!(entries.iter().all(|line| !line.contains("offload")), "{entries:?}");
    assert!(!book.gives_packets(&sa(0x201, Direction::Inbound, Offload::Auto)));
    let refused = book.add_sa(&sa(0x201, Direction::Inbound, Offload::Packet)).unwrap_err().to_string();
    assert!(refused.contains("no device has the address of our end"), "{refused}");
}

// What an earlier daemon left under entries of another kind is not taken up: the kernel would not use it.
#[test]
fn a_state_that_is_found_is_the_same_only_with_its_device() {
    let mut with = Book::default();
    with.set_device(ends(), Some(LOOPBACK));
    let [packet, plain] = [Offload::Packet, Offload::Crypto].map(|it| sa(0x200, Direction::Outbound, it));
    let [packet, plain] = [packet, plain].map(|params| with.states(&params).unwrap().remove(0));
    assert!(states::same(&packet, &packet) && states::same(&plain, &plain));
    assert!(!states::same(&packet, &plain) && !states::same(&plain, &packet));
}
