//! Marks of the host on the packets that a policy is about.

use crate::if_id::{IfId, IfIds};
use crate::options::Mark;
use crate::sa::Direction;

/// Which mark the packets of a policy have, one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyMark {
    /// Whatever they have.
    #[default]
    Any,
    /// This.
    Is(Mark),
    /// One that no other SA has, the same in both directions.
    Unique,
    /// One that no other SA has, another in each direction.
    UniqueDir,
}

impl PolicyMark {
    /// The mark; `None`: any, or none yet.
    pub fn mark(self) -> Option<Mark> {
        if let PolicyMark::Is(mark) = self { Some(mark) } else { None }
    }

    /// Whether the mark comes with each SA.
    pub fn comes_with_the_sa(self) -> bool {
        matches!(self, PolicyMark::Unique | PolicyMark::UniqueDir)
    }

    /// The kind of number that is wanted for it.
    fn wanted(self) -> IfId {
        match self {
            PolicyMark::Any | PolicyMark::Is(_) => IfId::None,
            PolicyMark::Unique => IfId::Unique,
            PolicyMark::UniqueDir => IfId::UniqueDir,
        }
    }
}

impl From<Option<Mark>> for PolicyMark {
    fn from(mark: Option<Mark>) -> Self {
        mark.map_or(PolicyMark::Any, PolicyMark::Is)
    }
}

/// The marks of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks {
    /// Of what arrives, once it is opened.
    pub inbound: PolicyMark,
    /// Of what leaves.
    pub outbound: PolicyMark,
}

impl Marks {
    /// The same in both directions.
    pub fn both(mark: PolicyMark) -> Self {
        Marks { inbound: mark, outbound: mark }
    }

    /// That of one direction.
    pub fn of(self, direction: Direction) -> PolicyMark {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    /// Whether there is one at all.
    pub fn any(self) -> bool {
        self != Marks::default()
    }

    /// Whether one comes with each SA.
    pub fn come_with_the_sa(self) -> bool {
        self.inbound.comes_with_the_sa() || self.outbound.comes_with_the_sa()
    }

    /// With marks in the place of what was left open, by `next`.
    #[must_use]
    pub fn settled(self, next: impl FnMut() -> u32) -> Self {
        let wanted = IfIds { inbound: self.inbound.wanted(), outbound: self.outbound.wanted() };
        let numbers = wanted.settled(IfIds::default(), next);
        let settle = |mark: PolicyMark, number: IfId| match number {
            IfId::Number(value) => PolicyMark::Is(Mark { value, mask: u32::MAX }),
            _ => mark,
        };
        Marks { inbound: settle(self.inbound, numbers.inbound), outbound: settle(self.outbound, numbers.outbound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stays_and_what_is_open_gets_a_number() {
        let is = |value| PolicyMark::Is(Mark { value, mask: u32::MAX });
        let settled = |inbound, outbound| {
            let mut last = 6;
            let marks = Marks { inbound, outbound }.settled(|| {
                last += 1;
                last
            });
            (marks.inbound, marks.outbound)
        };
        assert_eq!(settled(PolicyMark::Unique, PolicyMark::Unique), (is(7), is(7)));
        assert_eq!(settled(PolicyMark::Unique, PolicyMark::UniqueDir), (is(7), is(8)));
        assert_eq!(settled(PolicyMark::Any, PolicyMark::UniqueDir), (PolicyMark::Any, is(7)));
        assert_eq!(settled(is(3), PolicyMark::Unique), (is(3), is(7)));
    }
}
