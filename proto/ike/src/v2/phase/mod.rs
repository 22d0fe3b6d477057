//! The initial exchanges, one struct per phase, and the phase they lead to.
//!
//! ```text
//!   sa_init.rs   HDR, SAi1, KEi, Ni  -->              InitRequested
//!                <--  HDR, SAr1, KEr, Nr              InitAnswered
//!   intermediate.rs  HDR, SK {KEi(n)}  -->               IntermediateRequested, once for each that was agreed on
//!                <--  HDR, SK {KEr(n)}
//!   auth.rs      HDR, SK {IDi, AUTH, SAi2, TSi, TSr}  -->      AuthRequested
//!                <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
//!   eap.rs       between the two, HDR, SK {EAP} both ways      AuthRequested; answer_eap.rs: EapAnswered
//!   asking.rs    between the two, where somebody outside signs or judges
//!   established.rs   everything after, by exchange/
//! ```
//! Read RFC 7296 §1 and §1.2, §2.1, §2.6, §2.15 and §2.21 before changing this folder.

pub(crate) mod answer_auth;
pub(crate) mod answer_eap;
pub(crate) mod answer_init;
pub(crate) mod asking;
pub(crate) mod auth;
pub(crate) mod eap;
pub(crate) mod established;
pub(crate) mod intermediate;
pub(crate) mod sa_init;
