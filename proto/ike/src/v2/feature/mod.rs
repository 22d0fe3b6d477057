//! Extensions carried by notifies or payloads of their own, one file each.

pub(crate) mod aggfrag;
pub(crate) mod auth_methods;
pub(crate) mod certificate_wish;
pub(crate) mod childless;
pub(crate) mod configuration;
pub(crate) mod cookie;
pub(crate) mod crash_detection;
pub(crate) mod fragmentation;
pub(crate) mod full_transcript;
pub(crate) mod initial_contact;
pub(crate) mod intermediate;
pub(crate) mod ipcomp;
pub(crate) mod message_id_sync;
pub(crate) mod mobike;
pub(crate) mod multiple_auth;
pub(crate) mod nat;
pub(crate) mod ppk;
pub(crate) mod ppk_intermediate;
pub(crate) mod puzzle;
pub(crate) mod reauthentication;
pub(crate) mod redirect;
pub(crate) mod resources;
pub(crate) mod resumption;
pub(crate) mod signature_hashes;
pub(crate) mod tcp;
pub(crate) mod window_size;
