//! USE_AGGFRAG: packets of a Child SA share payloads and are spread over them (RFC 9347 §5.1).
//!
//! The initiator asks for it beside SA and the responder agrees by saying it too, each with what it requires of the other. Where
//! the responder leaves it out, the Child SA is in plain tunnel mode, unless the policy wants packets of one length at a constant
//! rate: what hides traffic must not silently cease to.

use alloc::string::ToString;
use alloc::vec;

use ravelin_types::options::AggFrag;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::child::answer::plain_tunnel;
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::v2::message::Payloads;

/// Its sender takes no packets in pieces (RFC 9347 §6.1.4).
const DONT_FRAGMENT: u8 = 1;
/// Its sender requires to be told of congestion.
const CONGESTION_CONTROL: u8 = 2;

/// What the policy asks for, where the data plane can do it.
pub(crate) fn wanted(policy: &ChildPolicy, core: &Core) -> Option<AggFrag> {
    policy.aggfrag().filter(|_| core.aggfrag)
}

/// `N(USE_AGGFRAG)`: we take packets in pieces, and want no word of congestion.
pub(crate) fn notify() -> Payload {
    Payload::Notify(Notify::new(NotifyType::USE_AGGFRAG, vec![0]))
}

/// As responder: what was asked for and we agree to. RFC 9347 §5.1: not together with transport mode, and nothing with a
/// requirement that we do not meet.
pub(crate) fn agreed(payloads: &Payloads, policy: &ChildPolicy, core: &Core) -> Result<Option<AggFrag>, Error> {
    let transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
    let said = payloads.notify(NotifyType::USE_AGGFRAG).filter(|_| !transport).and_then(fragments);
    settled(policy, core, said)
}

/// As initiator: what our offer came to. Where the peer requires what we do not have, it holds the Child SA for one with AGGFRAG
/// payloads and we cannot, so there is none.
pub(crate) fn accepted(
    payloads: &Payloads,
    policy: &ChildPolicy,
    offered: bool,
    core: &Core,
) -> Result<Option<AggFrag>, Error> {
    match payloads.notify(NotifyType::USE_AGGFRAG) {
        None => settled(policy, core, None),
        Some(_) if !offered => Err(Error::Violation("USE_AGGFRAG that was not asked for")),
        Some(said) => match fragments(said) {
            Some(fragments) => settled(policy, core, Some(fragments)),
            None => Err(unlike(
                if said.data.as_slice().first().is_some_and(|flags| flags & CONGESTION_CONTROL != 0) {
                    "AGGFRAG payloads with word of congestion"
                } else {
                    "AGGFRAG payloads with a requirement that is not known here"
                },
                "AGGFRAG payloads without congestion control",
            )),
        },
    }
}

fn settled(policy: &ChildPolicy, core: &Core, said: Option<bool>) -> Result<Option<AggFrag>, Error> {
    match wanted(policy, core).zip(said) {
        Some((own, fragments)) => Ok(Some(AggFrag { fragments, ..own })),
        None => plain_tunnel(policy).map(|()| None),
    }
}

/// Whether who said it takes packets in pieces. `None`: it requires what we do not have.
fn fragments(said: &Notify) -> Option<bool> {
    let &[flags] = said.data.as_slice() else { return None };
    (flags & !DONT_FRAGMENT == 0).then_some(flags & DONT_FRAGMENT == 0)
}

fn unlike(theirs: &str, ours: &str) -> Error {
    Disagreement::new(Part::Mode, vec![theirs.to_string()], vec![ours.to_string()]).into()
}
