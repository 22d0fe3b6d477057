//! Certificate policies (RFC 5280 §6.1, with the graph of RFC 9618 in place of the tree, which a peer could make grow
//! without end).
//!
//! Of the graph only the lowest level is kept: each of its nodes knows which policies of the first authority lead to it.

use alloc::collections::{BTreeMap, BTreeSet};

use der::asn1::ObjectIdentifier;

use crate::certificate::Certificate;
use crate::oid;

type Policies = BTreeSet<ObjectIdentifier>;

/// The policies that a path is valid for, so far.
pub(crate) struct State {
    level: BTreeMap<ObjectIdentifier, Node>,
    explicit: u32,
    mapping: u32,
    any: u32,
}

#[derive(Clone, Default)]
struct Node {
    /// What the next certificate may call it.
    expected: Policies,
    /// What the first authority calls it.
    roots: Policies,
}

impl State {
    /// Before the first of `len` certificates below the anchor. `explicit`: a policy is required.
    pub(crate) fn new(len: usize, explicit: bool) -> Self {
        let len = u32::try_from(len).unwrap_or(u32::MAX - 1) + 1;
        let any: Policies = [oid::ANY_POLICY].into();
        let root = Node { expected: any.clone(), roots: any };
        State {
            level: [(oid::ANY_POLICY, root)].into(),
            explicit: if explicit { 0 } else { len },
            mapping: len,
            any: len,
        }
    }

    /// Takes a certificate; false when the path is valid for no policy and one is required (§6.1.3 (d) to (f)).
    pub(crate) fn certificate(&mut self, certificate: &Certificate, last: bool) -> bool {
        let above = core::mem::take(&mut self.level);
        let policies = certificate.extensions().policies.as_deref().unwrap_or(&[]);
        for policy in policies.iter().filter(|policy| **policy != oid::ANY_POLICY) {
            let roots = descend(&above, policy);
            let roots = match above.get(&oid::ANY_POLICY) {
                Some(any) if roots.is_empty() => fresh(any, *policy),
                _ => roots,
            };
            if !roots.is_empty() {
                self.level.insert(*policy, Node { expected: [*policy].into(), roots });
            }
        }
        let any_counts = self.any > 0 || !last && certificate.is_self_issued();
        if policies.contains(&oid::ANY_POLICY) && any_counts {
            for policy in above.values().flat_map(|node| &node.expected) {
                if !self.level.contains_key(policy) {
                    let roots = descend(&above, policy);
                    self.level.insert(*policy, Node { expected: [*policy].into(), roots });
                }
            }
        }
        self.explicit > 0 || !self.level.is_empty()
    }

    /// Goes on below an authority (§6.1.4 (a), (b), (h) to (j)); false when it maps anyPolicy.
    pub(crate) fn below(&mut self, authority: &Certificate) -> bool {
        let extensions = authority.extensions();
        let mut mapped: BTreeMap<ObjectIdentifier, Policies> = BTreeMap::new();
        for (issuer, subject) in &extensions.mappings {
            if [issuer, subject].contains(&&oid::ANY_POLICY) {
                return false;
            }
            mapped.entry(*issuer).or_default().insert(*subject);
        }
        for (issuer, subjects) in mapped {
            if self.mapping == 0 {
                self.level.remove(&issuer);
            } else if let Some(node) = self.level.get_mut(&issuer) {
                node.expected = subjects;
            } else if let Some(any) = self.level.get(&oid::ANY_POLICY) {
                let roots = fresh(any, issuer);
                self.level.insert(issuer, Node { expected: subjects, roots });
            }
        }
        if !authority.is_self_issued() {
            for counter in [&mut self.explicit, &mut self.mapping, &mut self.any] {
                *counter = counter.saturating_sub(1);
            }
        }
        let (explicit, mapping) = extensions.policy_constraints;
        self.explicit = explicit.map_or(self.explicit, |skip| self.explicit.min(skip));
        self.mapping = mapping.map_or(self.mapping, |skip| self.mapping.min(skip));
        self.any = extensions.inhibit_any.map_or(self.any, |skip| self.any.min(skip));
        true
    }

    /// After the last certificate (§6.1.5): whether the path is valid for one of the policies `wanted`, or for any
    /// when none is wanted.
    pub(crate) fn end(&self, last: &Certificate, wanted: &[ObjectIdentifier]) -> bool {
        let explicit = match last.extensions().policy_constraints.0 {
            Some(0) => 0,
            _ => self.explicit.saturating_sub(1),
        };
        let serves = |root: &ObjectIdentifier| *root == oid::ANY_POLICY || wanted.is_empty() || wanted.contains(root);
        explicit > 0 || self.level.values().flat_map(|node| &node.roots).any(serves)
    }
}

/// The roots of all nodes that expect this policy next.
fn descend(above: &BTreeMap<ObjectIdentifier, Node>, policy: &ObjectIdentifier) -> Policies {
    above.values().filter(|node| node.expected.contains(policy)).flat_map(|node| node.roots.iter().copied()).collect()
}

/// The roots of a policy that appears below anyPolicy: itself.
fn fresh(any: &Node, policy: ObjectIdentifier) -> Policies {
    if any.roots.is_empty() { Policies::new() } else { [policy].into() }
}
