//! Numbers of virtual interfaces and marks that come with the SAs.

use crate::lab::*;
use ravelin_ike::{Command, Config};
use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::if_id::{IfId, IfIds};
use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::Mark;
use ravelin_types::policy::Action;
use ravelin_types::sa::Direction::{Inbound, Outbound};

fn wants(config: &mut Config, of_remote: IfIds, of_policy: IfIds) {
    config.remotes[0].if_ids = of_remote;
    let Action::Protect(protection) = &mut config.policies[0].policy.action else { panic!("no protection") };
    protection.options.if_ids = of_policy;
}

fn numbers(host: &Host) -> (u32, u32) {
    let child = host.child();
    let of = |direction, spi| host.sa(direction, spi).options.if_ids.of(direction).number();
    let numbers = (of(Inbound, child.inbound), of(Outbound, child.outbound));
    assert_eq!((child.if_ids.inbound.number(), child.if_ids.outbound.number()), numbers);
    numbers
}

#[test]
fn a_child_sa_that_takes_the_place_of_another_has_its_numbers() {
    let mut lab = Lab::with(|a, _| wants(a, IfIds::default(), IfIds::both(IfId::UniqueDir)));
    lab.establish();
    assert_eq!((numbers(&lab.a), numbers(&lab.b)), ((1, 2), (0, 0)));
    let id = lab.a.sa(Inbound, lab.a.child().inbound).id();
    lab.a.event(DataPlaneEvent::SoftExpire(id));
    lab.settle();
    assert_eq!(numbers(&lab.a), (1, 2));
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    lab.establish();
    assert_eq!(numbers(&lab.a), (3, 4), "another Child SA has others");
}

#[test]
fn an_ike_sa_gives_its_number_to_its_children_and_to_what_takes_its_place() {
    let unique = IfIds::both(IfId::Unique);
    let mut lab = Lab::with(|a, b| {
        wants(
            a,
            IfIds { inbound: IfId::Number(1), outbound: IfId::Unique },
            IfIds { inbound: 9.into(), ..IfIds::both(IfId::OfIkeSa) },
        );
        wants(b, unique, IfIds::both(IfId::OfIkeSa));
    });
    lab.establish();
    // 1 is the operator's.
    assert_eq!((numbers(&lab.a), numbers(&lab.b)), ((9, 2), (1, 1)));
    assert_eq!(lab.b.ike().if_ids, IfIds::both(IfId::Number(1)));
    lab.sleep(lab.a.ike().rekey_at.unwrap().since(lab.a.now));
    lab.settle();
    assert_eq!((numbers(&lab.a), numbers(&lab.b)), ((9, 2), (1, 1)));
    assert_eq!(lab.b.ike().if_ids, IfIds::both(IfId::Number(1)));
}

fn marks(host: &Host) -> (u32, u32) {
    let child = host.child();
    let value = |mark: PolicyMark| mark.mark().map_or(0, |mark| mark.value);
    for (direction, spi) in [(Inbound, child.inbound), (Outbound, child.outbound)] {
        assert_eq!(host.sa(direction, spi).options.marks, child.marks);
    }
    (value(child.marks.inbound), value(child.marks.outbound))
}

#[test]
fn a_child_sa_has_marks_of_its_own_and_so_has_what_takes_its_place() {
    let mut lab = Lab::with(|a, b| {
        let of = |config: &mut Config, marks| {
            let Action::Protect(protection) = &mut config.policies[0].policy.action else { panic!("no protection") };
            protection.options.marks = marks;
        };
        of(a, Marks::both(PolicyMark::UniqueDir));
        // 1 is the operator's.
        let one = PolicyMark::Is(Mark { value: 1, mask: 0xff });
        of(b, Marks { inbound: one, outbound: PolicyMark::Unique });
    });
    lab.establish();
    assert_eq!((marks(&lab.a), marks(&lab.b)), ((1, 2), (1, 2)));
    let id = lab.a.sa(Inbound, lab.a.child().inbound).id();
    lab.a.event(DataPlaneEvent::SoftExpire(id));
    lab.settle();
    assert_eq!((marks(&lab.a), marks(&lab.b)), ((1, 2), (1, 2)));
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    lab.establish();
    assert_eq!((marks(&lab.a), marks(&lab.b)), ((3, 4), (1, 3)), "another Child SA has others");
}
