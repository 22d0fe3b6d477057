//! Virtual interfaces: those that were made by name (`vti add`), and those that are there because a policy names them.

use std::collections::BTreeMap;

use ravelin_types::interface::Interface;
use ravelin_types::policy::Domain;

use super::{Model, ModelError};
use crate::spec::PolicySpec;
use crate::value::among;

/// Virtual interfaces at a time.
pub const MAX_INTERFACES: u16 = 32;

impl Model {
    /// Every virtual interface.
    pub fn interfaces(&self) -> BTreeMap<Domain, Interface> {
        let named = self.policies.iter().filter_map(|entry| {
            let name = entry.spec.interface.clone()?;
            Some((entry.domain, Interface { domain: entry.domain, name, ..Interface::default() }))
        });
        named.chain(self.interfaces.values().map(|it| (it.domain, it.clone()))).collect()
    }

    /// The names of the policies whose interface this is.
    pub fn users_of(&self, interface: &str) -> Vec<&str> {
        let users = self.policies.iter().filter(|entry| self.interface_of(&entry.spec) == Some(interface));
        users.map(|entry| entry.spec.name.as_str()).collect()
    }

    /// The name of the virtual interface that a policy is about: it names it, or the number of one that was made.
    pub(super) fn interface_of<'a>(&'a self, spec: &'a PolicySpec) -> Option<&'a str> {
        let numbered = || {
            let number = spec.if_id()?;
            self.interfaces.values().find(|it| it.if_id == Some(number)).map(|it| it.name.as_str())
        };
        spec.interface.as_deref().or_else(numbered)
    }

    /// Adds a virtual interface, which stays without policies.
    ///
    /// # Errors
    /// When there is one of this name, or no more may be.
    pub fn add_interface(&mut self, mut interface: Interface) -> Result<(), ModelError> {
        let name = interface.name.clone();
        if self.interfaces.contains_key(&name) {
            return Err(ModelError::InterfaceExists(name));
        }
        if let Some(policy) = self.users_of(&name).first() {
            return Err(ModelError::InterfaceUsed(name, (*policy).to_owned()));
        }
        if let Some(number) = interface.if_id {
            if let Some(other) = self.interfaces.values().find(|other| other.if_id == Some(number)) {
                return Err(ModelError::IfIdTaken(number, other.name.clone()));
            }
            if let Some(user) = self.policies.iter().find(|entry| entry.spec.if_id() == Some(number)) {
                return Err(ModelError::InterfaceUsed(name, user.spec.name.clone()));
            }
        }
        interface.domain = self.domain_of(Some(&name))?;
        self.interfaces.insert(name, interface);
        Ok(())
    }

    /// Removes a virtual interface.
    ///
    /// # Errors
    /// When it is not there, or policies use it.
    pub fn delete_interface(&mut self, name: &str) -> Result<(), ModelError> {
        if let Some(policy) = self.users_of(name).first() {
            return Err(ModelError::InterfaceUsed(name.to_owned(), (*policy).to_owned()));
        }
        match self.interfaces.remove(name) {
            Some(_) => Ok(()),
            None => Err(self.no_interface(name)),
        }
    }

    /// That there is no such interface.
    pub fn no_interface(&self, name: &str) -> ModelError {
        let known = self.interfaces();
        let hint = among(name, known.values().map(|it| it.name.as_str()));
        ModelError::NoSuchInterface(name.to_owned(), hint)
    }

    /// The domain of a virtual interface: the one that it has, or the first that is free. Without one, the default.
    pub(super) fn domain_of(&self, interface: Option<&str>) -> Result<Domain, ModelError> {
        let Some(name) = interface else { return Ok(Domain::default()) };
        let known = self.interfaces();
        if let Some(there) = known.values().find(|known| known.name == name) {
            return Ok(there.domain);
        }
        (1..=MAX_INTERFACES).map(Domain).find(|domain| !known.contains_key(domain)).ok_or(ModelError::Interfaces)
    }

    /// The domains of the interfaces of `fresh`, by name: those that they have here, and free ones.
    pub(super) fn domains_for(&self, fresh: &Model) -> Result<BTreeMap<String, Domain>, ModelError> {
        let here = self.interfaces();
        let mut domains: BTreeMap<String, Domain> = BTreeMap::new();
        for Interface { name, .. } in fresh.interfaces().into_values() {
            let known = here.values().find(|known| known.name == name).map(|known| known.domain);
            let taken = |domain: &Domain| here.contains_key(domain) || domains.values().any(|other| other == domain);
            let domain = known.or_else(|| (1..=MAX_INTERFACES).map(Domain).find(|domain| !taken(domain)));
            domains.insert(name, domain.ok_or(ModelError::Interfaces)?);
        }
        Ok(domains)
    }

    /// Whether a virtual interface is the same here and in `fresh`, but for its number.
    pub(super) fn has_interface_of(&self, fresh: &Model, name: Option<&str>) -> bool {
        let Some(name) = name else { return true };
        let of = |model: &Model| {
            let declared = model.interfaces.get(name);
            declared.map(|it| Interface { domain: Domain::default(), ..it.clone() })
        };
        of(self) == of(fresh)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ravelin_types::dataplane::DataPlaneOp;

    use super::*;
    use crate::command::{Command, parse};
    use crate::rc;

    fn model(text: &str) -> Model {
        let here = Path::new("");
        rc::apply(text, Path::new("ike_rc"), here, &Model::new()).map(|loaded| loaded.model).unwrap()
    }

    const DISCARD: &str = "ipsec policy -n net --action discard -s any -d any --interface vti1\n";

    #[test]
    fn what_was_made_by_name_stays_until_it_is_deleted() {
        let mut model = model(&format!("vti add vti1 --address 10.9.0.1/24\n{DISCARD}"));
        assert_eq!(model.users_of("vti1"), ["net"]);
        assert!(model.delete_interface("vti1").unwrap_err().to_string().contains("policy net uses"));
        let before = model.clone();
        model.delete_policies(&crate::spec::Which::All).unwrap();
        assert!(matches!(before.difference(&model)[..], [DataPlaneOp::DeletePolicy(_)]));
        let before = model.clone();
        model.delete_interface("vti1").unwrap();
        assert!(matches!(before.difference(&model)[..], [DataPlaneOp::DeleteInterface(Domain(1))]));
        assert!(model.delete_interface("vti1").unwrap_err().to_string().contains("no interface vti1"));
    }

    #[test]
    fn a_name_is_given_once_and_before_it_is_used() {
        let mut model = model(DISCARD);
        let interface = Interface { name: "vti1".into(), ..Interface::default() };
        assert!(matches!(model.add_interface(interface), Err(ModelError::InterfaceUsed(..))));
        let other = Interface { name: "vti2".into(), ..Interface::default() };
        model.add_interface(other.clone()).unwrap();
        assert!(matches!(model.add_interface(other), Err(ModelError::InterfaceExists(_))));
    }

    #[test]
    fn a_policy_is_about_the_interface_that_has_its_number() {
        let policy = "ipsec policy -n net -g gw -e AES128-GCM -m tunnel -r 192.0.2.2 -s any -d any --if-id 42";
        let of = |lines: &[&str]| {
            let mut model = Model::new();
            for line in lines {
                let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
                match parse(&words).unwrap().command {
                    Command::AddPolicy(spec) => drop(model.add_policy(*spec).unwrap()),
                    Command::AddInterface(it) => model.add_interface(*it).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            model
        };
        let model = of(&["vti add vti1 --if-id 42", policy]);
        assert_eq!(model.users_of("vti1"), ["net"]);
        assert_eq!(model.policy("net").unwrap().domain, Domain(1));
        let other = Interface { name: "vti2".into(), if_id: Some(42), ..Interface::default() };
        let refused = model.clone().add_interface(other.clone()).unwrap_err().to_string();
        assert!(refused.contains("vti1 has the number 42"), "{refused}");
        // A reload finds the two together again.
        let same = model.renumbered(of(&["vti add vti0", "vti add vti1 --if-id 42", policy])).unwrap();
        assert_eq!(same.policy("net").unwrap().domain, Domain(1));
        assert_eq!(model.changes(&same), ["+ interface vti0"]);
        let alone = of(&[policy]);
        assert_eq!(alone.policy("net").unwrap().domain, Domain::default());
        assert!(matches!(alone.clone().add_interface(other), Err(ModelError::InterfaceUsed(..))));
        assert_eq!(model.renumbered(alone).unwrap().policy("net").unwrap().domain, Domain::default());
    }

    #[test]
    fn a_reload_keeps_what_is_the_same_and_makes_anew_what_is_not() {
        let old = model(&format!("vti add vti1 --mtu 1400\n{DISCARD}"));
        let same = old.renumbered(model(&format!("vti add vti0\nvti add vti1 --mtu 1400\n{DISCARD}"))).unwrap();
        assert!(matches!(&old.difference(&same)[..], [DataPlaneOp::AddInterface(it)] if it.name == "vti0"));
        assert_eq!(old.changes(&same), ["+ interface vti0"]);
        let other = old.renumbered(model(&format!("vti add vti1 --mtu 1300\n{DISCARD}"))).unwrap();
        assert!(matches!(
            &old.difference(&other)[..],
            [DataPlaneOp::DeleteInterface(_), DataPlaneOp::AddInterface(it), DataPlaneOp::AddPolicy(_), DataPlaneOp::DeletePolicy(_)]
                if it.mtu == Some(1300)
        ));
    }
}
