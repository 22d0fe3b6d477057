//! Key schedules of IKEv2 (RFC 7296 §2.13 to §2.18).
