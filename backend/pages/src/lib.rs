//! Memory in pages of 2 MiB for a program with very much state: the system's allocator, with the wish told to the kernel
//! (transparent huge pages, `madvise`). It promises nothing: where the kernel has none, memory is as it was.
//!
//! Read [`LargePages`] first. ADR 0090 says why this is not the C library's own setting.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod sys;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub use std::alloc::System as LargePages;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use sys::{LargePages, ask};

/// Does nothing here: only glibc's heaps are known.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn ask() {}
