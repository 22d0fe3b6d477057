//! Reading and writing the structures of `linux/xfrm.h`: fields one after the other, in the byte order of the machine
//! where the kernel has it so, with padding as a 64-bit Linux puts it.

use ravelin_types::Spi;

use super::Malformed;

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (first, rest) = self.0.split_at_checked(length).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// Passes over padding, and over as much of it as there is at the end of a message.
    pub(crate) fn pad(&mut self, length: usize) {
        self.0 = self.0.get(length..).unwrap_or_default();
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A value with a fixed place in a structure.
pub trait Field: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the message ends before.
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;
    /// Writes it.
    fn write(&self, to: &mut Vec<u8>);
}

macro_rules! native {
    ($($int:ty),*) => {$(
        impl Field for $int {
            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(<$int>::from_ne_bytes(from.array()?))
            }

            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}
native!(u8, u16, u32, u64, i32);

/// A UDP or TCP port, or the mask of one; in network byte order on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port(pub u16);

impl Field for Port {
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Port(u16::from_be_bytes(from.array()?)))
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_be_bytes());
    }
}

impl Field for Spi {
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Spi(u32::from_be_bytes(from.array()?)))
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0.to_be_bytes());
    }
}

/// Declares a structure of the kernel: its fields in order, each with the bytes of padding behind it.
macro_rules! structure {
    ($(#[$doc:meta])* pub struct $name:ident {
        $($(#[$about:meta])* $field:ident: $type:ty $([$pad:literal])?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$about])* pub $field: $type,)*
        }

        impl $crate::msg::bytes::Field for $name {
            fn read(from: &mut $crate::msg::bytes::Reader<'_>) -> Result<Self, $crate::msg::Malformed> {
                Ok($name {
                    $($field: {
                        let value = $crate::msg::bytes::Field::read(from)?;
                        $(from.pad($pad);)?
                        value
                    },)*
                })
            }

            fn write(&self, to: &mut Vec<u8>) {
                $(
                    $crate::msg::bytes::Field::write(&self.$field, to);
                    $(to.extend_from_slice(&[0; $pad]);)?
                )*
            }
        }
    };
}
pub(crate) use structure;
