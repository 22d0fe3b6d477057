//! Scalar multiplication on curves with Weierstrass equations and on Curve25519.

use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use aws_lc_sys as c;

use super::bignum::Bn;
use crate::numbers::{self, CurveNumbers};

/// Bytes of the largest coordinate or scalar: P-521.
pub(crate) const EC_MAX_FIELD: usize = 66;

/// The curves of RFC 5903, RFC 5114 and RFC 5639.
#[derive(Clone, Copy)]
pub(crate) enum Curve {
    P192,
    P224,
    P256,
    P384,
    P521,
    BrainpoolP224,
    BrainpoolP256,
    BrainpoolP384,
    BrainpoolP512,
}

static P192: LazyLock<Group> = LazyLock::new(|| Group::new(&numbers::P192));

impl Curve {
    fn group(self) -> *const c::EC_GROUP {
        // SAFETY: these return pointers to static tables and have no preconditions.
        unsafe {
            match self {
                Curve::P192 => P192.0.as_ptr(),
                Curve::BrainpoolP224 => c::EC_group_brainpoolP224r1(),
                Curve::BrainpoolP256 => c::EC_group_brainpoolP256r1(),
                Curve::BrainpoolP384 => c::EC_group_brainpoolP384r1(),
                Curve::BrainpoolP512 => c::EC_group_brainpoolP512r1(),
                Curve::P224 => c::EC_group_p224(),
                Curve::P256 => c::EC_group_p256(),
                Curve::P384 => c::EC_group_p384(),
                Curve::P521 => c::EC_group_p521(),
            }
        }
    }

    /// `scalar * G` as `04 | x | y`. `None` unless the scalar is in `[1, n-1]`.
    pub(crate) fn mul_base(self, scalar: &[u8]) -> Option<Vec<u8>> {
        let scalar = Scalar::new(self, scalar)?;
        let result = Point::new(self);
        // SAFETY: group, point and scalar are valid and belong together; null stands for "no second product" and "no
        // scratch context".
        let done = unsafe {
            c::EC_POINT_mul(
                self.group(),
                result.0.as_ptr(),
                scalar.0.as_ptr(),
                ptr::null(),
                ptr::null(),
                ptr::null_mut(),
            )
        };
        assert_eq!(done, 1, "out of memory");
        result.to_bytes(self)
    }

    /// `scalar * peer` as `04 | x | y`, where `peer` is `x | y`. `None` when `peer` is not a point of the curve or the
    /// scalar is not in `[1, n-1]`.
    pub(crate) fn mul(self, scalar: &[u8], peer: &[u8]) -> Option<Vec<u8>> {
        let scalar = Scalar::new(self, scalar)?;
        let peer = Point::from_coordinates(self, peer)?;
        let result = Point::new(self);
        // SAFETY: as in `mul_base`; here the first product is the one left out.
        let done = unsafe {
            c::EC_POINT_mul(
                self.group(),
                result.0.as_ptr(),
                ptr::null(),
                peer.0.as_ptr(),
                scalar.0.as_ptr(),
                ptr::null_mut(),
            )
        };
        assert_eq!(done, 1, "out of memory");
        result.to_bytes(self)
    }
}

/// A group made of its numbers, which the library's generic code computes with, in constant time too.
struct Group(NonNull<c::EC_GROUP>);

// SAFETY: nothing in it changes after `new`; AWS-LC reads const groups from any thread.
unsafe impl Send for Group {}
// SAFETY: as above.
unsafe impl Sync for Group {}

impl Group {
    fn new(numbers: &CurveNumbers) -> Self {
        let number = Bn::from_bytes;
        let (p, a, b, n) = (number(numbers.p), number(numbers.a), number(numbers.b), number(numbers.n));
        let (x, y, one) = (number(numbers.x), number(numbers.y), number(&[1]));
        // SAFETY: all numbers are valid; a null context asks for a temporary one; the point made here is freed here, and
        // is made with the group it belongs to. The library checks that it is on the curve.
        unsafe {
            let group = c::EC_GROUP_new_curve_GFp(p.as_ptr(), a.as_ptr(), b.as_ptr(), ptr::null_mut());
            let group = NonNull::new(group).expect("the numbers of a curve");
            let generator = NonNull::new(c::EC_POINT_new(group.as_ptr())).expect("out of memory");
            let (x, y, null) = (x.as_ptr(), y.as_ptr(), ptr::null_mut());
            let on_curve = c::EC_POINT_set_affine_coordinates_GFp(group.as_ptr(), generator.as_ptr(), x, y, null);
            assert_eq!(on_curve, 1, "the generator is on the curve");
            let done = c::EC_GROUP_set_generator(group.as_ptr(), generator.as_ptr(), n.as_ptr(), one.as_ptr());
            assert_eq!(done, 1, "the order of the generator");
            c::EC_POINT_free(generator.as_ptr());
            Group(group)
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the group is ours and not used afterwards.
        unsafe { c::EC_GROUP_free(self.0.as_ptr()) };
    }
}

/// A private scalar; cleared when freed.
struct Scalar(NonNull<c::BIGNUM>);

impl Scalar {
    /// `None` unless the value is in `[1, n-1]`. What the comparison gives away is that the value is in range.
    fn new(curve: Curve, bytes: &[u8]) -> Option<Self> {
        // SAFETY: pointer and length describe `bytes`; a null result pointer asks for a new number.
        let number = unsafe { c::BN_bin2bn(bytes.as_ptr(), bytes.len(), ptr::null_mut()) };
        let scalar = Scalar(NonNull::new(number).expect("out of memory"));
        // SAFETY: number and group are valid; the order belongs to the static group. BN_ucmp runs in constant time.
        let in_range = unsafe {
            let order = c::EC_GROUP_get0_order(curve.group());
            c::BN_is_zero(number) == 0 && c::BN_ucmp(number, order) < 0
        };
        in_range.then_some(scalar)
    }
}

impl Drop for Scalar {
    fn drop(&mut self) {
        // SAFETY: the number is ours and not used afterwards.
        unsafe { c::BN_clear_free(self.0.as_ptr()) };
    }
}

/// A point; cleared when freed, because the result of an agreement is a secret.
struct Point(NonNull<c::EC_POINT>);

impl Point {
    fn new(curve: Curve) -> Self {
        // SAFETY: the group is a valid static table.
        Point(NonNull::new(unsafe { c::EC_POINT_new(curve.group()) }).expect("out of memory"))
    }

    /// `None` unless the coordinates are below the field's prime and satisfy the curve's equation.
    fn from_coordinates(curve: Curve, coordinates: &[u8]) -> Option<Self> {
        let mut encoded = [0; 1 + 2 * EC_MAX_FIELD];
        let encoded = encoded.get_mut(..=coordinates.len())?;
        // SEC 1 §2.3.3: 04 marks an uncompressed point. With it the library takes exactly two coordinates.
        encoded[0] = 4;
        encoded[1..].copy_from_slice(coordinates);
        let point = Point::new(curve);
        // SAFETY: group and point are valid and belong together; pointer and length describe `encoded`.
        let done = unsafe {
            c::EC_POINT_oct2point(curve.group(), point.0.as_ptr(), encoded.as_ptr(), encoded.len(), ptr::null_mut())
        };
        (done == 1).then_some(point)
    }

    /// `04 | x | y`; `None` for the point at infinity, which has no coordinates.
    fn to_bytes(&self, curve: Curve) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1 + 2 * EC_MAX_FIELD];
        // SAFETY: group and point are valid and belong together; pointer and length describe `bytes`.
        let len = unsafe {
            c::EC_POINT_point2oct(
                curve.group(),
                self.0.as_ptr(),
                c::point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED,
                bytes.as_mut_ptr(),
                bytes.len(),
                ptr::null_mut(),
            )
        };
        // Infinity is encoded in a single byte.
        bytes.truncate(len);
        (len > 1).then_some(bytes)
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        // SAFETY: the point is ours and not used afterwards.
        unsafe { c::EC_POINT_clear_free(self.0.as_ptr()) };
    }
}

/// The public value of a Curve25519 scalar.
pub(crate) fn x25519_public(scalar: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    // SAFETY: both arrays have the 32 bytes that the call reads and writes.
    unsafe { c::X25519_public_from_private(public.as_mut_ptr(), scalar.as_ptr()) };
    public
}

/// The shared secret; `false` when it is all zeros.
pub(crate) fn x25519(shared: &mut [u8; 32], scalar: &[u8; 32], peer: &[u8; 32]) -> bool {
    // SAFETY: all three arrays have the 32 bytes that the call reads and writes.
    unsafe { c::X25519(shared.as_mut_ptr(), scalar.as_ptr(), peer.as_ptr()) == 1 }
}
