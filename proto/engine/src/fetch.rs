//! Fetching memory into the cache ahead of its use.

/// Has the processor fetch the cache line in which `value` begins; the line is not waited for. Does nothing without
/// the feature `prefetch`.
#[inline]
pub(crate) fn fetch<T>(value: &T) {
    #[cfg(feature = "prefetch")]
    prefetch_index::prefetch_index(core::slice::from_ref(value), 0);
    #[cfg(not(feature = "prefetch"))]
    let _ = value;
}
