//! The C interface under a caller who gets everything wrong that a C program can get wrong without breaking the promises of
//! the header: handles that are stale or of another kind, null and unaligned pointers, impossible lengths, any text and any
//! packet. No call may panic inside, and none may write outside of the buffer that it was given.
#![allow(unsafe_code)] // it calls functions that are made for C

use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};

use ravelin_ffi::RvlStatus;
use ravelin_ffi::chain::{RvlChain, rvl_decapsulate_chain, rvl_encapsulate_chain};
use ravelin_ffi::engine::{
    RvlCounters, RvlEngineConfig, rvl_counters, rvl_engine_free, rvl_engine_new, rvl_engine_tick,
};
use ravelin_ffi::event::{RvlEvent, rvl_poll_event};
use ravelin_ffi::handle::RvlHandle;
use ravelin_ffi::ike::*;
use ravelin_ffi::ike_output::RvlIkeOutput;
use ravelin_ffi::options::RvlOptions;
use ravelin_ffi::packet::{RvlPacket, RvlResult, rvl_decapsulate, rvl_encapsulate};
use ravelin_ffi::policy::{RvlPolicy, rvl_add_policy, rvl_delete_policy};
use ravelin_ffi::protection::RvlLifetime;
use ravelin_ffi::remote::{RvlRemote, rvl_ike_add_remote, rvl_ike_delete_remote};
use ravelin_ffi::requests::{RvlCompletion, RvlRequest, rvl_complete, rvl_submit};
use ravelin_ffi::sa::{RvlSa, rvl_add_sa, rvl_delete_sa};
use ravelin_ffi::traffic::{RvlAddress, RvlEndpoint, RvlPiece};

const CALLS: usize = 64;
const GUARD: usize = 64;
const TEXTS: &[&str] = &[
    "any",
    "any6",
    "10.0.0.0/8",
    "10.0.0.1,53",
    "192.0.2.1",
    "192.0.2.2",
    "2001:db8::1",
    "2001:db8::/32",
    "AES128-GCM",
    "AES256-CBC",
    "CHACHA20-POLY1305",
    "HMAC-SHA-2-256",
    "CURVE25519",
    "none",
    "fqdn:a.example",
    "keyid:00",
    "",
];

/// What is left of the input, and what the calls so far have made.
struct Caller<'a> {
    input: &'a [u8],
    handles: Vec<RvlHandle>,
    texts: Vec<CString>,
    /// Buffers that belong to the library while requests are open.
    lent: Vec<Lent>,
}

struct Lent {
    bytes: Vec<u8>,
    /// In a box, so that it stays where it is.
    pieces: Box<[RvlPiece]>,
}

/// A sequence of calls.
pub fn calls(input: &[u8]) {
    let mut caller = Caller { input, handles: vec![0], texts: Vec::new(), lent: Vec::new() };
    for _ in 0..CALLS {
        if caller.input.is_empty() {
            break;
        }
        let status = caller.call();
        assert_ne!(status, RvlStatus::Internal, "a panic inside");
    }
    for handle in caller.handles {
        rvl_engine_free(handle);
        rvl_ike_free(handle);
    }
    for lent in &caller.lent {
        assert!(lent.bytes[lent.bytes.len() - GUARD..].iter().all(|byte| *byte == 0xa5), "written behind the buffer");
    }
}

unsafe extern "C" fn zeros(_: *mut c_void, out: *mut u8, len: usize) -> i32 {
    // SAFETY: the library gives room for `len` bytes.
    unsafe { out.write_bytes(7, len) };
    0
}

/// Most often the pointer, else null, or one that is not aligned.
fn bend<T>(byte: u8, pointer: *mut T) -> *mut T {
    match byte {
        0 => null_mut(),
        1 if align_of::<T>() > 1 => pointer.wrapping_byte_add(1),
        _ => pointer,
    }
}

impl Caller<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        *first
    }

    fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..=9 => small.into(),
            255 => u32::MAX,
            high => u32::from(high) << 8 | u32::from(self.byte()),
        }
    }

    /// One of the handles so far, some of them freed, or a changed one.
    fn handle(&mut self) -> RvlHandle {
        let (which, change) = (usize::from(self.byte()), self.byte());
        let handle = self.handles[which % self.handles.len()];
        if change > 250 { handle ^ 1 << (which % 64) } else { handle }
    }

    fn text(&mut self) -> *const c_char {
        let text = match usize::from(self.byte()) {
            255 => return null(),
            known if known < 128 => TEXTS[known % TEXTS.len()].as_bytes().to_vec(),
            len => self.bytes(len % 32),
        };
        self.texts.push(CString::new(text).unwrap_or_default());
        self.texts.last().map_or(null(), |text| text.as_ptr())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (bytes, rest) = self.input.split_at(len.min(self.input.len()));
        self.input = rest;
        bytes.to_vec()
    }

    fn lifetime(&mut self) -> RvlLifetime {
        let mut next = || u64::from(self.byte());
        RvlLifetime {
            soft_seconds: next(),
            soft_bytes: next(),
            soft_packets: next(),
            hard_seconds: next(),
            hard_bytes: next(),
            hard_packets: next(),
        }
    }

    fn policy(&mut self) -> RvlPolicy {
        RvlPolicy {
            ways: 0,
            id: self.number(),
            domain: self.byte().into(),
            priority: self.number(),
            action: self.number(),
            protocol: self.byte(),
            source: self.text(),
            destination: self.text(),
            mode: self.number(),
            endpoint: self.text(),
            replay_window: self.number(),
            lifetime: self.lifetime(),
            options: self.options(),
        }
    }

    fn options(&mut self) -> RvlOptions {
        let flags = u32::from(self.byte());
        if flags == 0 {
            return RvlOptions::default();
        }
        RvlOptions {
            flags,
            df: u32::from(self.byte() % 4),
            dscp: self.byte(),
            hop_limit: self.byte(),
            mtu: u16::from(self.byte()) << 3,
            mss: self.byte().into(),
            tfc: self.byte().into(),
        }
    }

    fn endpoint(&mut self) -> RvlEndpoint {
        let mut bytes = [0; 16];
        bytes[0] = self.byte();
        bytes[3] = self.byte();
        let address = RvlAddress { family: self.byte() % 8, bytes };
        RvlEndpoint { address, port: [500, 4500, 0, 1][usize::from(self.byte() % 4)] }
    }

    /// A packet with room behind it that must stay as it is.
    fn with_packet(&mut self, call: impl FnOnce(*mut RvlPacket, *mut RvlResult) -> RvlStatus) -> RvlStatus {
        let (offset, len) = (usize::from(self.byte()), usize::from(self.byte()));
        let mut bytes = vec![0; offset];
        bytes.extend(self.bytes(len));
        let length = bytes.len() - offset;
        bytes.resize(bytes.len() + 64, 0);
        let capacity = bytes.len();
        bytes.extend([0xa5; GUARD]);
        let lie = if self.byte() > 200 { usize::MAX } else { 0 };
        let mut packet = RvlPacket {
            buffer: bend(self.byte(), bytes.as_mut_ptr()),
            capacity,
            offset: offset ^ lie,
            length,
            domain: self.byte().into(),
            mark: u32::from(self.byte() % 8),
        };
        let mut result = std::mem::MaybeUninit::uninit();
        let status = call(bend(self.byte(), &raw mut packet), bend(self.byte(), result.as_mut_ptr()));
        assert!(bytes[capacity..].iter().all(|byte| *byte == 0xa5), "written behind the buffer");
        if status == RvlStatus::Ok {
            assert!(packet.offset + packet.length <= capacity);
        }
        status
    }

    fn call(&mut self) -> RvlStatus {
        let now = u64::from(self.number()) << 24;
        match self.byte() % 24 {
            0 | 1 => self.engine_new(),
            2 => rvl_engine_free(self.handle()),
            3 | 4 => {
                let (handle, mut policy) = (self.handle(), self.policy());
                // SAFETY: null, not aligned, or a policy.
                unsafe { rvl_add_policy(handle, bend(self.byte(), &raw mut policy)) }
            }
            5 | 6 => self.add_sa(now),
            7 | 8 => {
                let handle = self.handle();
                // SAFETY: null, not aligned, or what the header says.
                self.with_packet(|packet, result| unsafe { rvl_encapsulate(handle, packet, now, result) })
            }
            9 | 10 => {
                let handle = self.handle();
                // SAFETY: as above.
                self.with_packet(|packet, result| unsafe { rvl_decapsulate(handle, packet, now, result) })
            }
            11 => self.submit(now),
            12 => {
                let mut completion = std::mem::MaybeUninit::<RvlCompletion>::uninit();
                let pointer = bend(self.byte(), completion.as_mut_ptr());
                // SAFETY: null, not aligned, or room for it.
                unsafe { rvl_complete(self.handle(), now, pointer) }
            }
            13 => {
                let mut event = std::mem::MaybeUninit::<RvlEvent>::uninit();
                let pointer = bend(self.byte(), event.as_mut_ptr());
                // SAFETY: as above.
                unsafe { rvl_poll_event(self.handle(), pointer) }
            }
            14 => {
                let mut next = 0;
                let pointer = bend(self.byte(), &raw mut next);
                // SAFETY: as above.
                unsafe { rvl_engine_tick(self.handle(), now, pointer) }
            }
            15 => {
                let mut counters = RvlCounters::default();
                let pointer = bend(self.byte(), &raw mut counters);
                let (handle, direction) = (self.handle(), self.number());
                // SAFETY: as above.
                unsafe { rvl_counters(handle, direction, pointer) }
            }
            16 => rvl_delete_policy(self.handle(), self.number()),
            17 => {
                let (handle, direction, spi, to) = (self.handle(), self.number(), self.number(), self.text());
                // SAFETY: null or a string.
                unsafe { rvl_delete_sa(handle, direction, spi, to) }
            }
            23 => self.chain(now),
            _ => self.ike(now),
        }
    }

    fn chain(&mut self, now: u64) -> RvlStatus {
        let len = usize::from(self.byte()) * 4;
        let mut packet = self.bytes(len);
        let capacity = packet.len() + usize::from(self.byte());
        let mut bytes = vec![0; capacity + GUARD];
        bytes[capacity..].fill(0xa5);
        let (cut, end, start) = (usize::from(self.byte()).min(packet.len()), packet.len(), packet.as_mut_ptr());
        let mut pieces = [(0, cut), (cut, 0), (cut, end - cut)]
            .map(|(at, length)| RvlPiece { data: start.wrapping_add(at).cast_const(), length });
        let mut chain = RvlChain {
            pieces: bend(self.byte(), pieces.as_mut_ptr()),
            piece_count: if self.byte() == 255 { usize::MAX } else { 3 },
            buffer: bend(self.byte(), bytes.as_mut_ptr()),
            capacity,
            domain: self.byte().into(),
            mark: u32::from(self.byte() % 8),
            front_offset: 0,
            front_length: 0,
            middle_offset: 0,
            middle_length: 0,
            back_offset: 0,
            back_length: 0,
        };
        let mut result = std::mem::MaybeUninit::uninit();
        let (handle, call) = match self.byte() % 2 {
            0 => (self.handle(), rvl_encapsulate_chain as unsafe extern "C" fn(_, _, _, _) -> _),
            _ => (self.handle(), rvl_decapsulate_chain as _),
        };
        let (chain_pointer, out) = (bend(self.byte(), &raw mut chain), bend(self.byte(), result.as_mut_ptr()));
        // SAFETY: null, not aligned, or a chain whose pieces and buffer are as long as it says or impossibly long.
        let status = unsafe { call(handle, chain_pointer, now, out) };
        assert!(bytes[capacity..].iter().all(|byte| *byte == 0xa5), "written behind the buffer");
        assert!(
            chain.front_offset + chain.front_length <= capacity && chain.back_offset + chain.back_length <= capacity
        );
        assert!(chain.middle_offset + chain.middle_length <= end);
        status
    }

    fn engine_new(&mut self) -> RvlStatus {
        let mut config = RvlEngineConfig {
            no_match: self.number() % 3,
            random: (self.byte() > 0).then_some(zeros),
            random_context: null_mut(),
            max_requests: u32::from(self.byte()),
            max_policies: u32::from(self.byte()),
            max_sas: u32::from(self.byte()),
            // Small tables: this is made for every input.
            max_events: u32::from(self.byte()) + 1,
            flow_sets: u32::from(self.byte()) + 1,
            accelerator: std::ptr::null(),
            max_selectors: 0,
            max_replay_window: 0,
            suites: std::ptr::null(),
            suite_count: 0,
        };
        let mut handle = 0;
        let (config, out) = (bend(self.byte(), &raw mut config), bend(self.byte(), &raw mut handle));
        // SAFETY: null, not aligned, or what the header says.
        let status = unsafe { rvl_engine_new(config, out) };
        if status == RvlStatus::Ok {
            self.handles.push(handle);
        }
        status
    }

    fn add_sa(&mut self, now: u64) -> RvlStatus {
        let key = self.bytes(36);
        let mut sa = RvlSa {
            direction: self.number(),
            spi: self.number(),
            policy: self.number(),
            mode: self.number(),
            from: self.text(),
            to: self.text(),
            source_port: self.byte().into(),
            destination_port: self.byte().into(),
            protocol: self.byte(),
            extended_sequence: self.byte(),
            source: self.text(),
            destination: self.text(),
            encryption: self.text(),
            encryption_key: bend(self.byte(), key.as_ptr().cast_mut()),
            encryption_key_len: usize::from(self.byte()).min(key.len()),
            integrity: self.text(),
            integrity_key: key.as_ptr(),
            integrity_key_len: if self.byte() == 255 { usize::MAX } else { key.len().min(32) },
            replay_window: self.number(),
            lifetime: self.lifetime(),
            options: self.options(),
        };
        let handle = self.handle();
        // SAFETY: null, not aligned, or an SA whose keys are as long as it says or impossibly long.
        unsafe { rvl_add_sa(handle, bend(self.byte(), &raw mut sa), now) }
    }

    fn submit(&mut self, now: u64) -> RvlStatus {
        let len = usize::from(self.byte());
        let packet = self.bytes(len);
        let room = usize::from(self.byte()) + len;
        let mut bytes = packet;
        let end = bytes.len();
        bytes.resize(end + room, 0);
        bytes.extend([0xa5; GUARD]);
        let cut = end / 2;
        let start = bytes.as_ptr();
        let pieces = [(0, cut), (cut, end - cut)].map(|(at, length)| RvlPiece { data: start.wrapping_add(at), length });
        let mut lent = Lent { bytes, pieces: Box::new(pieces) };
        let mut request = RvlRequest {
            direction: self.number(),
            domain: self.byte().into(),
            mark: u32::from(self.byte() % 8),
            token: 1,
            pieces: bend(self.byte(), lent.pieces.as_mut_ptr()),
            piece_count: if self.byte() == 255 { usize::MAX } else { 2 },
            result: bend(self.byte(), lent.bytes.as_mut_ptr().wrapping_add(end)),
            result_capacity: room,
        };
        let (handle, pointer) = (self.handle(), bend(self.byte(), &raw mut request));
        self.lent.push(lent);
        // SAFETY: null, not aligned, or a request whose memory stays until the engine is freed.
        unsafe { rvl_submit(handle, pointer, now) }
    }

    fn ike(&mut self, now: u64) -> RvlStatus {
        match self.byte() % 12 {
            0 | 1 => {
                let mut handle = 0;
                let random = (self.byte() > 0).then_some(zeros as _);
                let out = bend(self.byte(), &raw mut handle);
                // SAFETY: null, not aligned, or what the header says.
                let status = unsafe { rvl_ike_new(random, null_mut(), now, out) };
                if status == RvlStatus::Ok {
                    self.handles.push(handle);
                }
                status
            }
            2 => rvl_ike_free(self.handle()),
            3 => {
                let secret = self.bytes(8);
                let mut remote = RvlRemote {
                    name: self.text(),
                    local: self.text(),
                    remote: self.text(),
                    local_id: self.text(),
                    remote_id: self.text(),
                    secret: bend(self.byte(), secret.as_ptr().cast_mut()),
                    secret_len: secret.len(),
                    encryption: self.text(),
                    integrity: self.text(),
                    prf: null(),
                    key_exchange: c"CURVE25519".as_ptr(),
                    lifetime: self.number(),
                    liveness: self.number(),
                };
                let handle = self.handle();
                // SAFETY: null, not aligned, or a peer.
                unsafe { rvl_ike_add_remote(handle, bend(self.byte(), &raw mut remote), now) }
            }
            4 => {
                let (handle, mut policy) = (self.handle(), self.policy());
                let texts = [(); 4].map(|()| self.text());
                let policy = bend(self.byte(), &raw mut policy);
                // SAFETY: null, not aligned, or a policy; null or strings.
                unsafe { rvl_ike_add_policy(handle, policy, texts[0], texts[1], texts[2], texts[3], now) }
            }
            5 => {
                let (handle, mut local, mut remote) = (self.handle(), self.endpoint(), self.endpoint());
                let len = usize::from(self.byte());
                let data = self.bytes(len);
                let (local, remote) = (bend(self.byte(), &raw mut local), bend(self.byte(), &raw mut remote));
                // SAFETY: null, not aligned, or what the header says.
                unsafe { rvl_ike_receive(handle, local, remote, data.as_ptr(), data.len(), now) }
            }
            6 => rvl_ike_timer(self.handle(), now),
            7 => rvl_ike_initiate(self.handle(), self.number(), now),
            8 => {
                let (handle, remote) = (self.handle(), self.text());
                // SAFETY: null or a string.
                unsafe { rvl_ike_terminate(handle, remote, now) }
            }
            9 => rvl_ike_follow(self.handle(), self.handle(), now),
            10 => {
                let (handle, remote) = (self.handle(), self.text());
                // SAFETY: null or a string.
                unsafe { rvl_ike_delete_remote(handle, remote, now) }
            }
            _ => {
                let (ike, engine) = (self.handle(), self.handle());
                let mut output = std::mem::MaybeUninit::<RvlIkeOutput>::uninit();
                let capacity = usize::from(self.byte()) * 8;
                let mut bytes = vec![0xa5; capacity + GUARD];
                let (out, buffer) = (bend(self.byte(), output.as_mut_ptr()), bend(self.byte(), bytes.as_mut_ptr()));
                // SAFETY: null, not aligned, or what the header says.
                let status = unsafe { rvl_ike_poll(ike, engine, now, out, buffer, capacity) };
                assert!(bytes[capacity..].iter().all(|byte| *byte == 0xa5), "written behind the buffer");
                status
            }
        }
    }
}
