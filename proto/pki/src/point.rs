//! Distribution points: where the revocation lists of an authority are, and which of them a list is (RFC 5280 §4.2.1.13).

use alloc::string::String;
use alloc::vec::Vec;

use der::{Decode, Encode};
use ravelin_types::Dn;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};

/// The name of a point.
pub(crate) enum Point {
    Uri(String),
    Dn(Dn),
    /// What stands behind the name of the authority.
    Relative(RelativeDistinguishedName),
}

impl Point {
    /// All names of a point; of other kinds none are known here.
    pub(crate) fn all(name: &DistributionPointName) -> Vec<Point> {
        match name {
            DistributionPointName::FullName(names) => names.iter().filter_map(Point::of).collect(),
            DistributionPointName::NameRelativeToCRLIssuer(rdn) => [Point::Relative(rdn.clone())].into(),
        }
    }

    fn of(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(Point::Uri(uri.as_str().into())),
            GeneralName::DirectoryName(name) => name.to_der().ok().map(|der| Point::Dn(Dn::new(&der))),
            _ => None,
        }
    }

    /// Where it is, if that can be asked over a network.
    pub(crate) fn uri(&self) -> Option<&String> {
        if let Point::Uri(uri) = self { Some(uri) } else { None }
    }

    /// Whether both are one name of the lists of this authority.
    pub(crate) fn is(&self, other: &Point, authority: &Dn) -> bool {
        match (self, other) {
            (Point::Uri(one), Point::Uri(other)) => one == other,
            (Point::Uri(_), _) | (_, Point::Uri(_)) => false,
            (one, other) => one.whole(authority).zip(other.whole(authority)).is_some_and(|(one, other)| one.is(&other)),
        }
    }

    fn whole(&self, authority: &Dn) -> Option<Dn> {
        match self {
            Point::Uri(_) => None,
            Point::Dn(dn) => Some(dn.clone()),
            Point::Relative(rdn) => {
                let mut name = RdnSequence::from_der(authority.der()).ok()?;
                name.push(rdn.clone());
                name.to_der().ok().map(|der| Dn::new(&der))
            }
        }
    }
}
