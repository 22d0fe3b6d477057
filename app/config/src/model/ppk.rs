//! Which post-quantum pre-shared keys a remote has.

use std::path::Path;

use ravelin_ike::config::IdPattern;
use ravelin_ike::{Extensions, Ppk, Ppks, Redirect};
use ravelin_types::Secret;

use super::{Model, ModelError};
use crate::secret;
use crate::spec::ExtensionSpec;

/// The key in the file that a remote names, if it names one.
pub(super) fn read(spec: &ExtensionSpec, directory: &Path) -> Result<Option<Secret>, ModelError> {
    let file = spec.ppk_file.as_ref();
    file.map(|file| secret::read(&directory.join(file)).map_err(ModelError::Secret)).transpose()
}

/// What the remote does: its own key, or those that were loaded. Whoever names one, or a pattern, takes no other.
pub(super) fn extensions(spec: &ExtensionSpec, own: Option<&Secret>, loaded: bool, model: &Model) -> Extensions {
    let id = match &spec.ppk_id {
        Some(IdPattern::Exactly(id)) => Some(id.data()),
        _ => None,
    };
    let keys: Vec<Ppk> = match (&id, own) {
        (Some(id), Some(secret)) => vec![Ppk { id: id.clone(), secret: secret.clone() }],
        _ if loaded => {
            let wanted = model.ppks.iter().filter(|(name, _)| match (&spec.ppk_id, &id) {
                (_, Some(id)) => *id == name.data(),
                (Some(pattern), None) => pattern.takes(name),
                (None, None) => true,
            });
            wanted.map(|(name, secret)| Ppk { id: name.data(), secret: secret.clone() }).collect()
        }
        _ => Vec::new(),
    };
    Extensions {
        mobike: spec.mobike,
        tcp: spec.tcp,
        childless: spec.childless,
        reauth: spec.reauth,
        over_time: spec.over_time,
        unique: spec.unique,
        resumption: spec.resumption,
        crash_detection: spec.crash_detection,
        announce: spec.announce,
        full_transcript: spec.full_transcript,
        redirect: Redirect::new(
            spec.follow.iter().flat_map(|addresses| addresses.ranges()).collect(),
            spec.redirect.clone(),
        ),
        window: spec.window,
        cluster: spec.cluster,
        ppk: Ppks { id, required: spec.ppk_required, exchange: spec.ppk_in, keys: keys.into() },
    }
}
