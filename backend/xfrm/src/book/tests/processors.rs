//! Entries of policies whose SAs are those of single processors (RFC 9611).

use super::*;
use crate::msg::Body;
use crate::msg::attribute::Attribute;
use crate::msg::policy::{direction, flag};
use crate::probe::Capabilities;

fn policy() -> Policy {
    let mut policy = super::policy(IfIds::default());
    if let Action::Protect(protection) = &mut policy.action {
        protection.local = Some([192, 0, 2, 1].into());
        protection.options.processors = Processors::Each;
    }
    policy
}

fn sa(spi: u32, direction: Direction, processors: Processors) -> SaParams {
    let out = outbound(spi, 2, 0);
    let options = SaOptions { processors, ..SaOptions::default() };
    let remote_ts = vec![TrafficSelector::any_v4()];
    match direction {
        Direction::Outbound => SaParams { options, remote_ts: remote_ts.into(), ..out },
        Direction::Inbound => SaParams {
            direction,
            src: out.dst,
            dst: out.src,
            options,
            remote_ts: remote_ts.into(),
            replay_window: 32,
            ..out
        },
    }
}

/// Whether processors ask, by the entries that requests add or change; empty: there are none.
fn asking(steps: &[Step]) -> Vec<bool> {
    let entries = steps.iter().filter_map(|step| match &step.request.message.body {
        Body::Policy(policy) if policy.direction == direction::OUT => Some(policy.flags),
        Body::Policy(policy) => {
            assert_eq!(policy.flags, 0, "what arrives asks for nothing");
            None
        }
        _ => None,
    });
    entries.map(|flags| flags == flag::PROCESSOR_ACQUIRE).collect()
}

fn processor(steps: &[Step]) -> Option<u32> {
    let of = |a: &Attribute| if let Attribute::Processor(number) = a { Some(*number) } else { None };
    steps.iter().flat_map(|step| &step.request.message.attributes).find_map(of)
}

#[test]
fn processors_ask_where_the_sas_of_a_policy_are_theirs() {
    let kernel = Capabilities { direction: true, processors: 2, ..Capabilities::default() };
    let mut book = Book::with(Found::default(), &kernel);
    assert_eq!(asking(&book.add_policy(&policy()).unwrap()), [true]);
    let shared = book.add_sa(&sa(0x1000, Direction::Outbound, Processors::Each)).unwrap();
    assert_eq!((processor(&shared), asking(&shared)), (None, vec![]), "they ask already");
    assert_eq!(asking(&book.set_asking(PolicyId(1), false).unwrap()), [false]);
    assert!(book.set_asking(PolicyId(1), false).unwrap().is_empty(), "it is so");
    // The SA of a processor: what it sends is kept to that, what it receives to none, and the next may ask.
    let inbound = book.add_sa(&sa(0x2000, Direction::Inbound, Processors::One(1))).unwrap();
    assert_eq!((processor(&inbound), asking(&inbound)), (None, vec![]));
    let own = book.add_sa(&sa(0x2002, Direction::Outbound, Processors::One(1))).unwrap();
    assert_eq!((processor(&own), asking(&own)), (Some(1), vec![true]));
    // A peer that knows nothing of it.
    assert_eq!(asking(&book.add_sa(&sa(0x3000, Direction::Outbound, Processors::All)).unwrap()), [false]);
    assert!(book.set_asking(PolicyId(1), true).unwrap().is_empty(), "its SAs are not such");
}

#[test]
fn a_kernel_that_tells_no_processors_apart_refuses_the_policy() {
    let kernel = Capabilities { direction: true, ..Capabilities::default() };
    let refused = Book::with(Found::default(), &kernel).add_policy(&policy()).unwrap_err().to_string();
    assert!(refused.contains("policy net") && refused.contains("leave --per-cpu out"), "{refused}");
}
