//! A filter of the kernel on a raw socket, in the classic form that every kernel takes from everybody.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// The whole packet.
const ALL: u32 = u32::MAX;

/// Lets only ESP packets come in at a raw socket whose SPI, divided by `workers`, leaves `worker`.
pub(crate) fn only_spis(socket: BorrowedFd<'_>, v4: bool, worker: u32, workers: u32) -> io::Result<()> {
    let code = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (ld, ldx, alu, jmp, ret) = (libc::BPF_LD, libc::BPF_LDX, libc::BPF_ALU, libc::BPF_JMP, libc::BPF_RET);
    // A raw socket of IPv4 gets the IP header with the packet, whose length is in the lower half of its first byte, in words.
    let spi: &[libc::sock_filter] = match v4 {
        true => &[code(ldx | libc::BPF_B | libc::BPF_MSH, 0, 0, 0), code(ld | libc::BPF_W | libc::BPF_IND, 0, 0, 0)],
        false => &[code(ld | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)],
    };
    let decide = [
        code(alu | libc::BPF_MOD | libc::BPF_K, 0, 0, workers),
        code(jmp | libc::BPF_JEQ | libc::BPF_K, 0, 1, worker),
        code(ret | libc::BPF_K, 0, 0, ALL),
        code(ret | libc::BPF_K, 0, 0, 0),
    ];
    let mut program = [spi, &decide].concat();
    let description = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the description leads to the program and says how long it is; the kernel copies both before the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const description).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}
