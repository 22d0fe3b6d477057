//! Numbers of virtual interfaces (`if_id` of Linux), which tie policies and SAs to the devices that have them.

use crate::sa::Direction;

/// The largest number: the two above it are strongSwan's for [`IfId::Unique`] and [`IfId::UniqueDir`].
pub const MAX_IF_ID: u32 = u32::MAX - 2;

/// Which number policies and SAs of one direction have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IfId {
    /// None: they are about no interface.
    #[default]
    None,
    /// This, which is not 0.
    Number(u32),
    /// One that nothing else has, the same in both directions.
    Unique,
    /// One that nothing else has, another in each direction.
    UniqueDir,
    /// That of the IKE SA, which gets a unique one when it stands.
    OfIkeSa,
}

impl IfId {
    /// The number; 0: none, or none yet.
    pub fn number(self) -> u32 {
        if let IfId::Number(number) = self { number } else { 0 }
    }

    /// Whether the number comes with each SA.
    pub fn comes_with_the_sa(self) -> bool {
        matches!(self, IfId::Unique | IfId::UniqueDir | IfId::OfIkeSa)
    }
}

impl From<u32> for IfId {
    fn from(number: u32) -> Self {
        if number == 0 { IfId::None } else { IfId::Number(number) }
    }
}

/// The numbers of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIds {
    /// Of what arrives.
    pub inbound: IfId,
    /// Of what leaves.
    pub outbound: IfId,
}

impl IfIds {
    /// The same in both directions.
    pub fn both(id: IfId) -> Self {
        IfIds { inbound: id, outbound: id }
    }

    /// That of one direction.
    pub fn of(self, direction: Direction) -> IfId {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    /// Whether there is one at all.
    pub fn any(self) -> bool {
        self != IfIds::default()
    }

    /// Whether one comes with each SA.
    pub fn come_with_the_sa(self) -> bool {
        self.inbound.comes_with_the_sa() || self.outbound.comes_with_the_sa()
    }

    /// The number of a device that both directions have.
    pub fn of_one_device(self) -> Option<u32> {
        Some(self.inbound.number()).filter(|number| *number != 0 && self.inbound == self.outbound)
    }

    /// With numbers in the place of what was left open: those of the IKE SA, `of_ike`, and unique ones by `next`.
    #[must_use]
    pub fn settled(self, of_ike: IfIds, mut next: impl FnMut() -> u32) -> Self {
        let inherited = |id: IfId, of_ike: IfId| if id == IfId::OfIkeSa { of_ike } else { id };
        let (inbound, outbound) = (inherited(self.inbound, of_ike.inbound), inherited(self.outbound, of_ike.outbound));
        let apart = [inbound, outbound].contains(&IfId::UniqueDir);
        let mut shared = None;
        let mut settle = |id: IfId| match id {
            IfId::None | IfId::Number(_) => id,
            IfId::Unique | IfId::UniqueDir | IfId::OfIkeSa if apart => IfId::Number(next()),
            IfId::Unique | IfId::UniqueDir | IfId::OfIkeSa => IfId::Number(*shared.get_or_insert_with(&mut next)),
        };
        IfIds { inbound: settle(inbound), outbound: settle(outbound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_numbers_are_shared_by_directions_unless_they_are_apart() {
        let settled = |inbound, outbound| {
            let mut last = 6;
            let ids = IfIds { inbound, outbound }.settled(IfIds::both(IfId::Number(99)), || {
                last += 1;
                last
            });
            (ids.inbound.number(), ids.outbound.number())
        };
        assert_eq!(settled(IfId::Unique, IfId::Unique), (7, 7));
        assert_eq!(settled(IfId::UniqueDir, IfId::UniqueDir), (7, 8));
        assert_eq!(settled(IfId::Unique, IfId::UniqueDir), (7, 8));
        assert_eq!(settled(IfId::Number(3), IfId::Unique), (3, 7));
        assert_eq!(settled(IfId::None, IfId::Number(4)), (0, 4));
        assert_eq!(settled(IfId::OfIkeSa, IfId::OfIkeSa), (99, 99));
        assert_eq!(settled(IfId::OfIkeSa, IfId::Unique), (99, 7));
    }
}
