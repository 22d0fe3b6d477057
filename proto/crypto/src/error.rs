//! What can be wrong with what others gave.

use core::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident => $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl core::error::Error for $name {}
    )*};
}

errors! {
    /// A key of a length that the algorithm does not take.
    BadKey => "the key has a length that the algorithm does not take";
    /// A peer's public value that must not be used.
    BadPublicValue => "the peer's public value is of a wrong length or not a valid element of the group";
    /// An ICV that does not verify.
    Forged => "the integrity check value does not verify";
}
