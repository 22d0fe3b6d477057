//! One transform of each type, out of one pair of proposals (RFC 7296 §2.7, §3.3.6).

use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{Additional, EncrId, IntegId, KeMethod, PrfId, SnId, Transform, TransformType};

use super::{ChildKe, encr};

/// Choosing inside one pair of proposals; `None` from any step means the pair does not fit.
pub(super) struct Pick<'a> {
    theirs: &'a Proposal,
    own: &'a Proposal,
    crypto: &'a CryptoProvider,
    pub(super) chosen: Vec<Transform>,
}

impl<'a> Pick<'a> {
    pub(super) fn new(
        theirs: &'a Proposal,
        own: &'a Proposal,
        crypto: &'a CryptoProvider,
        protocol: ProtocolId,
    ) -> Option<Self> {
        let all = TransformType::ENCR..=TransformType::ADDITIONAL_KE_7;
        let known = |transform: &Transform| all.contains(&transform.kind());
        let fits = theirs.protocol == protocol && own.protocol == protocol && theirs.transforms.iter().all(known);
        fits.then_some(Pick { theirs, own, crypto, chosen: Vec::new() })
    }

    pub(super) fn offers(&self, kind: TransformType) -> bool {
        self.theirs.transforms.iter().any(|transform| transform.kind() == kind)
    }

    /// A type that does not belong to the protocol makes the proposal void (RFC 7296 §3.3.3).
    pub(super) fn refuse(&self, kind: TransformType) -> Option<()> {
        (!self.offers(kind)).then_some(())
    }

    pub(super) fn encr_and_integ(&mut self) -> Option<(EncrId, u16, IntegId)> {
        for (id, bits) in self.own.transforms.iter().filter_map(|t| encr(*t, self.crypto)) {
            let Some(theirs) = self.theirs.transforms.iter().find(|t| encr(**t, self.crypto) == Some((id, bits)))
            else {
                continue;
            };
            let aead = self.crypto.encr(id).is_some_and(|alg| alg.is_aead());
            let Some(integ) = self.integ(aead) else { continue };
            self.chosen.push(*theirs);
            if self.offers(TransformType::INTEG) {
                self.chosen.push(Transform::Integ(integ));
            }
            return Some((id, bits, integ));
        }
        None
    }

    pub(super) fn integ(&self, aead: bool) -> Option<IntegId> {
        if !aead {
            return self.separate_integ();
        }
        let none = self.theirs.transforms.contains(&Transform::Integ(IntegId::NONE));
        (none || !self.offers(TransformType::INTEG)).then_some(IntegId::NONE)
    }

    pub(super) fn separate_integ(&self) -> Option<IntegId> {
        self.own.transforms.iter().find_map(|transform| match transform {
            Transform::Integ(id) if self.theirs.transforms.contains(transform) => self.crypto.integ(*id).map(|_| *id),
            _ => None,
        })
    }

    pub(super) fn ah_integ(&mut self) -> Option<IntegId> {
        let id = self.separate_integ()?;
        self.chosen.push(Transform::Integ(id));
        Some(id)
    }

    pub(super) fn prf(&mut self) -> Option<PrfId> {
        let id = self.own.transforms.iter().find_map(|transform| match transform {
            Transform::Prf(id) if self.theirs.transforms.contains(transform) => self.crypto.prf(*id).map(|_| *id),
            _ => None,
        })?;
        self.chosen.push(Transform::Prf(id));
        Some(id)
    }

    /// Outer `None`: nothing in common. Inner `None`: neither side lists a method.
    pub(super) fn ke(&mut self, sent: Option<KeMethod>) -> Option<Option<KeMethod>> {
        let is_theirs = |method: &KeMethod| methods(self.theirs).any(|theirs| theirs == *method);
        let both = || methods(self.own).filter(|method| is_theirs(method) && self.has_ke(*method));
        if methods(self.theirs).chain(methods(self.own)).next().is_none() {
            return Some(None);
        }
        let method = both().find(|method| Some(*method) == sent).or_else(|| both().next())?;
        self.chosen.push(Transform::Ke(method));
        Some(Some(method))
    }

    /// As [`Pick::ke`], but where our policy asks for no key exchange and the peer's does, the peer has its way, unless
    /// the method is weak: the Child SA is only the better for it.
    pub(super) fn child_ke(&mut self, exchange: ChildKe) -> Option<Option<KeMethod>> {
        let ChildKe::Fresh(sent) = exchange else { return Some(None) };
        if methods(self.own).next().is_some() {
            return self.ke(sent);
        }
        let usable = || methods(self.theirs).filter(|method| self.has_ke(*method) && !method.is_weak());
        let none = self.theirs.transforms.contains(&Transform::Ke(KeMethod::NONE));
        let method = usable().find(|method| Some(*method) == sent);
        let method = if none { method } else { method.or_else(|| usable().next()) };
        match method {
            Some(method) => self.chosen.push(Transform::Ke(method)),
            None if none => self.chosen.push(Transform::Ke(KeMethod::NONE)),
            None if methods(self.theirs).next().is_none() => {}
            None => return None,
        }
        Some(method)
    }

    /// [`Pick::child_ke`], and the additional ones that follow it. What the peer asks for beyond our policy is its to
    /// have there too.
    pub(super) fn child_kes(&mut self, exchange: ChildKe) -> Option<(Option<KeMethod>, Vec<KeMethod>)> {
        let ke = self.child_ke(exchange)?;
        if exchange == ChildKe::None {
            return Some((None, Vec::new()));
        }
        let additional = self.additional(true)?;
        // RFC 9370 §2.2.1: there is no additional one without a first.
        (ke.is_some() || additional.is_empty()).then_some((ke, additional))
    }

    /// Whether our policy says nothing of key exchanges and leaves them to the peer.
    fn leaves_ke_to_peer(&self) -> bool {
        self.own.protocol != ProtocolId::IKE && methods(self.own).next().is_none()
    }

    /// RFC 9370 §2.2.2: one method of each type that either side lists, no method twice. `None`: nothing in common.
    pub(super) fn additional(&mut self, more: bool) -> Option<Vec<KeMethod>> {
        let types: Vec<Additional> = Additional::all().filter(|number| self.offers(number.kind())).collect();
        if !more {
            // To a side without IKE_INTERMEDIATE these are unknown types, and the proposal is void.
            let optional = Additional::all().all(|number| may_be_left_out(&additional(self.own, number)));
            return (types.is_empty() && optional).then(Vec::new);
        }
        let mut picked = Vec::new();
        if !self.pick_additional(1, &mut picked) {
            return None;
        }
        for (number, method) in Additional::all().zip(&picked).filter(|(number, _)| types.contains(number)) {
            self.chosen.push(Transform::AddKe(number, *method));
        }
        Some(picked.into_iter().filter(|method| *method != KeMethod::NONE).collect())
    }

    /// Our own order decides, as far as a choice leaves one for the types after it. Our lists bound the search.
    fn pick_additional(&self, number: u8, picked: &mut Vec<KeMethod>) -> bool {
        let Some(number) = Additional::new(number) else { return true };
        let (theirs, own) = (additional(self.theirs, number), additional(self.own, number));
        let own = match own.is_empty() {
            true if self.leaves_ke_to_peer() && !theirs.contains(&KeMethod::NONE) => {
                theirs.iter().copied().filter(|method| !method.is_weak()).chain([KeMethod::NONE]).collect()
            }
            true => vec![KeMethod::NONE],
            false => own,
        };
        for method in own {
            let fits = match method {
                KeMethod::NONE => theirs.contains(&KeMethod::NONE) || !self.offers(number.kind()),
                method => theirs.contains(&method) && self.has_ke(method) && !picked.contains(&method),
            };
            if fits {
                picked.push(method);
                if self.pick_additional(number.number() + 1, picked) {
                    return true;
                }
                picked.pop();
            }
        }
        false
    }

    fn has_ke(&self, method: KeMethod) -> bool {
        self.crypto.ke(method).is_some()
    }

    /// An offer without the type means 32-bit numbers: RFC 7296 §3.3.3 asks for it, old peers leave it out.
    pub(super) fn sn(&mut self) -> Option<SnId> {
        let usable = [SnId::SEQUENTIAL_32, SnId::PARTIAL_64];
        let is_theirs = |id: &SnId| numbers(self.theirs).any(|theirs| theirs == *id);
        let id = numbers(self.own).find(|id| is_theirs(id) && usable.contains(id))?;
        if self.offers(TransformType::SN) {
            self.chosen.push(Transform::Sn(id));
        }
        Some(id)
    }
}

/// The key exchange methods that a proposal lists, without NONE.
fn methods(proposal: &Proposal) -> impl Iterator<Item = KeMethod> {
    proposal.transforms.iter().filter_map(|transform| match transform {
        Transform::Ke(method) if *method != KeMethod::NONE => Some(*method),
        _ => None,
    })
}

/// The kinds of sequence numbers that it lists, those of 32 bits where it lists none.
fn numbers(proposal: &Proposal) -> impl Iterator<Item = SnId> {
    let listed = proposal.transforms.iter().filter_map(|transform| match transform {
        Transform::Sn(id) => Some(*id),
        _ => None,
    });
    let none = listed.clone().next().is_none();
    listed.chain(none.then_some(SnId::SEQUENTIAL_32))
}

/// The methods that a proposal lists for an additional key exchange, NONE included.
fn additional(proposal: &Proposal, number: Additional) -> Vec<KeMethod> {
    let ids = proposal.transforms.iter().filter_map(|transform| match transform {
        Transform::AddKe(other, method) if *other == number => Some(*method),
        _ => None,
    });
    ids.collect()
}

/// Whether these additional key exchanges are those that a proposal asks for.
#[cfg(feature = "ikev2")]
pub(super) fn additional_done(proposal: &Proposal, done: &[KeMethod]) -> bool {
    let listed = |method: &KeMethod| Additional::all().any(|number| additional(proposal, number).contains(method));
    let met = |number| {
        let methods = additional(proposal, number);
        may_be_left_out(&methods) || methods.iter().any(|method| done.contains(method))
    };
    done.iter().all(listed) && Additional::all().all(met)
}

/// RFC 9370 §2.2.2: a type that is not listed is as good as one with NONE.
fn may_be_left_out(methods: &[KeMethod]) -> bool {
    methods.is_empty() || methods.contains(&KeMethod::NONE)
}
