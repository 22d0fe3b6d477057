//! Entries of policies whose interfaces or marks come with the SAs.

use ravelin_types::if_id::IfId;
use ravelin_types::mark::PolicyMark;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Mode, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{SaKeys, SaLookup};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Secret, Spi};

use super::*;
use crate::msg::Body;
use crate::msg::policy::direction;
use crate::text;

mod ipcomp;
mod losses;
mod offload;
mod processors;

fn policy(if_ids: IfIds) -> Policy {
    let options = SaOptions { if_ids, ..SaOptions::default() };
    let protection = Protection {
        mode: Mode::Tunnel,
        local: None,
        remote: [192, 0, 2, 2].into(),
        pfp: Pfp::NONE,
        lifetime: Default::default(),
        replay_window: 32,
        options,
    };
    Policy {
        id: PolicyId(1),
        name: "net".into(),
        domain: Domain::default(),
        priority: 4000,
        local: vec![TrafficSelector::any_v4()],
        remote: vec![TrafficSelector::any_v4()],
        action: Action::Protect(protection),
        ways: Ways::Both,
    }
}

fn outbound(spi: u32, peer: u8, number: u32) -> SaParams {
    let sn = SnId::SEQUENTIAL_32;
    SaParams {
        direction: Direction::Outbound,
        spi: Spi(spi),
        pair: Spi(spi + 1),
        lookup: SaLookup::Spi,
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, peer].into(),
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn }.into(),
        keys: SaKeys { encr: Secret::new(vec![7; 20]), ..SaKeys::default() },
        policy: PolicyId(1),
        local_ts: [TrafficSelector::any_v4()].into(),
        remote_ts: [TrafficSelector::host([10, 3, 0, peer].into())].into(),
        lifetime: Default::default(),
        replay_window: 0,
        options: SaOptions { if_ids: IfIds::both(number.into()), ..SaOptions::default() },
    }
}

fn lines(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| text::command(&step.request.message)).collect()
}

#[test]
fn each_sa_has_entries_for_its_interface_until_it_goes() {
    let mut book = Book::default();
    assert!(book.add_policy(&policy(IfIds::both(IfId::Unique))).unwrap().is_empty(), "there is no number yet");
    let first = lines(&book.add_sa(&outbound(0x100, 2, 7)).unwrap());
    // The state, and the policies out, in and forward.
    assert_eq!(first.len(), 4, "{first:#?}");
    assert!(first.iter().all(|line| line.contains("if_id 0x7")), "{first:#?}");
    assert!(first[1..].iter().all(|line| line.contains("10.3.0.2/32")), "{first:#?}");
    let second = lines(&book.add_sa(&outbound(0x200, 3, 8)).unwrap());
    assert!(second.len() == 4 && second.iter().all(|line| line.contains("if_id 0x8")), "{second:#?}");
    // A rekey: nothing but the state is new.
    let rekeyed = outbound(0x300, 2, 7);
    assert_eq!(book.add_sa(&rekeyed).unwrap().len(), 1);
    assert_eq!(book.delete_sa(outbound(0x100, 2, 7).id()).unwrap().len(), 1);
    book.commit();
    let gone = lines(&book.delete_sa(rekeyed.id()).unwrap());
    assert_eq!(gone.len(), 4, "{gone:#?}");
    assert!(gone[1..].iter().all(|line| line.contains("delete") && line.contains("if_id 0x7")), "{gone:#?}");
    book.roll_back();
    assert_eq!(book.delete_policy(PolicyId(1)).unwrap().len(), 6, "of both interfaces");
    assert_eq!(book.policies().count(), 0);
}

// Row 108 of docs/HISTORY.md: the kernel has three directions, and looked for a fourth beyond the end of its tables.
#[test]
fn every_entry_is_of_one_of_the_three_directions() {
    let protect = |mode| match policy(IfIds::default()).action {
        Action::Protect(protection) => Action::Protect(Protection { mode, ..protection }),
        other => other,
    };
    let all = [direction::IN, direction::OUT, direction::FORWARD];
    for (action, ways, expected) in [
        (protect(Mode::Tunnel), Ways::Both, &all[..]),
        (protect(Mode::Transport), Ways::Both, &all[..2]),
        (Action::Bypass, Ways::Both, &all),
        (Action::Discard, Ways::Both, &all),
        (Action::Bypass, Ways::Outbound, &all[1..]),
        (Action::Discard, Ways::Inbound, &[direction::IN, direction::FORWARD]),
    ] {
        let one = Policy { action, ways, ..policy(IfIds::default()) };
        let mut book = Book::default();
        let added = book.add_policy(&one).unwrap();
        let gone = book.delete_policy(one.id).unwrap();
        for steps in [added, gone] {
            let mut seen: Vec<u8> = steps
                .iter()
                .map(|step| match &step.request.message.body {
                    Body::Policy(policy) => policy.direction,
                    Body::PolicyId(id) => id.direction,
                    other => panic!("{other:?}"),
                })
                .collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, expected, "{:?}", lines(&steps));
        }
    }
}

#[test]
fn each_direction_has_its_number() {
    let mut book = Book::default();
    let added = lines(&book.add_policy(&policy(IfIds { inbound: 7.into(), outbound: 8.into() })).unwrap());
    for line in &added {
        let number = if line.contains(" dir out") { "if_id 0x8" } else { "if_id 0x7" };
        assert!(line.contains(number), "{line}");
    }
    assert_eq!(added.len(), 3);
    let sa = SaParams {
        options: SaOptions { if_ids: IfIds { inbound: 7.into(), outbound: 8.into() }, ..SaOptions::default() },
        ..outbound(0x100, 2, 8)
    };
    assert!(lines(&book.add_sa(&sa).unwrap())[0].contains("if_id 0x8"));
}

#[test]
fn each_sa_has_entries_for_its_mark_and_is_found_by_it() {
    use ravelin_types::options::Mark;
    let with = |marks| SaOptions { marks, ..SaOptions::default() };
    let mut open = policy(IfIds::default());
    let Action::Protect(protection) = &mut open.action else { panic!("no protection") };
    protection.options = with(Marks::both(PolicyMark::Unique));
    let sa = |spi, value| {
        let marks = Marks::both(PolicyMark::Is(Mark { value, mask: u32::MAX }));
        SaParams { options: with(marks), ..outbound(spi, 2, 0) }
    };
    let mut book = Book::default();
    assert!(book.add_policy(&open).unwrap().is_empty(), "there is no mark yet");
    for (spi, value) in [(0x100, 1), (0x200, 2)] {
        let added = lines(&book.add_sa(&sa(spi, value)).unwrap());
        let mark = format!("mark {value:#x} mask 0xffffffff");
        assert!(added.len() == 4 && added.iter().all(|line| line.contains(&mark)), "{added:#?}");
    }
    let gone = lines(&book.delete_sa(sa(0x100, 1).id()).unwrap());
    assert!(gone.len() == 4 && gone.iter().all(|line| line.contains("mark 0x1 ")), "{gone:#?}");
    // The kernel finds what arrives by its SPI, whatever mark it has then; once opened it has the mark.
    let inbound = SaParams { direction: Direction::Inbound, ..sa(0x300, 2) };
    let line = lines(&book.add_sa(&inbound).unwrap()).remove(0);
    assert!(line.contains("output-mark 0x2") && !line.contains(" mark 0x2"), "{line}");
}
