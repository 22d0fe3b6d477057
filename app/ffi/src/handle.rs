//! Handles: numbers that stand for objects of ours, so that a wrong one is an error and not a crash.
//!
//! A handle holds the place of its object and how often the place was used before, so a handle that was freed never
//! fits again. Each place has a lock: calls with one handle from several threads take turns.

use std::any::Any;
use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::RvlStatus;

/// Stands for an object of the library; 0 is none.
pub type RvlHandle = u64;

/// Objects that may live at one time.
pub const RVL_MAX_HANDLES: u32 = 256;

struct Place {
    /// Handles given out for this place.
    uses: u32,
    object: Option<Box<dyn Any + Send>>,
}

static PLACES: [Mutex<Place>; RVL_MAX_HANDLES as usize] =
    [const { Mutex::new(Place { uses: 0, object: None }) }; RVL_MAX_HANDLES as usize];

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs what a function of the interface does: no panic leaves it, and no callback comes back in.
pub(crate) fn call(body: impl FnOnce() -> Result<(), RvlStatus>) -> RvlStatus {
    if INSIDE.replace(true) {
        return RvlStatus::Reentered;
    }
    let result = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(false);
    match result {
        Ok(Ok(())) => RvlStatus::Ok,
        Ok(Err(status)) => status,
        Err(_) => RvlStatus::Internal,
    }
}

/// Keeps an object and gives out its handle.
pub(crate) fn keep(object: Box<dyn Any + Send>) -> Result<RvlHandle, RvlStatus> {
    for (at, place) in (1..).zip(&PLACES) {
        // A place in use by another thread has an object, and one whose last user panicked is not used again.
        let Ok(mut place) = place.try_lock() else { continue };
        if place.object.is_none() && place.uses < u32::MAX {
            place.uses += 1;
            place.object = Some(object);
            return Ok(u64::from(place.uses) << 32 | at);
        }
    }
    Err(RvlStatus::OutOfHandles)
}

/// Ends the life of an object of this kind.
pub(crate) fn free<T: Any + Send>(handle: RvlHandle) -> Result<(), RvlStatus> {
    let mut place = lock(handle)?.unwrap_or_else(PoisonError::into_inner);
    object::<T>(&mut place, handle)?;
    place.object = None;
    Ok(())
}

/// Calls `body` with the object of a handle.
pub(crate) fn with<T: Any + Send, R>(
    handle: RvlHandle,
    body: impl FnOnce(&mut T) -> Result<R, RvlStatus>,
) -> Result<R, RvlStatus> {
    match lock(handle)? {
        Ok(mut place) => body(object(&mut place, handle)?),
        // Of no use any more, to whom it belongs; to others the handle is a wrong one as ever.
        Err(place) => object::<T>(&mut place.into_inner(), handle).and(Err(RvlStatus::Internal)),
    }
}

/// [`with`] for two objects.
pub(crate) fn with_two<A: Any + Send, B: Any + Send, R>(
    a: RvlHandle,
    b: RvlHandle,
    body: impl FnOnce(&mut A, &mut B) -> Result<R, RvlStatus>,
) -> Result<R, RvlStatus> {
    let place = |handle: RvlHandle| handle as u32;
    // In the order of places, so that two calls never wait for each other.
    let (first, second) = match place(a).cmp(&place(b)) {
        Ordering::Less => (a, b),
        Ordering::Greater => (b, a),
        Ordering::Equal => return Err(RvlStatus::BadHandle),
    };
    let mut first = lock(first)?.map_err(|_| RvlStatus::Internal)?;
    let mut second = lock(second)?.map_err(|_| RvlStatus::Internal)?;
    let (a_place, b_place) =
        if place(a) < place(b) { (&mut *first, &mut *second) } else { (&mut *second, &mut *first) };
    body(object(a_place, a)?, object(b_place, b)?)
}

type Locked = Result<MutexGuard<'static, Place>, PoisonError<MutexGuard<'static, Place>>>;

fn lock(handle: RvlHandle) -> Result<Locked, RvlStatus> {
    let at = (handle as u32 as usize).checked_sub(1);
    let place = at.and_then(|at| PLACES.get(at)).ok_or(RvlStatus::BadHandle)?;
    Ok(place.lock())
}

fn object<T: Any>(place: &mut Place, handle: RvlHandle) -> Result<&mut T, RvlStatus> {
    let live = handle >> 32 == u64::from(place.uses);
    let object = place.object.as_mut().filter(|_| live);
    object.and_then(|object| object.downcast_mut()).ok_or(RvlStatus::BadHandle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_fits_one_object_of_its_kind_for_its_life() {
        let a = keep(Box::new(5u8)).unwrap();
        let b = keep(Box::new(7u16)).unwrap();
        assert_eq!(with(a, |n: &mut u8| Ok(*n)), Ok(5));
        assert_eq!(with(b, |n: &mut u8| Ok(*n)), Err(RvlStatus::BadHandle));
        assert_eq!(free::<u16>(a), Err(RvlStatus::BadHandle));
        assert_eq!(free::<u8>(a), Ok(()));
        assert_eq!(free::<u8>(a), Err(RvlStatus::BadHandle));
        let c = keep(Box::new(9u8)).unwrap();
        assert_ne!(a, c);
        assert_eq!(with(a, |n: &mut u8| Ok(*n)), Err(RvlStatus::BadHandle));
        for wrong in [0, 1, u64::MAX, c ^ 1 << 63, c + u64::from(RVL_MAX_HANDLES), c & 0xffff_ffff] {
            assert_eq!(with(wrong, |n: &mut u8| Ok(*n)), Err(RvlStatus::BadHandle), "{wrong:x}");
        }
        assert_eq!((free::<u8>(c), free::<u16>(b)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_panic_becomes_a_status_and_ends_the_use_of_the_handle() {
        let handle = keep(Box::new([1u32])).unwrap();
        let fault = call(|| with(handle, |_: &mut [u32; 1]| panic!("a fault of the test")));
        assert_eq!(fault, RvlStatus::Internal);
        assert_eq!(with(handle, |n: &mut [u32; 1]| Ok(n[0])), Err(RvlStatus::Internal));
        assert_eq!(free::<[u32; 1]>(handle), Ok(()));
    }

    #[test]
    fn a_call_inside_a_call_is_refused() {
        let mut inner = RvlStatus::Ok;
        assert_eq!(
            call(|| {
                inner = call(|| Ok(()));
                Ok(())
            }),
            RvlStatus::Ok
        );
        assert_eq!(inner, RvlStatus::Reentered);
        assert_eq!(call(|| Ok(())), RvlStatus::Ok);
    }
}
