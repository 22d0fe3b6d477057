//! What copies of a model share until one of them changes it: a copy is made for each change, and most change little.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value of which a copy costs nothing before it is changed; asking for it mutably is changing it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Shared(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}
