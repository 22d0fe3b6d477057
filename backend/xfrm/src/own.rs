//! What is ours among the kernel's entries: nothing else is ever changed or removed.
//!
//! A policy of ours has the number of its SPD entry, below a prefix, in a field of the selector that the kernel keeps and
//! does not look at (`ip xfrm` shows it as `uid`), and a state has it as its reqid. A virtual interface has the number of
//! its domain below the same prefix.

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::if_id::IfIds;
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::sa::Direction;

use crate::msg::attribute::Attribute;
use crate::msg::parts::Mark;

/// The prefix: `R` in the highest byte.
const PREFIX: u32 = 0x5200_0000;
const NUMBER: u32 = 0x00ff_ffff;
/// What the entries for neighbour discovery have in the place of a policy's number.
pub(crate) const NEIGHBOURS: u32 = PREFIX | NUMBER;

/// The reqid of a policy.
///
/// # Errors
/// When the number of the policy has more than 24 bits.
pub fn reqid(policy: PolicyId) -> Result<u32, DataPlaneError> {
    if policy.0 >= NUMBER {
        let why = format!("policy {}: with the kernel's IPsec policies have numbers below {NUMBER}", policy.0);
        return Err(DataPlaneError::Invalid(why.into()));
    }
    Ok(PREFIX | policy.0)
}

/// The policy of a reqid, where it is one of ours.
pub(crate) fn policy(reqid: u32) -> Option<PolicyId> {
    (reqid & !NUMBER == PREFIX).then_some(PolicyId(reqid & NUMBER))
}

/// The number of a virtual interface; the default domain has none.
pub(crate) fn interface(domain: Domain) -> Option<u32> {
    (domain != Domain::default()).then_some(PREFIX | u32::from(domain.0))
}

/// Whether the number of a virtual interface is one of ours.
pub(crate) fn is_interface(number: u32) -> bool {
    policy(number).is_some()
}

/// What ties policies and states to the virtual interface of their domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tie {
    /// There is none.
    #[default]
    None,
    /// The numbers of xfrm interfaces, on both.
    Interface(IfIds),
    /// The key of a VTI, as the mark of its policies. Their states have none: the kernel finds those by any mark.
    Vti(Mark),
}

impl Tie {
    /// That of a domain whose interface is none by its key.
    pub(crate) fn of(domain: Domain) -> Self {
        interface(domain).map_or(Tie::None, Tie::to)
    }

    /// To the xfrm interface of this number.
    pub(crate) fn to(number: u32) -> Self {
        Tie::Interface(IfIds::both(number.into()))
    }

    /// For a state.
    pub(crate) fn interface(&self, direction: Direction) -> Option<Attribute> {
        let Tie::Interface(ids) = self else { return None };
        Some(ids.of(direction).number()).filter(|number| *number != 0).map(Attribute::IfId)
    }

    /// For a policy.
    pub(crate) fn attribute(&self, direction: Direction) -> Option<Attribute> {
        if let Tie::Vti(mark) = self { Some(Attribute::Mark(mark.clone())) } else { self.interface(direction) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_number_is_not_ours() {
        assert_eq!(policy(reqid(PolicyId(7)).unwrap()), Some(PolicyId(7)));
        for others in [0, 1, 16_384, 0x4000_0000, 0x5300_0000, u32::MAX] {
            assert_eq!(policy(others), None, "{others}");
        }
        assert!(reqid(PolicyId(1 << 24)).is_err());
    }
}
