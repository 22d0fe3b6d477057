//! SAs as other programs leave them.

use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::sa::Encap;

use super::*;
use crate::additions::additions;
use crate::losses::{Condition, condition};
use crate::msg::Body;
use crate::msg::attribute::Attribute;

fn with_limit(packets: u64) -> SaParams {
    let hard = Limits { packets: Some(packets), ..Limits::default() };
    SaParams { lifetime: Lifetime { hard, ..Lifetime::default() }, ..outbound(0x100, 2, 0) }
}

/// How our SA is found where the kernel has that of these.
fn found_as(there: &SaParams) -> &'static str {
    let mut book = Book::default();
    book.add_policy(&policy(IfIds::default())).unwrap();
    let wanted = with_limit(1000);
    book.add_sa(&wanted).unwrap();
    let listed = states::names(there).into_iter().zip(book.states(there).unwrap()).collect();
    match condition(&book, &wanted, &listed) {
        Condition::AsWanted => "as wanted",
        Condition::Changed(requests) => {
            let [Message { body: Body::State(state), .. }] = &requests[..] else { panic!("{requests:?}") };
            assert_eq!((state.limits.hard_packets, state.id.spi), (1000, wanted.spi));
            "changed"
        }
        Condition::Gone => "gone",
        Condition::Replaced => "replaced",
    }
}

#[test]
fn what_can_be_mended_in_place_is_told_from_what_cannot() {
    let wanted = || with_limit(1000);
    let key = |byte| SaKeys { encr: Secret::new(vec![byte; 20]), ..SaKeys::default() };
    assert_eq!(found_as(&wanted()), "as wanted");
    assert_eq!(found_as(&with_limit(2)), "changed");
    assert_eq!(found_as(&SaParams { encap: Some(Encap::udp(4500, 4500)), ..wanted() }), "changed");
    assert_eq!(found_as(&SaParams { keys: key(8), ..wanted() }), "replaced");
    assert_eq!(found_as(&SaParams { src: [192, 0, 2, 77].into(), ..wanted() }), "replaced");
    assert_eq!(found_as(&SaParams { mode: Mode::Transport, ..wanted() }), "replaced");
    assert_eq!(found_as(&SaParams { spi: Spi(0x101), ..wanted() }), "gone");
    // A kernel that is locked down shows no keys.
    assert_eq!(found_as(&SaParams { keys: key(0), ..wanted() }), "as wanted");
}

#[test]
fn half_an_sa_is_gone() {
    let mut book = Book::default();
    book.add_policy(&policy(IfIds::default())).unwrap();
    let options =
        SaOptions { ipcomp: ravelin_types::options::IpComp::With(ravelin_types::Cpi(0x1234)), ..SaOptions::default() };
    let sa = SaParams { options, ..outbound(0x100, 2, 0) };
    book.add_sa(&sa).unwrap();
    let mut listed: BTreeMap<Name, Message> = states::names(&sa).into_iter().zip(book.states(&sa).unwrap()).collect();
    assert!(listed.len() == 2 && matches!(condition(&book, &sa, &listed), Condition::AsWanted));
    listed.pop_last();
    assert!(matches!(condition(&book, &sa, &listed), Condition::Gone));
}

#[test]
fn marks_and_interfaces_are_looked_at() {
    let wanted = additions(&outbound(0x100, 2, 7), None, &Tie::to(7), false, None).unwrap().remove(0);
    assert!(matches!(&wanted.body, Body::State(_)) && states::unchanged(&wanted, &wanted));
    let mut other = wanted.clone();
    other.attributes.retain(|attribute| !matches!(attribute, Attribute::IfId(_)));
    assert!(!states::unchanged(&other, &wanted));
    let mut other = wanted.clone();
    other.attributes.extend([Attribute::SetMark(1), Attribute::SetMarkMask(u32::MAX)]);
    assert!(!states::unchanged(&other, &wanted));
}
