//! The one system call that the libraries do not wrap.

/// Gives the calling thread a network namespace of its own.
pub(crate) fn private_namespace() {
    // SAFETY: with NEWNET alone nothing that other threads share is taken apart.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.expect("a network namespace");
}
